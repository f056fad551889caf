//! What decoding gives: the frame, and what was odd about its file.

use std::fmt;

use onelook_types::Frame;

use crate::ImageFormat;

/// An image with all its pixels.
#[derive(Debug, Clone, PartialEq)]
pub struct DecodedImage {
    /// Upright RGB pixels.
    pub frame: Frame,
    /// What a user should know about the file, in words by `Display`; usually nothing.
    pub warnings: Vec<DecodeWarning>,
}

/// Something wrong with a file that cost no pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeWarning {
    /// The file ends after its last pixel, without the end that its format asks for.
    MissingEnd {
        /// Its format.
        format: ImageFormat,
    },
}

impl fmt::Display for DecodeWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingEnd { format } => write!(
                f,
                "this {format} lacks its end; every pixel is there, but whatever wrote or sent the file may have stopped early"
            ),
        }
    }
}
