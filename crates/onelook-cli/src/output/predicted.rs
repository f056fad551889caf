//! One image or frame with its predictions, and what takes it.

use std::path::Path;
use std::time::Duration;

use onelook::ImageResult;
use onelook::media::{DecodeWarning, VideoPosition};
use onelook::types::Frame;

use crate::failure::Failure;

/// One image, or one frame of a video, and what the model says of it.
pub struct PredictedImage<'a> {
    /// Its position among images and videos, from 1.
    pub position: usize,
    /// How many of them there are.
    pub total: usize,
    /// Path or address.
    pub source: &'a str,
    /// Which frame of a video it is.
    pub video: Option<&'a VideoPosition>,
    /// When it is shown, of a frame.
    pub time: Option<Duration>,
    /// Where the file is, for files.
    pub path: Option<&'a Path>,
    /// The pixels.
    pub frame: &'a Frame,
    /// What the model says of it.
    pub result: &'a ImageResult,
    /// Time of reading and decoding.
    pub decode: Duration,
    /// What is odd about the file; usually nothing.
    pub warnings: &'a [DecodeWarning],
}

impl PredictedImage<'_> {
    /// Width and height in pixels.
    pub fn size(&self) -> [usize; 2] {
        [self.frame.width(), self.frame.height()]
    }
}

/// Where predictions go.
pub trait Sink {
    /// Takes one image with its result.
    fn write(&mut self, image: &PredictedImage<'_>) -> Result<(), Failure>;

    /// Takes note that no more will come, because there is no more (`complete`) or because the run was
    /// ended.
    fn finish(&mut self, complete: bool) -> Result<(), Failure> {
        let _ = complete;
        Ok(())
    }
}
