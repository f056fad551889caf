//! Files of a bounded size in a directory of the server's own: deleted when nobody has them any more.

use std::collections::hash_map::RandomState;
use std::fs::{self, File, TryLockError};
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::admission::ClientKey;
use crate::memory_budget::{MemoryBudget, MemoryShare};
use crate::problem::{Problem, ProblemKind};

/// How directories of this kind are called.
const PREFIX: &str = "onelook-videos-";

/// A file in such a directory that is locked while its server lives.
const LOCK: &str = "lock";

/// Where such files are.
pub struct Spool {
    parent: PathBuf,
    own: OnceLock<(PathBuf, File)>,
    budget: MemoryBudget,
}

impl Spool {
    /// A spool of so many bytes below `parent`, or below the system's directory for temporary files. Nothing
    /// is written before the first file. In a directory of its own, what killed servers have left is removed.
    pub fn new(parent: Option<&Path>, max_bytes: u64) -> Self {
        if let Some(parent) = parent {
            remove_stale(parent);
        }
        Self {
            parent: parent.map_or_else(std::env::temp_dir, Path::to_path_buf),
            own: OnceLock::new(),
            budget: MemoryBudget::new(usize::try_from(max_bytes).unwrap_or(usize::MAX)),
        }
    }

    /// An empty file of this client.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn create(&self, client: &ClientKey, extension: &str) -> io::Result<(SpoolFile, File)> {
        let directory = self.directory()?;
        let path = directory.join(format!("{}.{extension}", random_name()));
        let file = File::create_new(&path)?;
        let share = self.budget.share(client);
        Ok((SpoolFile { path, share }, file))
    }

    fn directory(&self) -> io::Result<&Path> {
        if let Some((own, _)) = self.own.get() {
            return Ok(own);
        }
        // Others of this computer must neither read what is spooled nor put their own in its place.
        let path = self.parent.join(format!("{PREFIX}{}", random_name()));
        fs::create_dir_all(&self.parent)?;
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&path)?;
        let lock = File::create_new(path.join(LOCK))?;
        // Not every file system has locks.
        let _ = lock.try_lock();
        if let Err((unused, _)) = self.own.set((path, lock)) {
            // Another thread was faster.
            let _ = fs::remove_dir_all(unused);
        }
        self.own
            .get()
            .map(|(own, _)| own.as_path())
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        if let Some((own, _)) = self.own.get() {
            let _ = fs::remove_dir_all(own);
        }
    }
}

fn remove_stale(parent: &Path) {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    for entry in entries {
        let is_ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        if is_ours && !is_in_use(&entry.path()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Whether a server that lives has this directory.
fn is_in_use(directory: &Path) -> bool {
    let lock = File::open(directory.join(LOCK));
    lock.is_ok_and(|lock| matches!(lock.try_lock(), Err(TryLockError::WouldBlock)))
}

/// 16 letters that nobody can guess.
pub fn random_name() -> String {
    format!("{:016x}", RandomState::new().build_hasher().finish())
}

/// A file of the spool, which goes with this.
pub struct SpoolFile {
    path: PathBuf,
    share: MemoryShare,
}

impl SpoolFile {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes room for so many bytes more, before they are written.
    ///
    /// # Errors
    /// The spool is full, or this client has its share.
    pub fn grow(&self, bytes: usize) -> Result<(), Problem> {
        self.share.grow(bytes).map_err(|problem| {
            let detail = match problem.kind {
                ProblemKind::TooMany => {
                    "this client's videos and results take up its share of the space for them: remove some \
                     with DELETE"
                }
                _ => {
                    "the space for videos is taken: try again later, or start the server with a larger \
                      --video-spool-size"
                }
            };
            Problem::new(problem.kind, detail).retry_after(std::time::Duration::from_secs(30))
        })
    }
}

impl Drop for SpoolFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn files_are_bounded_by_client_and_go_with_their_owner() {
        let parent = std::env::temp_dir().join(format!("onelook-spool-{}", random_name()));
        let stale = parent.join(format!("{PREFIX}old"));
        fs::create_dir_all(&stale).unwrap();
        fs::write(parent.join("mine.txt"), "kept").unwrap();
        let spool = Spool::new(Some(&parent), 100);
        assert!(!stale.exists() && parent.join("mine.txt").exists());
        let client: ClientKey = Arc::from("a");
        let (one, _) = spool.create(&client, "mp4").unwrap();
        let (two, _) = spool.create(&client, "mp4").unwrap();
        assert!(one.grow(40).is_ok());
        let refused = two.grow(30).unwrap_err();
        assert_eq!(refused.kind, ProblemKind::TooMany);
        assert!(refused.detail.contains("DELETE"));
        let path = one.path().to_path_buf();
        drop(Spool::new(Some(&parent), 100));
        assert!(path.exists(), "another server leaves it alone");
        drop(one);
        assert!(!path.exists() && two.grow(50).is_ok());
        drop((two, spool));
        let left = fs::read_dir(&parent).unwrap().count();
        assert_eq!(left, 1, "only what is not the spool's");
        fs::remove_dir_all(&parent).unwrap();
    }
}
