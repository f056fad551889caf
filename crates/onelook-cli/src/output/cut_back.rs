//! Takes away what a run that was ended has left behind its last checkpoint.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::Path;

use crate::failure::{Failure, refused};

/// How deep files of a run lie: `crops/CLASS/NAME`.
const DEPTH: usize = 3;

/// Removes files that were not finished, but for those of these names and those of other programs that run, and
/// what belongs to frames of the video `stem` behind `frames`.
pub fn cut_back(
    directory: &Path,
    kept: &HashSet<OsString>,
    stem: Option<&str>,
    frames: u64,
) -> Result<(), Failure> {
    let is_kept = |path: &Path, name: &str| {
        let is_behind = stem.is_some_and(|stem| {
            let number = frame_number(directory, path, stem);
            number.is_some_and(|number| number > frames)
        });
        !is_behind && (!is_left_over(name) || kept.contains(OsStr::new(name)))
    };
    remove(directory, DEPTH, &is_kept).map_err(refused(directory))
}

fn remove(directory: &Path, depth: usize, is_kept: &dyn Fn(&Path, &str) -> bool) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            if depth > 1 {
                remove(&path, depth - 1, is_kept)?;
            }
        } else if let Some(name) = entry.file_name().to_str()
            && !is_kept(&path, name)
        {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// Whether this is a file that was not finished, `.onelook-PROCESS-….part…`, of a program that is gone. Its
/// number may be that of this one, as it is in containers.
fn is_left_over(name: &str) -> bool {
    let Some(process) = name.strip_prefix(".onelook-") else {
        return false;
    };
    let process = process.split('-').next().unwrap_or_default();
    let is_own = process == std::process::id().to_string();
    name.contains(".part") && (is_own || !Path::new("/proc").join(process).exists())
}

/// The frame of the video that a file belongs to: `labels/clip_7.txt`, `crops/car/clip_7.1.jpg`,
/// `clip_frames/7.jpg`. Of other files in the directory, which may be the user's, nothing is known.
fn frame_number(directory: &Path, path: &Path, stem: &str) -> Option<u64> {
    let parts = path.strip_prefix(directory).ok()?.iter();
    let parts: Vec<&str> = parts.map(OsStr::to_str).collect::<Option<_>>()?;
    let number = match parts[..] {
        ["labels", name] | ["crops", _, name] => name.strip_prefix(stem)?.strip_prefix('_')?,
        [frames, name] if frames.strip_suffix("_frames") == Some(stem) => name,
        _ => return None,
    };
    number.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_behind_a_frame_goes_and_all_else_stays() {
        let root = std::env::temp_dir().join(format!("onelook-cut-{}", std::process::id()));
        let stay = [
            "predictions.csv",
            "a_9.mp4",
            ".onelook-4000000001-2-3.part.mp4",
            "labels/a_7.txt",
            "labels/a_b_9.txt",
            "labels/b_9.txt",
            "crops/car/a_7.2.jpg",
            "a_frames/7.jpg",
            // Of the user.
            "images/a_8.jpg",
            "labels/train/a_8.txt",
            "sets/a_frames/8.jpg",
        ];
        let own = format!(".onelook-{}-2-4.part.mp4", std::process::id());
        let go = [
            ".onelook-4000000001-2-4.part.mp4",
            &own,
            "labels/a_8.txt",
            "labels/a_10.txt",
            "labels/.onelook-4000000001-7.part",
            "crops/car/a_8.1.jpg",
            "a_frames/8.jpg",
        ];
        for name in stay.iter().chain(&go) {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, name).unwrap();
        }
        let kept = HashSet::from([OsString::from(stay[2])]);
        cut_back(&root, &kept, Some("a"), 7).unwrap();
        for name in stay {
            assert!(root.join(name).exists(), "{name}");
        }
        for name in go {
            assert!(!root.join(name).exists(), "{name}");
        }
        fs::remove_dir_all(&root).unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_another_program_is_at_is_not_left_over() {
        let name = |process: u32| format!(".onelook-{process}-1.part");
        assert!(!is_left_over(&name(std::os::unix::process::parent_id())));
        assert!(is_left_over(&name(std::process::id())));
        assert!(!is_left_over(".onelook-resume"));
    }
}
