//! Machine code kept between runs: a key of all that it depends on in, the bytes out if they are
//! there and whole.
//!
//! Never fatal: a cache that cannot be read or written costs time only. Several processes may
//! share a folder: entries appear whole, by renaming. Whoever can write the folder decides what
//! runs on the GPU, so it belongs to the user alone.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

use super::Context;

const MAGIC: [u8; 16] = *b"onelook cubin 1\n";
const HEADER_BYTES: usize = 16 + 32 + 8 + 32;
const LIMIT_BYTES: u64 = 512 << 20;
/// No kernel is near this.
const ENTRY_LIMIT_BYTES: u64 = 64 << 20;
/// A temporary file of this age was left by a process that died.
const ABANDONED: Duration = Duration::from_secs(3600);

/// A folder of compiled kernels.
pub struct CubinCache {
    folder: PathBuf,
    limit_bytes: u64,
    problem: OnceLock<String>,
}

/// What an entry depends on, hashed.
pub(super) struct Key([u8; 32]);

impl Key {
    fn file_name(&self) -> String {
        let digits = self.0.iter().map(|byte| format!("{byte:02x}"));
        digits.collect::<String>() + ".cubin"
    }
}

impl CubinCache {
    /// A cache in this folder, which is made when something is to be kept.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            limit_bytes: LIMIT_BYTES,
            problem: OnceLock::new(),
        }
    }

    /// Keeps at most so many bytes; the oldest entries go first.
    #[must_use]
    pub fn with_limit(mut self, bytes: u64) -> Self {
        self.limit_bytes = bytes;
        self
    }

    /// Finds out whether something can be kept, before it takes time to make.
    pub fn try_out(&self) {
        let path = self.folder.join(format!("{}-probe.tmp", process::id()));
        let written = make_folder(&self.folder).and_then(|()| fs::write(&path, b""));
        if let Err(error) = written {
            self.note(&path, &error);
        }
        let _ = fs::remove_file(&path);
    }

    /// Why it could not keep something, the first time.
    pub fn problem(&self) -> Option<&str> {
        self.problem.get().map(String::as_str)
    }

    /// The key of a kernel's text on this GPU with this driver.
    pub(super) fn key(&self, context: &Context, ptx: &str) -> Key {
        let device = context.device();
        let [major, minor] = device.capability;
        let version = context.driver().version().0;
        let mut hasher = Sha256::new();
        hasher.update(MAGIC);
        hasher.update(format!("{}|{major}.{minor}|{version}|", device.name));
        hasher.update(ptx);
        Key(hasher.finalize().into())
    }

    /// The entry, if it is whole; anything else in its place is removed.
    pub(super) fn get(&self, key: &Key) -> Option<Vec<u8>> {
        let path = self.folder.join(key.file_name());
        let bytes = match read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                self.note(&path, &error);
                return None;
            }
        };
        let cubin = unwrap(key, &bytes).map(<[u8]>::to_vec);
        if cubin.is_none() {
            let _ = fs::remove_file(&path);
        }
        cubin
    }

    /// Keeps an entry.
    pub(super) fn put(&self, key: &Key, cubin: &[u8]) {
        let path = self.folder.join(key.file_name());
        if let Err(error) = self.store(&path, &wrap(key, cubin)) {
            self.note(&path, &error);
        }
        self.evict();
    }

    fn store(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        make_folder(&self.folder)?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let temporary = path.with_extension(format!("{}-{number}.tmp", process::id()));
        let stored = fs::write(&temporary, bytes).and_then(|()| fs::rename(&temporary, path));
        if stored.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        stored
    }

    fn note(&self, path: &Path, error: &io::Error) {
        self.problem.get_or_init(|| {
            format!(
                "compiled kernels cannot be kept in '{}': {error}; each start compiles them anew",
                path.parent().unwrap_or(path).display()
            )
        });
    }

    /// Removes the oldest entries until the limit is kept. Another process may do the same at the
    /// same time: a file that is gone already is no problem.
    fn evict(&self) {
        let Ok(listing) = fs::read_dir(&self.folder) else {
            return;
        };
        let mut entries = Vec::new();
        for entry in listing.flatten() {
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            let (path, changed) = (entry.path(), metadata.modified());
            let changed = changed.unwrap_or(SystemTime::UNIX_EPOCH);
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("cubin") => entries.push((changed, metadata.len(), path)),
                Some("tmp") if changed.elapsed().is_ok_and(|age| age > ABANDONED) => {
                    let _ = fs::remove_file(&path);
                }
                _ => {}
            }
        }
        entries.sort();
        let mut total: u64 = entries.iter().map(|(_, bytes, _)| bytes).sum();
        for (_, bytes, path) in entries {
            if total <= self.limit_bytes {
                break;
            }
            let _ = fs::remove_file(path);
            total -= bytes;
        }
    }
}

/// For the user's eyes and hands only, where the system knows such rights.
fn make_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path)?;
    file.take(ENTRY_LIMIT_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Magic, key, length and sum before the machine code.
fn wrap(key: &Key, cubin: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + cubin.len());
    bytes.extend(MAGIC);
    bytes.extend(key.0);
    bytes.extend((cubin.len() as u64).to_le_bytes());
    bytes.extend(Sha256::digest(cubin));
    bytes.extend(cubin);
    bytes
}

/// The machine code, if everything before it is right.
fn unwrap<'a>(key: &Key, bytes: &'a [u8]) -> Option<&'a [u8]> {
    let (header, cubin) = bytes.split_at_checked(HEADER_BYTES)?;
    (header == &wrap(key, cubin)[..HEADER_BYTES]).then_some(cubin)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("onelook-cubins-{name}-{}", process::id()));
        let _ = fs::remove_dir_all(&folder);
        folder
    }

    #[test]
    fn an_entry_comes_back_and_only_under_its_own_key() {
        let cache = CubinCache::new(folder("own-key"));
        let (one, two) = (Key([1; 32]), Key([2; 32]));
        assert_eq!(cache.get(&one), None);
        cache.put(&one, b"machine code");
        assert_eq!(cache.get(&one).as_deref(), Some(&b"machine code"[..]));
        let path = |key: &Key| cache.folder.join(key.file_name());
        fs::copy(path(&one), path(&two)).unwrap();
        assert_eq!(cache.get(&two), None);
        assert!(!path(&two).exists(), "what is foreign is removed");
        assert_eq!(cache.problem(), None);
        fs::remove_dir_all(&cache.folder).unwrap();
    }

    #[test]
    fn damage_anywhere_is_noticed() {
        let key = Key([7; 32]);
        let whole = wrap(&key, b"machine code");
        assert_eq!(unwrap(&key, &whole), Some(&b"machine code"[..]));
        for position in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[position] ^= 1;
            assert_eq!(unwrap(&key, &damaged), None, "{position}");
            assert_eq!(unwrap(&key, &whole[..position]), None, "{position}");
        }
        let longer = [&whole[..], b"!"].concat();
        assert_eq!(unwrap(&key, &longer), None);
    }

    #[test]
    fn the_oldest_entries_leave_a_full_cache() {
        let entry = (HEADER_BYTES + 100) as u64;
        let cache = CubinCache::new(folder("full")).with_limit(2 * entry);
        let keys = [Key([1; 32]), Key([2; 32]), Key([3; 32])];
        for (age, key) in [30, 20].into_iter().zip(&keys) {
            cache.put(key, &[0; 100]);
            let file = File::options()
                .write(true)
                .open(cache.folder.join(key.file_name()));
            let changed = SystemTime::now() - Duration::from_secs(age);
            file.unwrap().set_modified(changed).unwrap();
        }
        cache.put(&keys[2], &[0; 100]);
        let kept = keys.map(|key| cache.get(&key).is_some());
        assert_eq!(kept, [false, true, true]);
        fs::remove_dir_all(&cache.folder).unwrap();
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_a_remark_not_an_error() {
        let file = folder("file");
        fs::write(&file, "no folder").unwrap();
        let cache = CubinCache::new(file.join("below"));
        cache.put(&Key([1; 32]), b"machine code");
        assert!(
            cache
                .problem()
                .is_some_and(|words| words.contains("each start compiles"))
        );
        fs::remove_file(&file).unwrap();
    }
}
