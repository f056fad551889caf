//! What a pipeline gives for one image.

use std::time::{Duration, Instant};

use onelook_graph::PlanKind;
use onelook_types::{Instances, Prediction};

/// What the model says of one image, and what it took.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageResult {
    /// What the model says.
    pub prediction: Prediction,
    /// Boxes that non-maximum suppression dropped and a tracker may take; none unless they are
    /// [asked for](crate::Options::keep_suppressed).
    pub suppressed: Instances,
    /// Height and width of the network's input.
    pub input: [usize; 2],
    /// How the image went into the run.
    pub plan: PlanKind,
    /// Time per stage.
    pub speed: Speed,
}

impl ImageResult {
    /// The objects; none where the model classifies whole images.
    pub fn instances(&self) -> &Instances {
        self.prediction.instances()
    }
}

/// Time of one image in each stage; images of one run share its time evenly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Speed {
    /// Fitting the image into the input; part of the inference where the engine does that.
    pub preprocess: Duration,
    /// Running the network.
    pub inference: Duration,
    /// Decoding its outputs; part of the inference where the engine does that.
    pub postprocess: Duration,
}

impl Speed {
    /// Of a run, by the moments between its stages.
    pub(super) fn of(moments: [Instant; 4], images: usize) -> Self {
        let share = |from: usize| (moments[from + 1] - moments[from]) / images.max(1) as u32;
        Self {
            preprocess: share(0),
            inference: share(1),
            postprocess: share(2),
        }
    }
}

impl std::ops::AddAssign for Speed {
    fn add_assign(&mut self, other: Self) {
        self.preprocess += other.preprocess;
        self.inference += other.inference;
        self.postprocess += other.postprocess;
    }
}
