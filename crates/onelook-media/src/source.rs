//! Words of the user in, encoded pictures out, one after the other and in a fixed order.
//!
//! What the words mean is settled when the source is opened; bytes are read when their turn comes,
//! so that one unreadable file among a thousand is one failed item.

mod read;
mod spec;

use std::path::PathBuf;
use std::sync::Arc;

pub use spec::PICTURE_EXTENSIONS;

use crate::Limits;

/// Gets what an HTTP address holds; the caller brings the client.
pub trait Fetch: Send + Sync {
    /// The body at `url`, an error if it has more than `max_bytes`.
    fn fetch(&self, url: &str, max_bytes: u64) -> Result<Vec<u8>, String>;
}

impl<F> Fetch for F
where
    F: Fn(&str, u64) -> Result<Vec<u8>, String> + Send + Sync,
{
    fn fetch(&self, url: &str, max_bytes: u64) -> Result<Vec<u8>, String> {
        self(url, max_bytes)
    }
}

/// How sources are read.
#[derive(Clone)]
pub struct SourceOptions {
    /// Most bytes of one picture, checked before it is read.
    pub max_bytes: u64,
    /// Gets `http://` and `https://` addresses; without it they are refused.
    pub fetch: Option<Arc<dyn Fetch>>,
}

impl Default for SourceOptions {
    fn default() -> Self {
        Self {
            max_bytes: Limits::default().max_bytes,
            fetch: None,
        }
    }
}

/// Why a source, or one picture of it, cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// No source was named.
    #[error(
        "no source given: name a picture, a directory, a glob, a list file (.txt), an http(s) address or '-'"
    )]
    Nothing,
    /// A path leads nowhere.
    #[error("'{name}' does not exist: check the path (seen from the current directory)")]
    Missing {
        /// The path.
        name: String,
    },
    /// A directory, glob or list holds no picture.
    #[error(
        "{place} holds no picture: expected files ending in jpg, jpeg, png, webp, bmp, tif, tiff or gif"
    )]
    NoPictures {
        /// Which directory, glob or list.
        place: String,
    },
    /// A kind of source that this version does not read.
    #[error(
        "'{name}' is {kind}, which is not supported yet in this version: extract its frames as pictures and pass their directory"
    )]
    NotYet {
        /// The source.
        name: String,
        /// What it is.
        kind: &'static str,
    },
    /// The system refused to read.
    #[error("'{name}' cannot be read: {reason}")]
    Unreadable {
        /// The path.
        name: String,
        /// What the system said.
        reason: String,
    },
    /// Larger than [`SourceOptions::max_bytes`].
    #[error("'{name}' has more than {max_bytes} bytes: raise the limit if you trust it")]
    TooLarge {
        /// The source.
        name: String,
        /// The limit.
        max_bytes: u64,
    },
    /// A glob that breaks the rules of globs.
    #[error("'{name}' is not a valid glob: {reason}")]
    BadGlob {
        /// The glob.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// An address, but nobody to fetch it.
    #[error(
        "'{name}' is an address, but this program was set up without a client to fetch it: download it first"
    )]
    NoFetch {
        /// The address.
        name: String,
    },
    /// An address could not be fetched.
    #[error("'{name}' could not be fetched: {reason}")]
    Fetch {
        /// The address.
        name: String,
        /// What the client said.
        reason: String,
    },
}

/// One encoded picture.
#[derive(Debug)]
pub struct SourceItem {
    /// Path or address as the user knows it; `-` for standard input.
    pub name: String,
    /// Where it lies, for files.
    pub path: Option<PathBuf>,
    /// The file's bytes, or why there are none.
    pub bytes: Result<Vec<u8>, SourceError>,
}

/// Where one picture is to be had.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Entry {
    File { name: String, path: PathBuf },
    Address(String),
    StandardInput,
}

/// Pictures to come. `len()` tells how many are left.
pub struct Source {
    entries: std::vec::IntoIter<Entry>,
    options: SourceOptions,
}

impl Source {
    /// Settles what `spec` means, word by word, and opens nothing but directories and lists.
    ///
    /// A word is a picture file, a directory (its pictures, not those of directories within, by
    /// name), a glob (its pictures, by path), a `.txt` list (a path or address per line, paths seen
    /// from the list or from the current directory), an `http(s)://` address, or `-`.
    pub fn open(spec: &[String], options: &SourceOptions) -> Result<Self, SourceError> {
        let mut entries = Vec::new();
        for word in spec {
            entries.extend(spec::expand(word)?);
        }
        if entries.is_empty() {
            return Err(SourceError::Nothing);
        }
        let address = entries.iter().find_map(|entry| match entry {
            Entry::Address(name) => Some(name),
            _ => None,
        });
        match address {
            Some(name) if options.fetch.is_none() => {
                Err(SourceError::NoFetch { name: name.clone() })
            }
            _ => Ok(Self {
                entries: entries.into_iter(),
                options: options.clone(),
            }),
        }
    }
}

impl Iterator for Source {
    type Item = SourceItem;

    fn next(&mut self) -> Option<SourceItem> {
        self.entries
            .next()
            .map(|entry| read::read(entry, &self.options))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.entries.size_hint()
    }
}

impl ExactSizeIterator for Source {}
