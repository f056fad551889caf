//! The pixels that a tile of the output sees, on their way to shared memory.

use onelook_ptx::lang::{Bool, Builder, Global, SharedAddress, U32};

use super::{ConvShape, Segment};
use crate::kernels::VECTOR_BYTES;
use crate::kernels::gemm::{Tile, slot};
use crate::kernels::window::Extents;

/// The part of the input's copies that one thread makes: one vector of several rows of the tile.
pub struct Pixels<'k> {
    k: &'k Builder,
    shape: ConvShape,
    tile: Tile,
    inputs: Vec<Global<'k>>,
    /// Absent where pixels of input and output have the same numbers.
    extents: Option<Extents<'k>>,
    /// Pixels of a row of each input; none where there are no extents.
    widths: Vec<U32<'k>>,
    /// The thread's vector in every row of a chunk.
    vector: U32<'k>,
    rows: Vec<Row<'k>>,
}

/// One row: an output pixel and where its window begins.
struct Row<'k> {
    /// Whether the row belongs to this thread.
    own: Bool<'k>,
    /// Whether the pixel exists.
    exists: Bool<'k>,
    /// The pixel's number among all images'.
    pixel: U32<'k>,
    /// Rows of the input, as seen, before its image.
    line: U32<'k>,
    /// Where the window begins; wraps below 0.
    top: U32<'k>,
    left: U32<'k>,
    /// Where the vector goes in the chunk.
    slot: U32<'k>,
}

/// A vector of k.
#[derive(Clone, Copy)]
struct Vec16B<'k> {
    /// Tap down and across.
    tap: [U32<'k>; 2],
    /// The vector of the pixel.
    vector: U32<'k>,
    /// Whether k goes so far.
    inside: Bool<'k>,
}

impl<'k> Pixels<'k> {
    /// Finds the thread's rows among those of the tile from pixel `first` on; there are `pixels`.
    pub fn new(
        k: &'k Builder,
        shape: &ConvShape,
        tile: Tile,
        inputs: &[Global<'k>],
        [first, pixels]: [U32<'k>; 2],
        extents: Option<Extents<'k>>,
    ) -> Self {
        let thread = k.thread();
        let rows = tile.threads() / tile.vectors;
        let vector = thread % tile.vectors;
        let row = |pass: u32| {
            let row = thread / tile.vectors + pass * rows;
            let whole = tile.m.is_multiple_of(rows);
            let pixel = first + row;
            let (line, [top, left]) = match &extents {
                None => (k.u32(0), [k.u32(0); 2]),
                Some(extents) => {
                    let (image, at) = extents.locate(pixel);
                    let corner = shape.window.seen_in_kernel(at, [0, 0]);
                    (image * extents.input[0], corner)
                }
            };
            Row {
                own: if whole {
                    k.bool(true)
                } else {
                    row.less(tile.m)
                },
                exists: pixel.less(pixels),
                pixel,
                line,
                top,
                left,
                slot: slot(tile.vectors, row, vector),
            }
        };
        Self {
            k,
            tile,
            inputs: inputs.to_vec(),
            widths: extents.map_or(Vec::new(), |extents| {
                let inputs = shape.inputs.iter();
                let width = |input: &Segment| extents.input[1] / input.upsample;
                inputs.map(width).collect()
            }),
            extents,
            vector,
            rows: (0..tile.m.div_ceil(rows)).map(row).collect(),
            shape: shape.clone(),
        }
    }

    /// Begins to copy a chunk.
    pub fn copy(&self, chunk: U32<'k>, to: SharedAddress<'k>) {
        let shape = &self.shape;
        let per_pixel = shape.channels() / shape.element.per_vector();
        let vector = chunk * self.tile.vectors + self.vector;
        let inside = match shape.vectors().is_multiple_of(self.tile.vectors) {
            true => self.k.bool(true),
            false => vector.less(shape.vectors()),
        };
        let (tap, vector) = match shape.window.kernel {
            [1, 1] => (self.k.u32(0), vector),
            _ => (vector / per_pixel, vector % per_pixel),
        };
        let tap = [tap / shape.window.kernel[1], tap % shape.window.kernel[1]];
        self.copy_segment(
            0,
            0,
            Vec16B {
                tap,
                vector,
                inside,
            },
            to,
        );
    }

    /// Copies from the segment that the vector lies in; `before` vectors come ahead of segment
    /// `index`.
    fn copy_segment(&self, index: usize, before: u32, vector: Vec16B<'k>, to: SharedAddress<'k>) {
        let segment = self.shape.inputs[index];
        let copy = || {
            for row in &self.rows {
                self.copy_row(row, index, before, &vector, to);
            }
        };
        if index + 1 == self.shape.inputs.len() {
            return copy();
        }
        let end = before + segment.map.channels / self.shape.element.per_vector();
        self.k.when_else(vector.vector.less(end), copy, || {
            self.copy_segment(index + 1, end, vector, to);
        });
    }

    fn copy_row(
        &self,
        row: &Row<'k>,
        index: usize,
        before: u32,
        vector: &Vec16B<'k>,
        to: SharedAddress<'k>,
    ) {
        let segment = &self.shape.inputs[index];
        let (pixel, seen) = self.pixel(row, index, vector.tap);
        let pitch = segment.map.pitch * self.shape.element.bytes();
        let from = self.inputs[index] + (pixel * pitch + (vector.vector - before) * VECTOR_BYTES);
        let when = row.exists & seen & vector.inside;
        self.k.when(row.own, || {
            self.k.async_copy(to + row.slot, from, VECTOR_BYTES, when);
        });
    }

    /// The number of the input's pixel under a tap, and whether there is one.
    fn pixel(&self, row: &Row<'k>, index: usize, tap: [U32<'k>; 2]) -> (U32<'k>, Bool<'k>) {
        let (shape, segment) = (&self.shape, &self.shape.inputs[index]);
        let whole = shape.window.is_pointwise() && segment.upsample == 1;
        let extents = match &self.extents {
            Some(extents) if !whole => extents,
            _ => return (row.pixel, self.k.bool(true)),
        };
        let (y, x) = (row.top + tap[0], row.left + tap[1]);
        let factor = segment.upsample;
        let line = row.line / factor + y / factor;
        let pixel = line * self.widths[index] + x / factor;
        if shape.window.is_pointwise() {
            return (pixel, self.k.bool(true));
        }
        let [height, width] = extents.input;
        (pixel, y.less(height) & x.less(width))
    }
}
