//! One image or frame with its predictions, and what takes it.

use std::path::Path;
use std::time::Duration;

use onelook::ImageResult;
use onelook::media::{DecodeWarning, VideoPosition};
use onelook::types::Frame;
use onelook::vision::draw::{DrawStyle, DrawnPlace, draw, draw_places};

use crate::failure::Failure;

/// Where a frame stands among those that follow one another: of a video, or images in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SequencePosition {
    /// Which sequence, from 1.
    pub number: usize,
    /// Which frame of it, from 1.
    pub frame: u64,
    /// When, since the start of the sequence.
    pub time: Duration,
}

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
    /// Where it stands in its sequence.
    pub sequence: SequencePosition,
    /// Where the file is, for files.
    pub path: Option<&'a Path>,
    /// The pixels.
    pub frame: &'a Frame,
    /// What the model says of it.
    pub result: &'a ImageResult,
    /// Lines and zones to be drawn.
    pub places: &'a [DrawnPlace],
    /// Time of reading and decoding.
    pub decode: Duration,
    /// From the arrival of the frame until its result, where several streams run at once.
    pub age: Option<Duration>,
    /// What is odd about the file; usually nothing.
    pub warnings: &'a [DecodeWarning],
}

impl PredictedImage<'_> {
    /// Width and height in pixels.
    pub fn size(&self) -> [usize; 2] {
        [self.frame.width(), self.frame.height()]
    }

    /// The pixels with everything drawn on them.
    pub fn annotated(&self, names: &[String], style: &DrawStyle) -> Frame {
        let mut frame = self.frame.clone();
        draw(&mut frame, self.result.instances(), names, style);
        if !self.places.is_empty() {
            draw_places(&mut frame, self.places, style);
        }
        frame
    }
}

/// Where predictions go.
pub trait Sink {
    /// Takes one image with its result.
    fn write(&mut self, image: &PredictedImage<'_>) -> Result<(), Failure>;

    /// Takes note that no more frames of this sequence will come.
    fn end_of(&mut self, sequence: usize) -> Result<(), Failure> {
        let _ = sequence;
        Ok(())
    }

    /// Takes note that no more will come at all, because there is no more (`complete`) or because the run was
    /// ended.
    fn finish(&mut self, complete: bool) -> Result<(), Failure> {
        let _ = complete;
        Ok(())
    }
}
