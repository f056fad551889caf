//! Expected rows of values in output buffers, and how far off the actual ones are.

use crate::kernels::Element;

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
