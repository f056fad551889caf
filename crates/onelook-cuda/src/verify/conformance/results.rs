//! What must come of a kernel: rows of values, candidates in any order, or detections to the bit.
//!
//! Comes in: what was written into the outputs. Goes out: how far off it is, or what is wrong with
//! it.

use super::head::Candidates;
use super::nms::Detections;
use crate::kernels::Element;

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

/// What must lie in an output: rows of values.
#[derive(Debug, Clone, PartialEq)]
pub struct Expected {
    /// The output's number among the outputs.
    pub output: usize,
    /// The values' format.
    pub element: Element,
    /// Values from one row to the next.
    pub pitch: usize,
    /// Values of a row that count.
    pub columns: usize,
    /// The rows' values, one after the other.
    pub values: Vec<f64>,
}

/// Bytes of an output that have to be written.
pub(super) struct Run {
    pub(super) output: usize,
    pub(super) offset: usize,
    pub(super) bytes: usize,
}

impl Results {
    /// How far off the outputs are: `‖actual - expected‖ / ‖expected‖` over all that counts, the
    /// worst of several kinds of values; NaN if any is no number.
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

impl Expected {
    pub(super) fn runs(&self) -> impl Iterator<Item = Run> + use<> {
        let (output, size) = (self.output, self.element.bytes() as usize);
        let (pitch, bytes) = (self.pitch * size, self.columns * size);
        (0..self.values.len() / self.columns).map(move |row| Run {
            output,
            offset: row * pitch,
            bytes,
        })
    }

    /// The values that lie there.
    fn actual(&self, outputs: &[Vec<u8>]) -> Vec<f64> {
        let row = |run: Run| {
            let bytes = &outputs[run.output][run.offset..][..run.bytes];
            self.element.decode(bytes).into_iter().map(f64::from)
        };
        self.runs().flat_map(row).collect()
    }
}

/// How far off rows are.
pub(super) fn deviation(rows: &[Expected], outputs: &[Vec<u8>]) -> f64 {
    let mut distance = Distance::default();
    for expected in rows {
        distance.add(&expected.actual(outputs), &expected.values);
    }
    distance.relative()
}

/// Rows with what lies there as the truth.
pub(super) fn replaced(rows: &[Expected], outputs: &[Vec<u8>]) -> Vec<Expected> {
    let replaced = |expected: &Expected| Expected {
        values: expected.actual(outputs),
        ..expected.clone()
    };
    rows.iter().map(replaced).collect()
}

/// `‖actual - expected‖ / ‖expected‖`, as it adds up.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Distance {
    off: f64,
    all: f64,
}

impl Distance {
    pub(super) fn add(&mut self, actual: &[f64], expected: &[f64]) {
        for (actual, expected) in actual.iter().zip(expected) {
            self.off += (actual - expected).powi(2);
            self.all += expected.powi(2);
        }
    }

    pub(super) fn relative(&self) -> f64 {
        match self.off == 0.0 {
            true => 0.0,
            false => (self.off / self.all).sqrt(),
        }
    }
}

/// The larger one; NaN does not get lost.
pub(crate) fn worse(a: f64, b: f64) -> f64 {
    match a.is_nan() || a >= b {
        true => a,
        false => b,
    }
}
