//! What must come of a kernel: rows of values, candidates in any order, or detections to the bit.
//!
//! Comes in: what was written into the outputs. Goes out: how far off it is, or what is wrong with
//! it.

use super::candidates::Candidates;
use super::detections::Detections;
use super::rows::{Expected, Run, deviation, replaced};

/// What must lie in the outputs afterwards.
#[derive(Debug, Clone, PartialEq)]
pub enum Results {
    /// Values in their places.
    Rows(Vec<Expected>),
    /// What a head found.
    Candidates(Candidates),
    /// What a suppression left.
    Detections(Detections),
}

impl Results {
    /// How far off the outputs are: `‖actual - expected‖ / ‖expected‖` over all that counts, the
    /// worst of several kinds of values; NaN if any is not a number.
    ///
    /// # Errors
    /// What is there and should not be, or the other way round.
    pub fn deviation(&self, outputs: &[Vec<u8>]) -> Result<f64, String> {
        match self {
            Self::Rows(rows) => Ok(deviation(rows, outputs)),
            Self::Candidates(candidates) => candidates.deviation(outputs),
            Self::Detections(detections) => detections.deviation(outputs),
        }
    }

    /// The same with what lies in these outputs as the truth.
    ///
    /// # Errors
    /// As [`deviation`](Self::deviation).
    pub fn replaced(&self, outputs: &[Vec<u8>]) -> Result<Self, String> {
        Ok(match self {
            Self::Rows(rows) => Self::Rows(replaced(rows, outputs)),
            Self::Candidates(candidates) => Self::Candidates(candidates.replaced(outputs)?),
            Self::Detections(detections) => Self::Detections(detections.replaced(outputs)?),
        })
    }

    /// What of these outputs counts.
    pub(super) fn runs(&self, outputs: &[Vec<u8>]) -> Vec<Run> {
        match self {
            Self::Rows(rows) => rows.iter().flat_map(Expected::runs).collect(),
            Self::Candidates(candidates) => candidates.runs(outputs),
            Self::Detections(detections) => detections.runs(outputs),
        }
    }
}
