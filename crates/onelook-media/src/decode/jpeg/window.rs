//! Rows of one colour's samples that are still needed: interpolation looks one row back and ahead.

use super::header::Component;

/// The last two rows of minimum coded units.
pub(super) struct Window {
    samples: Vec<u8>,
    /// Samples a row.
    stride: usize,
    /// Rows of samples in a row of units.
    height: usize,
    /// Which row of samples of the image comes first here, counted from one row of units above it.
    first: usize,
}

impl Window {
    pub(super) fn new(component: &Component) -> Self {
        Self {
            samples: vec![0; 2 * component.unit_row()],
            stride: component.blocks_wide * 8,
            height: component.v * 8,
            first: 0,
        }
    }

    /// Room for row `unit_row` of units; the one before it stays.
    pub(super) fn next(&mut self, unit_row: usize) -> &mut [u8] {
        self.first = unit_row * self.height;
        let half = self.samples.len() / 2;
        self.samples.copy_within(half.., 0);
        &mut self.samples[half..]
    }

    /// Row `y` of the colour.
    pub(super) fn row(&self, y: usize) -> &[u8] {
        let y = y + self.height - self.first;
        &self.samples[y * self.stride..][..self.stride]
    }
}
