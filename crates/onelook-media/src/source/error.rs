//! Why a source cannot be had; each message names the word and what to do.

use crate::video::VideoError;
use crate::{DecodeError, ExceededLimit};

/// Why a source, or one image or video of it, cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// No source was named.
    #[error(
        "no source given: name an image, a video, a directory, a glob, a list file (.txt, .streams), an address, a camera (0) or '-'"
    )]
    Nothing,
    /// A path leads nowhere.
    #[error("'{name}' does not exist: check the path (seen from the current directory)")]
    Missing {
        /// The path.
        name: String,
    },
    /// A directory, glob or list holds neither an image nor a video.
    #[error(
        "{place} holds no image and no video: expected files ending in jpg, jpeg, png, webp, bmp, tif, tiff, gif, mp4, mkv, mov, avi, webm or ts"
    )]
    NoImages {
        /// Which directory, glob or list.
        place: String,
    },
    /// A live stream among other sources, which would never have their turn.
    #[error(
        "'{name}' is a live stream, which has no end: what comes beside it would never have its turn. Pass it alone"
    )]
    LiveAmongOthers {
        /// The stream.
        name: String,
    },
    /// An image among videos and live streams that run at once.
    #[error(
        "'{name}' is no video: live streams, and the videos of a .streams list, run at once and only with each other. Run it by itself"
    )]
    ImageAmongStreams {
        /// The image.
        name: String,
    },
    /// A video or live stream in a list that is to name images.
    #[error(
        "'{name}' is a video or a live stream: this list is to name images, pass videos with --source"
    )]
    VideoAmongImages {
        /// The video.
        name: String,
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
    /// A video gives no frames, or no more.
    #[error("'{name}': {source}")]
    Video {
        /// Path or address of the video, without passwords.
        name: String,
        /// Why.
        source: VideoError,
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
            &Self::Video {
                source:
                    VideoError::TooManyPixels {
                        width,
                        height,
                        max_pixels: allowed,
                    },
                ..
            } => Some(ExceededLimit::Pixels {
                claimed: width.saturating_mul(height),
                allowed,
            }),
            _ => None,
        }
    }
}
