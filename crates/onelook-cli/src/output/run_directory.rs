//! A directory of its own for each run: `predict`, `predict-2`, `predict-3`…

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::predicted::PredictedImage;
use crate::failure::{Failure, refused};

/// Of annotated videos.
pub const VIDEO_ENDING: &str = "mp4";

/// The directory of this run.
pub struct RunDirectory {
    path: PathBuf,
    taken: Mutex<HashSet<PathBuf>>,
    /// What the files of each video are called, by its position.
    videos: Mutex<HashMap<usize, String>>,
}

impl RunDirectory {
    /// Makes `project/name`, with a number behind it when it is there already.
    pub fn create(project: &Path, name: &str, exist_ok: bool) -> Result<Self, Failure> {
        fs::create_dir_all(project).map_err(refused(project))?;
        let mut number = 1;
        loop {
            let path = match number {
                1 => project.join(name),
                _ => project.join(format!("{name}-{number}")),
            };
            match fs::create_dir(&path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists && !exist_ok => number += 1,
                Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                    return Err(refused(&path)(error));
                }
                _ => {
                    return Ok(Self {
                        path,
                        taken: Mutex::default(),
                        videos: Mutex::default(),
                    });
                }
            }
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
        let mut videos = self
            .videos
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let name = || {
            let name = match source.split_once("://") {
                // Without a path the host is its name, which has no ending.
                Some((_, host)) if !host.contains('/') => safe(host),
                Some(_) => safe(&stem(source)),
                None => stem(source),
            };
            let path = self.file(&self.path, &name, VIDEO_ENDING);
            stem(&path.to_string_lossy())
        };
        videos.entry(position).or_insert_with(name).clone()
    }

    /// A file name in `directory` that this run has not used: images of two places may share one.
    pub fn file(&self, directory: &Path, stem: &str, ending: &str) -> PathBuf {
        let mut taken = self
            .taken
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut path = directory.join(format!("{stem}.{ending}"));
        let mut number = 2;
        while !taken.insert(path.clone()) {
            path = directory.join(format!("{stem}-{number}.{ending}"));
            number += 1;
        }
        path
    }
}

/// The name of an image without directory and ending; `-` is `stdin`.
pub fn stem(source: &str) -> String {
    let name = source.split(['?', '#']).next().unwrap_or(source);
    let stem = Path::new(name).file_stem().unwrap_or_default();
    match stem.to_string_lossy().as_ref() {
        "" => "image".to_owned(),
        "-" => "stdin".to_owned(),
        stem => stem.to_owned(),
    }
}

/// A class name that is safe as the name of a directory.
pub fn safe(name: &str) -> String {
    let safe = |letter: char| letter.is_alphanumeric() || " -_.".contains(letter);
    let name: String = name
        .chars()
        .map(|letter| if safe(letter) { letter } else { '_' })
        .collect();
    match name.trim_matches('.') {
        "" => "_".to_owned(),
        name => name.to_owned(),
    }
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
        ];
        let stems = stems.iter().enumerate();
        let stems: Vec<String> = stems.map(|(at, name)| run.video_stem(at, name)).collect();
        assert_eq!(stems, ["gate", "gate-2", "10.0.0.3_5000"]);
        std::fs::remove_dir_all(&project).unwrap();
    }

    #[test]
    fn names_cannot_lead_out_of_the_directory() {
        assert_eq!(safe("../../etc"), "_.._etc");
        assert_eq!(safe("traffic light"), "traffic light");
        assert_eq!(safe(".."), "_");
        assert_eq!(stem("/a/b.c/bus.jpg"), "bus");
        assert_eq!(stem("http://host/x/bus.jpg?size=2"), "bus");
        assert_eq!(stem("-"), "stdin");
    }
}
