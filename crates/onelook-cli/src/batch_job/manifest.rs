//! A list of images: its lines, and those of one shard.

use std::fs;
use std::path::{Path, PathBuf};

use onelook::printable::printable_path;
use onelook::registry::sha256_of;

use crate::failure::{Failure, refused};
use crate::flags::Shard;

/// Memory for paths, not for images.
const MAX_BYTES: u64 = 4 << 30;

/// One shard of a list of images.
pub struct Manifest {
    /// Where paths are seen from.
    pub home: PathBuf,
    /// Lines of the whole list that are not blank.
    pub total: usize,
    /// Which of them is the shard's first, from 0.
    pub first: usize,
    /// The shard's lines.
    pub lines: Vec<String>,
    /// Of the file, in hexadecimal.
    pub sha256: String,
}

impl Manifest {
    /// The shard's lines of the file; shards follow one another in the file.
    pub fn read(path: &Path, shard: Shard) -> Result<Self, Failure> {
        let size = fs::metadata(path).map_err(refused(path))?.len();
        if size > MAX_BYTES {
            let name = printable_path(path);
            let text = format!("'{name}' has {size} bytes, the limit is {MAX_BYTES}: split it");
            return Err(Failure::failed("file", text));
        }
        let sha256 = sha256_of(path).map_err(refused(path))?;
        let text = fs::read_to_string(path).map_err(refused(path))?;
        let lines = || {
            let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim);
            lines.filter(|line| !line.is_empty())
        };
        let total = lines().count();
        if total == 0 {
            let name = printable_path(path);
            let text = format!("'{name}' names no image: expected a path or address per line");
            return Err(Failure::failed("source", text));
        }
        let range = range(total, shard);
        Ok(Self {
            home: path.parent().unwrap_or(Path::new("")).to_owned(),
            total,
            first: range.start,
            lines: lines()
                .skip(range.start)
                .take(range.len())
                .map(str::to_owned)
                .collect(),
            sha256,
        })
    }
}

/// Which lines of so many are the shard's: all shards together have each once, and their sizes differ by one
/// at most.
pub fn range(total: usize, shard: Shard) -> std::ops::Range<usize> {
    let begin = |index: usize| (total as u128 * index as u128 / shard.count as u128) as usize;
    begin(shard.index)..begin(shard.index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_have_each_line_once() {
        for total in [1, 2, 7, 100, 101] {
            for count in [1, 2, 3, 8, 150] {
                let shards = (0..count).map(|index| range(total, Shard { index, count }));
                let lines: Vec<usize> = shards.clone().flatten().collect();
                assert!(lines.into_iter().eq(0..total), "{total} in {count}");
                let sizes: Vec<usize> = shards.map(|it| it.len()).collect();
                let [least, most] = [sizes.iter().min(), sizes.iter().max()].map(Option::unwrap);
                assert!(most - least <= 1);
            }
        }
    }
}
