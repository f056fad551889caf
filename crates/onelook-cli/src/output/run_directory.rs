//! A directory of its own for each run: `predict`, `predict-2`, `predict-3`…

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use onelook::file_name::{safe, stem};

use super::predicted::PredictedImage;
use super::quota::Quota;
use super::whole_file::write_whole;
use crate::failure::{Failure, refused};

/// Of annotated videos.
pub const VIDEO_ENDING: &str = "mp4";

/// The directory of this run.
pub struct RunDirectory {
    path: PathBuf,
    names: Mutex<Names>,
    quota: Option<Mutex<Quota>>,
}

/// Names of files that are in use.
#[derive(Default)]
struct Names {
    taken: HashSet<PathBuf>,
    /// What the files of each video are called, by its position.
    videos: HashMap<usize, String>,
    /// Names that a video must not have, or its frames would be called as an image is.
    of_images: HashSet<String>,
}

impl RunDirectory {
    /// Makes `project/name`, with a number behind it when it is there already.
    pub fn create(project: &Path, name: &str, exist_ok: bool) -> Result<Self, Failure> {
        fs::create_dir_all(project).map_err(refused(project))?;
        let mut number = 1;
        loop {
            let path = project.join(run_name(name, number));
            match fs::create_dir(&path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists && !exist_ok => number += 1,
                Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                    return Err(refused(&path)(error));
                }
                _ => {
                    return Ok(Self {
                        path,
                        names: Mutex::default(),
                        quota: None,
                    });
                }
            }
        }
    }

    /// Those that [`create`](Self::create) has made and that are still there, in the order of their numbers.
    pub fn existing(project: &Path, name: &str) -> Vec<PathBuf> {
        let number = |entry: fs::DirEntry| {
            let found = entry.file_name().into_string().ok()?;
            let number = match found.strip_prefix(name)? {
                "" => 1,
                behind => behind.strip_prefix('-')?.parse().ok()?,
            };
            (found == run_name(name, number)).then_some(number)
        };
        let entries = fs::read_dir(project).into_iter().flatten().flatten();
        let numbers: BTreeSet<usize> = entries.filter_map(number).collect();
        let paths = numbers
            .into_iter()
            .map(|it| project.join(run_name(name, it)));
        paths.filter(|path| path.is_dir()).collect()
    }

    /// Goes on in a directory where the videos of these positions have these names.
    pub fn resume(path: PathBuf, videos: &BTreeMap<usize, String>) -> Self {
        let file = |stem: &String| path.join(format!("{stem}.{VIDEO_ENDING}"));
        let names = Names {
            taken: videos.values().map(file).collect(),
            videos: videos.clone().into_iter().collect(),
            of_images: HashSet::new(),
        };
        Self {
            path,
            names: Mutex::new(names),
            quota: None,
        }
    }

    /// What the files of each video are called, by its position.
    pub fn video_names(&self) -> BTreeMap<usize, String> {
        self.names().videos.clone().into_iter().collect()
    }

    /// The same, whose files have at most so many bytes together, if any.
    #[must_use]
    pub fn with_quota(self, bytes: Option<u64>) -> Self {
        let quota = bytes.map(|bytes| Mutex::new(Quota::new(bytes)));
        Self { quota, ..self }
    }

    /// Writes a whole file of the run.
    pub fn save(&self, path: &Path, bytes: &[u8]) -> Result<(), Failure> {
        write_whole(path, bytes)?;
        self.saved(path);
        Ok(())
    }

    /// Takes note of a file of the run that was written.
    pub fn saved(&self, path: &Path) {
        if let Some(quota) = &self.quota {
            let quota = quota.lock();
            quota.unwrap_or_else(PoisonError::into_inner).add(path);
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a directory in it.
    pub fn within(&self, name: &str) -> Result<PathBuf, Failure> {
        let path = self.path.join(name);
        fs::create_dir_all(&path).map_err(refused(&path))?;
        Ok(path)
    }

    /// A file in `directory` for what belongs to this image, or to this frame: `clip_3.txt`.
    pub fn file_of(&self, directory: &Path, image: &PredictedImage<'_>, ending: &str) -> PathBuf {
        match image.video {
            None => self.file(directory, &stem(image.source), ending),
            Some(video) => {
                let stem = self.video_stem(image.position, image.source);
                directory.join(format!("{stem}_{}.{ending}", video.frame))
            }
        }
    }

    /// What the files of a video are called, as those of no other.
    pub fn video_stem(&self, position: usize, source: &str) -> String {
        let mut names = self.names();
        if let Some(stem) = names.videos.get(&position) {
            return stem.clone();
        }
        let name = match source.split_once("://") {
            // Without a path that may be shown the host is its name, which has no ending.
            Some((_, address)) if !address.contains('/') || address.ends_with("/***") => {
                let host = address.split('/').next().unwrap_or(address);
                safe(host.rsplit('@').next().unwrap_or(host))
            }
            Some(_) => safe(&stem(source)),
            None => stem(source),
        };
        let is_free = |names: &mut Names, stem: &str| {
            let path = self.path.join(format!("{stem}.{VIDEO_ENDING}"));
            !names.of_images.contains(stem) && names.taken.insert(path)
        };
        let stem = numbered(&name, |stem| is_free(&mut names, stem));
        names.videos.insert(position, stem.clone());
        stem
    }

    /// A file name in `directory` that this run has not used: images of two places may share one, and an image
    /// may be called as a frame is.
    pub fn file(&self, directory: &Path, stem: &str, ending: &str) -> PathBuf {
        let mut names = self.names();
        let path = |stem: &str| directory.join(format!("{stem}.{ending}"));
        let stem = numbered(stem, |stem| {
            let is_frame = video_of(stem)
                .is_some_and(|video| names.videos.values().any(|other| other == video));
            !is_frame && names.taken.insert(path(stem))
        });
        let video = video_of(&stem).map(str::to_owned);
        names.of_images.extend(video);
        path(&stem)
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        let names = self.names.lock();
        names.unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// What the run of this number is called.
fn run_name(name: &str, number: usize) -> String {
    match number {
        1 => name.to_owned(),
        _ => format!("{name}-{number}"),
    }
}

/// `name`, or `name-2`, `name-3`… which is the first that is free.
fn numbered(name: &str, mut is_free: impl FnMut(&str) -> bool) -> String {
    let mut stem = name.to_owned();
    let mut number = 2;
    while !is_free(&stem) {
        stem = format!("{name}-{number}");
        number += 1;
    }
    stem
}

/// The video whose frame, or a crop of it, would be called so: `clip` of `clip_3` and of `clip_3.1`.
fn video_of(stem: &str) -> Option<&str> {
    let (video, frame) = stem.rsplit_once('_')?;
    let is_number = |letter: u8| letter.is_ascii_digit() || letter == b'.';
    (!frame.is_empty() && frame.bytes().all(is_number)).then_some(video)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_run_and_each_image_gets_its_own_place() {
        let project = std::env::temp_dir().join(format!("onelook-runs-{}", std::process::id()));
        let first = RunDirectory::create(&project, "predict", false).unwrap();
        let second = RunDirectory::create(&project, "predict", false).unwrap();
        let again = RunDirectory::create(&project, "predict", true).unwrap();
        assert_eq!(second.path(), project.join("predict-2"));
        assert_eq!(again.path(), first.path());
        let file = |_| first.file(first.path(), "bus", "jpg");
        assert_eq!(file(1), first.path().join("bus.jpg"));
        assert_eq!(file(2), first.path().join("bus-2.jpg"));
        // Also when one of them is gone, and whatever others are called.
        for other in [
            "predict-02",
            "predict-",
            "predict-x",
            "predictions",
            "predict-12",
        ] {
            std::fs::create_dir(project.join(other)).unwrap();
        }
        std::fs::remove_dir(first.path()).unwrap();
        let left = ["predict-2", "predict-12"].map(|name| project.join(name));
        assert_eq!(RunDirectory::existing(&project, "predict"), left);
        assert!(RunDirectory::existing(&project.join("none"), "predict").is_empty());
        std::fs::remove_dir_all(&project).unwrap();
    }

    #[test]
    fn the_files_of_streams_are_called_after_their_paths_or_hosts() {
        let project = std::env::temp_dir().join(format!("onelook-stems-{}", std::process::id()));
        let run = RunDirectory::create(&project, "track", false).unwrap();
        let stems = [
            "rtsp://10.0.0.1/gate",
            "rtsp://10.0.0.2/gate",
            "tcp://10.0.0.3:5000",
            "rtmp://***@10.0.0.4/live/***",
        ];
        let stems = stems.iter().enumerate();
        let stems: Vec<String> = stems.map(|(at, name)| run.video_stem(at, name)).collect();
        assert_eq!(stems, ["gate", "gate-2", "10.0.0.3_5000", "10.0.0.4"]);
        std::fs::remove_dir_all(&project).unwrap();
    }

    #[test]
    fn each_video_has_its_own_name_wherever_the_run_is() {
        let name = format!("onelook-runs#2?-{}", std::process::id());
        let project = std::env::temp_dir().join(name);
        let run = RunDirectory::create(&project, "track", false).unwrap();
        let sources = ["a/clip.mp4", "b/clip.mp4", "a/take#1.mp4", "a/take#2.mp4"];
        let stems = sources.iter().enumerate();
        let stems: Vec<String> = stems.map(|(at, name)| run.video_stem(at, name)).collect();
        assert_eq!(stems, ["clip", "clip-2", "take#1", "take#2"]);
        std::fs::remove_dir_all(&project).unwrap();
    }

    #[test]
    fn an_image_that_is_called_as_a_frame_has_its_own_file() {
        let project = std::env::temp_dir().join(format!("onelook-frames-{}", std::process::id()));
        let run = RunDirectory::create(&project, "predict", false).unwrap();
        let labels = run.path().join("labels");
        let file = |stem: &str| run.file(&labels, stem, "txt");
        // The video comes first.
        assert_eq!(run.video_stem(0, "clip.mp4"), "clip");
        assert_eq!(file("clip_3"), labels.join("clip_3-2.txt"));
        assert_eq!(file("clip_3.1"), labels.join("clip_3.1-2.txt"));
        assert_eq!(file("clip_x"), labels.join("clip_x.txt"));
        // The image comes first.
        assert_eq!(file("gate_7"), labels.join("gate_7.txt"));
        assert_eq!(run.video_stem(1, "gate.mp4"), "gate-2");
        assert_eq!(run.video_stem(1, "gate.mp4"), "gate-2");
        std::fs::remove_dir_all(&project).unwrap();
    }
}
