//! What a pipeline says of one picture.

use std::time::{Duration, Instant};

use onelook_types::Detections;

/// The detections on one picture and what they cost.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Prediction {
    /// What was found, the surest first.
    pub detections: Detections,
    /// Height and width of the network's input.
    pub input: [usize; 2],
    /// Time per station.
    pub speed: Speed,
}

/// Time of one picture at each station; pictures of one run share its time evenly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Speed {
    /// Fitting the picture into the input.
    pub preprocess: Duration,
    /// Running the network.
    pub inference: Duration,
    /// Reading boxes off its outputs.
    pub postprocess: Duration,
}

impl Speed {
    /// Of pictures that went from pixels to boxes in one go, which counts as inference.
    pub(super) fn at_once(time: Duration, pictures: usize) -> Self {
        Self {
            inference: time / pictures.max(1) as u32,
            ..Self::default()
        }
    }

    pub(super) fn of(moments: [Instant; 4], pictures: usize) -> Self {
        let share = |from: usize| (moments[from + 1] - moments[from]) / pictures.max(1) as u32;
        Self {
            preprocess: share(0),
            inference: share(1),
            postprocess: share(2),
        }
    }
}
