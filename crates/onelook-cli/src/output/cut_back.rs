//! Takes away what a run that was ended has left behind its last checkpoint.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::failure::{Failure, refused};

/// How deep files of a run lie: `crops/CLASS/NAME`.
const DEPTH: usize = 3;

/// Removes files that were not finished but for those of `kept`, and what belongs to frames of the video `stem`
/// behind `frames`.
pub fn cut_back(
    directory: &Path,
    kept: &HashSet<PathBuf>,
    stem: Option<&str>,
    frames: u64,
) -> Result<(), Failure> {
    let is_kept = |path: &Path, name: &str| {
        let is_part = name.starts_with(".onelook-") && name.contains(".part");
        let is_behind = stem.is_some_and(|stem| {
            let number = frame_number(directory, path, name, stem);
            number.is_some_and(|number| number > frames)
        });
        !is_behind && (!is_part || kept.contains(path))
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

/// The frame of the video that a file belongs to: `labels/clip_7.txt`, `crops/car/clip_7.1.jpg`,
/// `clip_frames/7.jpg`.
fn frame_number(directory: &Path, path: &Path, name: &str, stem: &str) -> Option<u64> {
    let place = path.parent()?;
    if place == directory {
        return None;
    }
    let number = match place.file_name().and_then(OsStr::to_str) {
        Some(frames) if frames.strip_suffix("_frames") == Some(stem) => name,
        _ => name.strip_prefix(stem)?.strip_prefix('_')?,
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
            ".onelook-1-2-3.part.mp4",
            "labels/a_7.txt",
            "labels/a_b_9.txt",
            "labels/b_9.txt",
            "crops/car/a_7.2.jpg",
            "a_frames/7.jpg",
        ];
        let go = [
            ".onelook-1-2-4.part.mp4",
            "labels/a_8.txt",
            "labels/a_10.txt",
            "labels/.onelook-1-7.part",
            "crops/car/a_8.1.jpg",
            "a_frames/8.jpg",
        ];
        for name in stay.iter().chain(&go) {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, name).unwrap();
        }
        let kept = HashSet::from([root.join(stay[2])]);
        cut_back(&root, &kept, Some("a"), 7).unwrap();
        for name in stay {
            assert!(root.join(name).exists(), "{name}");
        }
        for name in go {
            assert!(!root.join(name).exists(), "{name}");
        }
        fs::remove_dir_all(&root).unwrap();
    }
}
