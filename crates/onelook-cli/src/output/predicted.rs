//! One image or frame with its predictions, and what takes it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use onelook::ImageResult;
use onelook::media::video::WriterState;
use onelook::media::{DecodeWarning, VideoPosition};
use onelook::types::Frame;
use onelook::vision::draw::{DrawStyle, DrawnPlace, draw, draw_places};

use serde::{Deserialize, Serialize};

use super::seen_ids::SeenIds;
use super::whole_file::{LineFile, LineFileState};
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

/// How a sink goes on in another program.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SinkState {
    /// Files of lines by their sequences; a file of all has number 0.
    pub files: BTreeMap<usize, LineFileState>,
    /// Videos by their sequences.
    pub videos: BTreeMap<usize, WriterState>,
    /// Objects that other programs were told of, by their sequences.
    pub seen_ids: BTreeMap<usize, SeenIds>,
}

impl SinkState {
    /// Of a sink with one file.
    pub fn of_file(file: LineFileState) -> Self {
        Self {
            files: BTreeMap::from([(0, file)]),
            ..Self::default()
        }
    }
}

/// How much a sink keeps for another program.
#[derive(Clone)]
pub enum Keep {
    /// Nothing: files of a run that is ended are under names that nobody knows.
    Nothing,
    /// What it takes to go on; with what another program has kept.
    State(SinkState),
}

impl Keep {
    /// The file of all sequences; whether it goes on.
    pub fn line_file(self, path: PathBuf) -> Result<(LineFile, bool), Failure> {
        match self {
            Self::Nothing => Ok((LineFile::create(path)?, false)),
            Self::State(mut state) => match state.files.remove(&0) {
                Some(state) => Ok((LineFile::resume(state)?, true)),
                None => Ok((LineFile::create_resumable(path)?, false)),
            },
        }
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

    /// Has what it has taken on the disk, and tells how to go on from here in another program.
    fn checkpoint(&mut self) -> Result<SinkState, Failure> {
        Ok(SinkState::default())
    }

    /// Takes note that what it told last is kept, and older states are not needed any more.
    fn discard_older(&mut self) {}

    /// Takes note that no more will come at all, because there is no more (`complete`) or because the run was
    /// ended.
    fn finish(&mut self, complete: bool) -> Result<(), Failure> {
        let _ = complete;
        Ok(())
    }
}
