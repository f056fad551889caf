//! Prototype masks and an object's coefficients in, the object's mask out (YOLACT, arXiv 1904.02689).
//!
//! A mask is the sum of the prototypes, each times its coefficient, enlarged bilinearly, cut to the
//! object's box, and set where it is above zero: in this order. Sums are computed only where the box
//! needs them.

mod polygon;

pub use polygon::polygon;

use std::ops::Range;

use onelook_types::{BoxXyxy, LetterboxPlacement, Mask, PixelRect};

use crate::letterbox::scale_back;

/// The prototype masks of one image: `height` x `width` values each, one after the other, over the
/// network's whole input.
#[derive(Debug, Clone, Copy)]
pub struct Prototypes<'a> {
    values: &'a [f32],
    height: usize,
    width: usize,
}

impl<'a> Prototypes<'a> {
    /// Prototypes of these extents; `None` where there is no value, or not a whole number of planes.
    pub fn new(values: &'a [f32], height: usize, width: usize) -> Option<Self> {
        let plane = height.checked_mul(width).filter(|&plane| plane > 0)?;
        let whole = !values.is_empty() && values.len().is_multiple_of(plane);
        whole.then_some(Self {
            values,
            height,
            width,
        })
    }

    /// The mask of an object whose box is told in pixels of the network's input.
    ///
    /// It covers the image without padding: with `image_size` at the original image's size, else as
    /// large as the image is in the network's input. Both are the reference's masks, without its
    /// padding.
    pub fn mask(
        &self,
        coefficients: &[f32],
        bbox: BoxXyxy,
        placement: &LetterboxPlacement,
        image_size: bool,
    ) -> Mask {
        let [columns, rows] = match image_size {
            true => self.axes_of_image(scale_back(bbox, placement), placement),
            false => self.axes_of_input(bbox, placement),
        };
        let sums = self.sums(coefficients, columns.read_cells(), rows.read_cells());
        let region = PixelRect {
            left: columns.pixels.start,
            top: rows.pixels.start,
            width: columns.pixels.len(),
            height: rows.pixels.len(),
        };
        let stride = columns.read_cells().len();
        let (first_column, first_row) = (columns.read_cells().start, rows.read_cells().start);
        let across: Vec<Tap> = columns.pixels.clone().map(|x| columns.tap(x)).collect();
        let mut line = vec![0.0; stride];
        let mut line_of = None;
        Mask::from_fn([columns.size, rows.size], region, |x, y| {
            if line_of != Some(y) {
                line_of = Some(y);
                let tap = rows.tap(y);
                let row = |cell: usize| &sums[(cell - first_row) * stride..][..stride];
                for (value, (a, b)) in line
                    .iter_mut()
                    .zip(row(tap.first).iter().zip(row(tap.second)))
                {
                    *value = a + (b - a) * tap.weight;
                }
            }
            let tap = across[x - region.left];
            let [a, b] = [tap.first, tap.second].map(|cell| line[cell - first_column]);
            a + (b - a) * tap.weight > 0.0
        })
    }

    /// Over the part of the input that the image fills.
    fn axes_of_input(&self, bbox: BoxXyxy, placement: &LetterboxPlacement) -> [Axis; 2] {
        let axis = |cells, input, shift, size, from: f32, to: f32| {
            let pixels = pixels(from - shift as f32, to - shift as f32, size);
            Axis {
                size,
                pixels,
                shift,
                cells: 0..cells,
                scale: cells as f32 / input as f32,
            }
        };
        let it = placement;
        [
            axis(
                self.width,
                it.width,
                it.left,
                it.scaled_width,
                bbox.x1,
                bbox.x2,
            ),
            axis(
                self.height,
                it.height,
                it.top,
                it.scaled_height,
                bbox.y1,
                bbox.y2,
            ),
        ]
    }

    /// Over the image, from the prototypes' values inside the padding, which is rounded to whole ones.
    fn axes_of_image(&self, bbox: BoxXyxy, placement: &LetterboxPlacement) -> [Axis; 2] {
        let axis = |cells: usize, input: usize, start: usize, length: usize, size, from, to| {
            let edge = |pixel: usize| (pixel * cells) as f32 / input as f32 - 0.1;
            let first = (edge(start).round().max(0.0) as usize).min(cells - 1);
            let end = (edge(start + length).round() as usize).clamp(first + 1, cells);
            Axis {
                size,
                pixels: pixels(from, to, size),
                shift: 0,
                scale: (end - first) as f32 / size as f32,
                cells: first..end,
            }
        };
        let it = placement;
        [
            axis(
                self.width,
                it.width,
                it.left,
                it.scaled_width,
                it.source_width,
                bbox.x1,
                bbox.x2,
            ),
            axis(
                self.height,
                it.height,
                it.top,
                it.scaled_height,
                it.source_height,
                bbox.y1,
                bbox.y2,
            ),
        ]
    }

    /// The sums of the prototypes at some columns and rows.
    fn sums(&self, coefficients: &[f32], columns: Range<usize>, rows: Range<usize>) -> Vec<f32> {
        let mut sums = vec![0.0; columns.len() * rows.len()];
        if sums.is_empty() {
            return sums;
        }
        let planes = self.values.chunks_exact(self.height * self.width);
        for (&coefficient, plane) in coefficients.iter().zip(planes) {
            let lines = plane.chunks_exact(self.width).skip(rows.start);
            for (sums, line) in sums.chunks_exact_mut(columns.len()).zip(lines) {
                for (sum, value) in sums.iter_mut().zip(&line[columns.clone()]) {
                    *sum += coefficient * value;
                }
            }
        }
        sums
    }
}

/// How pixels of a mask lie over the prototypes' values, along one axis.
struct Axis {
    /// Pixels of the whole mask.
    size: usize,
    /// Those inside the box.
    pixels: Range<usize>,
    /// Pixels ahead of the mask's first.
    shift: usize,
    /// The values that are enlarged.
    cells: Range<usize>,
    /// Values per pixel.
    scale: f32,
}

/// The two values that a pixel lies between, and the weight of the second.
#[derive(Clone, Copy)]
struct Tap {
    first: usize,
    second: usize,
    weight: f32,
}

impl Axis {
    fn tap(&self, pixel: usize) -> Tap {
        let last = self.cells.len() - 1;
        let place = ((pixel + self.shift) as f32 + 0.5) * self.scale - 0.5;
        let place = place.max(0.0);
        let first = (place as usize).min(last);
        Tap {
            first: self.cells.start + first,
            second: self.cells.start + (first + 1).min(last),
            weight: (place - first as f32).min(1.0),
        }
    }

    /// The values that the box's pixels lie between.
    fn read_cells(&self) -> Range<usize> {
        match self.pixels.is_empty() {
            true => self.cells.start..self.cells.start,
            false => self.tap(self.pixels.start).first..self.tap(self.pixels.end - 1).second + 1,
        }
    }
}

/// The pixels, of `size`, whose position is at least `from` and below `to`.
fn pixels(from: f32, to: f32, size: usize) -> Range<usize> {
    let pixel = |edge: f32| (edge.ceil().max(0.0) as usize).min(size);
    let first = pixel(from);
    first..pixel(to).max(first)
}
