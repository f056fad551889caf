//! What a source gives.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::error::SourceError;
use crate::DecodedImage;
use crate::video::VideoInfo;

/// One frame of a source, or why there is none.
#[derive(Debug)]
pub struct SourceFrame {
    /// Path or address as the user knows it, without passwords; `-` for standard input.
    pub name: String,
    /// Where the file is, for files.
    pub path: Option<PathBuf>,
    /// Position of the image or video in the source, from 0.
    pub index: usize,
    /// Which frame of a video it is; absent for images.
    pub video: Option<VideoPosition>,
    /// Time since the start of the video or of the camera; an image has none.
    pub timestamp: Option<Duration>,
    /// How long reading and decoding took; of a video, how long its frame was waited for.
    pub decode: Duration,
    /// The pixels.
    pub image: Result<DecodedImage, SourceError>,
}

/// Which frame of a video it is.
#[derive(Debug, Clone)]
pub struct VideoPosition {
    /// Position among the frames that are taken, from 1.
    pub frame: u64,
    /// About how many there will be, where that is known.
    pub frames: Option<u64>,
    /// What the video says of itself; absent for live streams.
    pub info: Option<Arc<VideoInfo>>,
    /// Whether it has no end.
    pub is_live: bool,
    /// When its last byte came from the decoder; absent where there is no frame.
    pub arrived: Option<Instant>,
}
