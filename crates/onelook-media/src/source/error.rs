//! Why a source cannot be had; each message names the word and what to do.

use crate::{DecodeError, ExceededLimit};

/// Why a source, or one image of it, cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// No source was named.
    #[error(
        "no source given: name an image, a directory, a glob, a list file (.txt), an http(s) address or '-'"
    )]
    Nothing,
    /// A path leads nowhere.
    #[error("'{name}' does not exist: check the path (seen from the current directory)")]
    Missing {
        /// The path.
        name: String,
    },
    /// A directory, glob or list holds no image.
    #[error(
        "{place} holds no image: expected files ending in jpg, jpeg, png, webp, bmp, tif, tiff or gif"
    )]
    NoImages {
        /// Which directory, glob or list.
        place: String,
    },
    /// A kind of source that this version does not read.
    #[error(
        "'{name}' is {kind}, which is not supported yet in this version: extract its frames as images and pass their directory"
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
    /// Larger than [`Limits::max_bytes`](crate::Limits::max_bytes).
    #[error("'{name}' has more than {max_bytes} bytes, the limit for one file: pass a smaller one")]
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
    /// The bytes were read, but did not become a frame.
    #[error("'{name}': {source}")]
    Decode {
        /// Path or address of the image.
        name: String,
        /// Why.
        source: DecodeError,
    },
}

impl SourceError {
    /// The limit that an image exceeds, if that is why it was refused.
    pub fn exceeded_limit(&self) -> Option<ExceededLimit> {
        match self {
            Self::TooLarge { max_bytes, .. } => Some(ExceededLimit::Bytes {
                allowed: *max_bytes,
            }),
            Self::Decode { source, .. } => source.exceeded_limit(),
            _ => None,
        }
    }
}
