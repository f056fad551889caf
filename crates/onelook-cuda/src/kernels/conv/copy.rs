//! The pixels that a tile of the output sees, on their way to shared memory.

use onelook_ptx::lang::{Bool, Builder, Global, SharedAddress, U32};

use super::{ConvShape, Segment};
use crate::kernels::PIECE_BYTES;
use crate::kernels::gemm::{Tile, slot};

/// The part of the input's copies that one thread makes: one piece of several rows of the tile.
pub struct Pixels<'k> {
    k: &'k Builder,
    shape: ConvShape,
    tile: Tile,
    inputs: Vec<Global<'k>>,
    /// The thread's piece in every row of a chunk.
    piece: U32<'k>,
    rows: Vec<Row<'k>>,
}

/// One row: an output pixel and where its window begins.
struct Row<'k> {
    /// Whether the row belongs to this thread.
    own: Bool<'k>,
    /// Whether the pixel exists.
    exists: Bool<'k>,
    /// The pixel's number among all pictures'.
    pixel: U32<'k>,
    /// Rows of the input, as seen, before its picture.
    line: U32<'k>,
    /// Where the window begins; wraps below 0.
    top: U32<'k>,
    left: U32<'k>,
    /// Where the piece goes in the chunk.
    slot: U32<'k>,
}

/// A piece of k.
#[derive(Clone, Copy)]
struct Piece<'k> {
    /// Tap down and across.
    tap: [U32<'k>; 2],
    /// Piece of the pixel.
    piece: U32<'k>,
    /// Whether k goes so far.
    inside: Bool<'k>,
}

impl<'k> Pixels<'k> {
    /// Finds the thread's rows among those of the tile from pixel `first` on.
    pub fn new(
        k: &'k Builder,
        shape: &ConvShape,
        tile: Tile,
        inputs: &[Global<'k>],
        first: U32<'k>,
        pixels: U32<'k>,
    ) -> Self {
        let thread = k.thread();
        let rows = tile.threads() / tile.pieces;
        let piece = thread % tile.pieces;
        let row = |pass: u32| {
            let row = thread / tile.pieces + pass * rows;
            let whole = tile.m.is_multiple_of(rows);
            let pixel = first + row;
            let (picture, at) = shape.window.locate_in_kernel(pixel);
            let [top, left] = [0, 1]
                .map(|axis| at[axis] * shape.window.stride[axis] - shape.window.padding[axis]);
            Row {
                own: if whole {
                    k.truth(true)
                } else {
                    row.less(tile.m)
                },
                exists: pixel.less(pixels),
                pixel,
                line: picture * shape.input()[0],
                top,
                left,
                slot: slot(tile.pieces, row, piece),
            }
        };
        Self {
            k,
            tile,
            inputs: inputs.to_vec(),
            piece,
            rows: (0..tile.m.div_ceil(rows)).map(row).collect(),
            shape: shape.clone(),
        }
    }

    /// Begins to copy a chunk.
    pub fn copy(&self, chunk: U32<'k>, to: SharedAddress<'k>) {
        let shape = &self.shape;
        let per_pixel = shape.channels() / shape.element.per_piece();
        let piece = chunk * self.tile.pieces + self.piece;
        let inside = match shape.pieces().is_multiple_of(self.tile.pieces) {
            true => self.k.truth(true),
            false => piece.less(shape.pieces()),
        };
        let (tap, piece) = match shape.window.kernel {
            [1, 1] => (self.k.u32(0), piece),
            _ => (piece / per_pixel, piece % per_pixel),
        };
        let tap = [tap / shape.window.kernel[1], tap % shape.window.kernel[1]];
        self.copy_segment(0, 0, Piece { tap, piece, inside }, to);
    }

    /// Copies from the segment that the piece lies in; `before` pieces come ahead of segment `index`.
    fn copy_segment(&self, index: usize, before: u32, piece: Piece<'k>, to: SharedAddress<'k>) {
        let segment = self.shape.inputs[index];
        let copy = || {
            for row in &self.rows {
                self.copy_row(row, index, before, &piece, to);
            }
        };
        if index + 1 == self.shape.inputs.len() {
            return copy();
        }
        let end = before + segment.map.channels / self.shape.element.per_piece();
        self.k.when_else(piece.piece.less(end), copy, || {
            self.copy_segment(index + 1, end, piece, to);
        });
    }

    fn copy_row(
        &self,
        row: &Row<'k>,
        index: usize,
        before: u32,
        piece: &Piece<'k>,
        to: SharedAddress<'k>,
    ) {
        let segment = &self.shape.inputs[index];
        let (pixel, seen) = self.pixel(row, segment, piece.tap);
        let pitch = segment.map.pitch * self.shape.element.bytes();
        let from = self.inputs[index] + (pixel * pitch + (piece.piece - before) * PIECE_BYTES);
        let when = row.exists & seen & piece.inside;
        self.k.when(row.own, || {
            self.k.async_copy(to + row.slot, from, PIECE_BYTES, when);
        });
    }

    /// The number of the input's pixel under a tap, and whether there is one.
    fn pixel(&self, row: &Row<'k>, segment: &Segment, tap: [U32<'k>; 2]) -> (U32<'k>, Bool<'k>) {
        let shape = &self.shape;
        if shape.window.is_pointwise() && segment.upsample == 1 {
            return (row.pixel, self.k.truth(true));
        }
        let (y, x) = (row.top + tap[0], row.left + tap[1]);
        let factor = segment.upsample;
        let line = row.line / factor + y / factor;
        let pixel = line * segment.map.width + x / factor;
        if shape.window.is_pointwise() {
            return (pixel, self.k.truth(true));
        }
        let [height, width] = shape.input();
        (pixel, y.less(height) & x.less(width))
    }
}
