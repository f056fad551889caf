//! Coefficients in, RGB out, one row of minimum coded units after the other, so that what lies between
//! stays in the cache.

use super::colour::Space;
use super::header::Frame;
use super::window::Window;
use super::{transform, upsample};

/// An image that grows from the top.
pub(super) struct Renderer {
    space: Space,
    /// By component.
    windows: Vec<Window>,
    /// By component: one row at the image's full width.
    rows: Vec<Vec<u8>>,
    rgb: Vec<u8>,
    /// Rows of units that have come.
    unit_rows: usize,
    /// Rows of the image that are ready.
    ready: usize,
}

impl Renderer {
    pub(super) fn new(frame: &Frame, space: Space) -> Self {
        Self {
            space,
            windows: frame.components.iter().map(Window::new).collect(),
            rows: vec![Vec::new(); frame.components.len()],
            rgb: vec![0; frame.width * frame.height * 3],
            unit_rows: 0,
            ready: 0,
        }
    }

    /// Takes the image's next row of units, which is number `held` among the coefficients that the
    /// frame holds. All its components must have been scanned.
    pub(super) fn add(&mut self, frame: &Frame, held: usize) {
        for (component, window) in frame.components.iter().zip(&mut self.windows) {
            let size = component.unit_row();
            let samples = window.next(self.unit_rows);
            if let Some(quantisation) = &component.quantisation {
                let coefficients = &component.coefficients[held * size..][..size];
                transform::samples(coefficients, quantisation, component.blocks_wide, samples);
            }
        }
        self.unit_rows += 1;
        // The last row is blended with the first of the units below.
        let ready = match self.unit_rows == frame.units.1 {
            true => frame.height,
            false => self.unit_rows * frame.v_max * 8 - 1,
        };
        let stride = frame.width * 3;
        let out = &mut self.rgb[self.ready * stride..ready * stride];
        for (y, out) in (self.ready..).zip(out.chunks_exact_mut(stride)) {
            let components = frame.components.iter().zip(&self.windows);
            for ((component, window), row) in components.zip(&mut self.rows) {
                let most = (frame.h_max, frame.v_max);
                upsample::row(component, window, most, y, frame.width, row);
            }
            self.space.convert(&mut self.rows, out);
        }
        self.ready = ready;
    }

    /// All pixels.
    pub(super) fn finish(self) -> Vec<u8> {
        self.rgb
    }
}
