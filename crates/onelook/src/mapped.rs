//! A model file's bytes without a copy: mapped into memory where that is possible.

use std::fs::File;
use std::io::Read;
use std::ops::Deref;
use std::path::Path;

use memmap2::Mmap;

use crate::Error;

/// The bytes of a file.
pub(crate) enum FileBytes {
    Mapped(Mmap),
    Read(Vec<u8>),
}

impl FileBytes {
    /// Opens `path`; what cannot be mapped (a pipe, an empty file) is read, up to `max_bytes`.
    pub(crate) fn open(path: &Path, max_bytes: u64) -> Result<Self, Error> {
        let refuse = |error| Error::file(path, error);
        let file = File::open(path).map_err(refuse)?;
        if file.metadata().map_err(refuse)?.is_dir() {
            return Err(refuse(std::io::Error::other(
                "it is a directory, expected a model file",
            )));
        }
        // SAFETY: the mapping is read-only and private to this process. Should another process
        // truncate the file while it is read, the system may end us with a bus error, as with any
        // mapped file; readers copy what they keep before `open`'s caller returns.
        match unsafe { Mmap::map(&file) } {
            Ok(map) if !map.is_empty() => Ok(Self::Mapped(map)),
            _ => {
                let mut bytes = Vec::new();
                file.take(max_bytes)
                    .read_to_end(&mut bytes)
                    .map_err(refuse)?;
                Ok(Self::Read(bytes))
            }
        }
    }
}

impl Deref for FileBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Read(bytes) => bytes,
        }
    }
}
