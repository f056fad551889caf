//! What a source gives.

use std::path::PathBuf;
use std::time::Duration;

use super::error::SourceError;
use crate::DecodedImage;

/// One frame of a source, or why there is none.
#[derive(Debug)]
pub struct SourceFrame {
    /// Path or address as the user knows it; `-` for standard input.
    pub name: String,
    /// Where the file is, for files.
    pub path: Option<PathBuf>,
    /// Position in the source, from 0.
    pub index: usize,
    /// Time since the start of the video or of the camera; an image has none.
    pub timestamp: Option<Duration>,
    /// How long reading and decoding took.
    pub decode: Duration,
    /// The pixels.
    pub image: Result<DecodedImage, SourceError>,
}
