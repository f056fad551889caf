//! Why bytes did not become a frame; each message names the format and what to do.

use std::fmt;

use crate::ImageFormat;

/// Why bytes did not become a frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// There are no bytes.
    #[error("the file is empty: is it still being written, or was a download cut off?")]
    Empty,
    /// The first bytes belong to no format that can be read.
    #[error("{what}: convert it to JPEG, PNG, WebP, BMP, TIFF or GIF")]
    UnknownFormat {
        /// What the bytes look like.
        what: String,
    },
    /// The file is larger than [`Limits::max_bytes`](crate::Limits::max_bytes).
    #[error("the file has {bytes} bytes, more than the limit of {max_bytes}: scale the image down")]
    TooManyBytes {
        /// Size of the file.
        bytes: u64,
        /// The limit.
        max_bytes: u64,
    },
    /// The image claims more pixels than [`Limits::max_pixels`](crate::Limits::max_pixels).
    #[error(
        "this {format} claims {width}x{height} pixels, more than the limit of {max_pixels}: scale it down"
    )]
    TooManyPixels {
        /// Its format.
        format: ImageFormat,
        /// Width that the header claims.
        width: u64,
        /// Height that the header claims.
        height: u64,
        /// The limit.
        max_pixels: u64,
    },
    /// The bytes break the rules of their format.
    #[error("this {format} is damaged or cut short ({reason}): fetch or export it again")]
    Corrupt {
        /// Its format.
        format: ImageFormat,
        /// What is wrong.
        reason: String,
    },
    /// A kind of image within the format that cannot be read.
    #[error("this {format} is of a kind that is not supported ({what}): convert it to 8-bit RGB")]
    Unsupported {
        /// Its format.
        format: ImageFormat,
        /// What is not supported.
        what: String,
    },
}

/// Which bound of [`Limits`](crate::Limits) refused an image. The program that has a flag or a
/// setting for it adds its name to the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExceededLimit {
    /// `max_pixels`.
    Pixels {
        /// What the image claims.
        claimed: u64,
        /// The limit.
        allowed: u64,
    },
    /// `max_bytes`.
    Bytes {
        /// The limit.
        allowed: u64,
    },
}

impl DecodeError {
    /// The limit that the image exceeds, if that is why it was refused.
    pub fn exceeded_limit(&self) -> Option<ExceededLimit> {
        match *self {
            Self::TooManyPixels {
                width,
                height,
                max_pixels: allowed,
                ..
            } => Some(ExceededLimit::Pixels {
                claimed: width.saturating_mul(height),
                allowed,
            }),
            Self::TooManyBytes { max_bytes, .. } => {
                Some(ExceededLimit::Bytes { allowed: max_bytes })
            }
            _ => None,
        }
    }

    pub(crate) fn corrupt(format: ImageFormat, reason: impl fmt::Display) -> Self {
        Self::Corrupt {
            format,
            reason: reason.to_string().trim().to_owned(),
        }
    }

    pub(crate) fn unsupported(format: ImageFormat, what: impl fmt::Display) -> Self {
        Self::Unsupported {
            format,
            what: what.to_string().trim().to_owned(),
        }
    }
}
