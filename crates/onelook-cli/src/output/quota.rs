//! How much disk the files of a run may take: the oldest go first.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};

/// Small files take a block of the disk each.
const BLOCK: u64 = 4096;

/// Files of a run, and how many bytes they may have together.
pub struct Quota {
    limit: u64,
    used: u64,
    /// The oldest first.
    files: VecDeque<(PathBuf, u64)>,
}

impl Quota {
    /// No files yet, `limit` bytes.
    pub fn new(limit: u64) -> Self {
        Self {
            limit,
            used: 0,
            files: VecDeque::new(),
        }
    }

    /// Takes note of a file that was saved, and removes the oldest until all fit again. The newest stays,
    /// however large.
    pub fn add(&mut self, path: &Path) {
        let Ok(metadata) = fs::metadata(path) else {
            return;
        };
        let bytes = metadata.len().next_multiple_of(BLOCK).max(BLOCK);
        self.used += bytes;
        self.files.push_back((path.to_owned(), bytes));
        while self.used > self.limit && self.files.len() > 1 {
            let Some((oldest, bytes)) = self.files.pop_front() else {
                return;
            };
            self.used -= bytes;
            // Somebody may have taken it away.
            let _ = fs::remove_file(oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_files_go_and_the_newest_stays() {
        let root = std::env::temp_dir().join(format!("onelook-quota-{}", std::process::id()));
        fs::create_dir_all(&root).unwrap();
        let mut quota = Quota::new(3 * BLOCK);
        let mut save = |name: &str, bytes: usize| {
            let path = root.join(name);
            fs::write(&path, vec![7; bytes]).unwrap();
            quota.add(&path);
            let mut left: Vec<String> = fs::read_dir(&root)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            left.sort();
            left.join(" ")
        };
        assert_eq!(save("a", 0), "a");
        assert_eq!(save("b", 4096), "a b");
        assert_eq!(save("c", 1), "a b c");
        assert_eq!(save("d", 4097), "c d");
        assert_eq!(save("e", 100_000), "e");
        assert_eq!(save("f", 1), "f");
        fs::remove_dir_all(&root).unwrap();
    }
}
