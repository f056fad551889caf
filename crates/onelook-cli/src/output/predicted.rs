//! One image with its predictions, and what takes it.

use std::time::Duration;

use onelook::ImageResult;
use onelook::media::DecodeWarning;
use onelook::types::Frame;

use crate::failure::Failure;

/// One image and what the model says of it.
pub struct PredictedImage<'a> {
    /// Its position from 1.
    pub position: usize,
    /// How many there are, where that is known.
    pub total: Option<usize>,
    /// Path or address.
    pub source: &'a str,
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

    /// Takes note that no more will come.
    fn finish(&mut self) -> Result<(), Failure> {
        Ok(())
    }
}
