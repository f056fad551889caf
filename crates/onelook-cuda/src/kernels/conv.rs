//! Convolution as a product of matrices that are never written down (implicit GEMM).
//!
//! ```text
//! for m in pixels of the output, n in its channels:
//!     sum = Σ over taps (ky, kx) and channels c:
//!         input[y(m) * stride + ky - top][x(m) * stride + kx - left][c] * weight[n][ky][kx][c]
//!     output[m][n] = activation(sum + bias[n]) + residual[m][n]
//! ```
//!
//! 1. k counts taps, then channels; a chunk of it is copied piece by piece, zeros where a tap falls
//!    outside, so that padding costs no memory and no branch in the product.
//! 2. Several chunks are on their way while one is multiplied; weights set out before the kernels
//!    ahead have ended, because nobody writes them.
//! 3. The input may lie in several buffers (a concatenation that was never made), each perhaps to
//!    be read at half the resolution (an upsampling that was never made).
//! 4. Results are gathered in shared memory, then stored in whole pieces, to one or more buffers:
//!    convolutions of one input are one product with their outputs side by side.

mod copy;
mod store;
#[cfg(test)]
mod tests;

use onelook_graph::op::Activation;

use super::gemm::{Gemm, Sums, Tile};
use super::{Element, Map, Tiled};
use crate::lang::{Builder, Global, SharedAddress, Special, Target, U32};
pub use copy::Pixels;
pub use store::{Part, Store};

/// Chunks that are multiplied without a loop around them.
const UNROLLED: u32 = 4;

/// What a convolution reads of one buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Segment {
    /// The map as it lies in memory.
    pub map: Map,
    /// How many times each of its pixels is seen along both axes, a power of two.
    pub upsample: u32,
}

/// A convolution and what is fused with it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ConvShape {
    /// Format of maps and weights.
    pub element: Element,
    /// The input's channels, in order; all of one height and width as seen.
    pub inputs: Vec<Segment>,
    /// Taps down and across.
    pub kernel: [u32; 2],
    /// Steps down and across.
    pub stride: [u32; 2],
    /// Zeros above and left.
    pub padding: [u32; 2],
    /// Height and width of the output.
    pub output: [u32; 2],
    /// Where the output's channels go, in order.
    pub parts: Vec<Part>,
    /// Applied after the bias.
    pub activation: Option<Activation>,
    /// Channels from pixel to pixel of what is added last, if anything is.
    pub residual: Option<u32>,
}

impl ConvShape {
    /// Channels of the input.
    pub fn channels(&self) -> u32 {
        self.inputs.iter().map(|input| input.map.channels).sum()
    }

    /// Channels of the output.
    pub fn outputs(&self) -> u32 {
        self.parts.iter().map(|part| part.channels).sum()
    }

    /// Height and width of the input as seen.
    pub fn input(&self) -> [u32; 2] {
        let first = &self.inputs[0];
        [first.map.height, first.map.width].map(|side| side * first.upsample)
    }

    /// Pieces of k: taps times pieces of a pixel.
    pub fn pieces(&self) -> u32 {
        self.kernel[0] * self.kernel[1] * self.channels() / self.element.per_piece()
    }

    /// Chunks of k that a tile multiplies.
    pub fn chunks(&self, tile: &Tile) -> u32 {
        self.pieces().div_ceil(tile.pieces)
    }

    /// Whether each output pixel sees just the input pixel at its place.
    pub fn is_pointwise(&self) -> bool {
        self.kernel == [1, 1] && self.stride == [1, 1] && self.padding == [0, 0]
    }
}

/// Bytes of shared memory of the convolution's kernel.
pub fn shared_bytes(shape: &ConvShape, tile: &Tile) -> u32 {
    let stages = tile.stages * (tile.a_bytes() + tile.b_bytes());
    let after = Store::bytes(shape.element, tile).max(Gemm::slice_bytes(tile));
    stages.max(after)
}

/// The kernel. Parameters: the inputs; weights as [`pack_weights`] gives them; biases, f32, padded
/// to whole tiles; the residual if there is one; the outputs; pixels of all pictures (a word).
pub fn conv(target: Target, name: &str, shape: &ConvShape, tile: Tile, batch: u32) -> Tiled {
    let k = Builder::new(name, target, tile.threads());
    write(&k, shape, tile);
    let pixels = shape.output[0] * shape.output[1] * batch;
    Tiled {
        kernel: k.finish(),
        grid: [pixels.div_ceil(tile.m), shape.outputs().div_ceil(tile.n), 1],
        choice: tile.describe(shape.element),
    }
}

fn write(k: &Builder, shape: &ConvShape, tile: Tile) {
    let inputs: Vec<_> = (0..shape.inputs.len())
        .map(|index| k.input(&format!("input_{index}")))
        .collect();
    let weights = k.input("weights");
    let store = Store::new(k, shape.element, tile, shape.activation)
        .with_residual(shape.residual)
        .with_parts(&shape.parts);
    let pixels = k.word("pixels");
    let memory = k.shared(shared_bytes(shape, &tile), 128);
    let first_pixel = k.special(Special::BlockX) * tile.m;
    let column_tile = k.special(Special::BlockY);

    k.grid_launch();
    let gemm = Gemm::new(k, shape.element, tile);
    let weights = Weights::new(k, tile, shape.chunks(&tile), weights, column_tile);
    let rows = Pixels::new(k, shape, tile, &inputs, first_pixel, pixels);
    let sums = gemm.zeros();
    let copy = |chunk: U32<'_>, stage: SharedAddress<'_>| rows.copy(chunk, stage);
    Pipeline {
        k,
        tile,
        memory,
        chunks: shape.chunks(&tile),
    }
    .run(&gemm, &sums, &weights, copy);
    gemm.join_slices(&sums, memory);
    store.run(
        &gemm,
        &sums,
        memory,
        [first_pixel, column_tile * tile.n],
        pixels,
    );
}

/// Chunks of weights on their way to shared memory.
pub struct Weights<'k> {
    k: &'k Builder,
    tile: Tile,
    chunks: u32,
    from: Global<'k>,
}

impl<'k> Weights<'k> {
    /// Those of one tile of columns.
    pub fn new(
        k: &'k Builder,
        tile: Tile,
        chunks: u32,
        weights: Global<'k>,
        column_tile: U32<'k>,
    ) -> Self {
        let thread = k.thread() * super::PIECE_BYTES;
        let from = weights + column_tile * (chunks * tile.b_bytes()) + thread;
        Self {
            k,
            tile,
            chunks,
            from,
        }
    }

    /// Begins to copy a chunk.
    pub fn copy(&self, chunk: U32<'k>, to: SharedAddress<'k>) {
        let (k, tile) = (self.k, self.tile);
        debug_assert!(chunk.known().is_none_or(|chunk| chunk < self.chunks));
        let thread = k.thread();
        let (row, piece) = (thread / tile.pieces, thread % tile.pieces);
        let rows = tile.threads() / tile.pieces;
        let from = self.from + chunk * tile.b_bytes();
        for pass in 0..tile.n.div_ceil(rows) {
            let row = row + pass * rows;
            let whole = tile.n.is_multiple_of(rows);
            let inside = if whole {
                k.truth(true)
            } else {
                row.less(tile.n)
            };
            k.when(inside, || {
                let to = to + super::gemm::slot(tile.pieces, row, piece);
                let from = from + pass * tile.threads() * super::PIECE_BYTES;
                k.async_copy(to, from, super::PIECE_BYTES, k.truth(true));
            });
        }
    }
}

/// Copies ahead of products, stage by stage.
pub struct Pipeline<'k> {
    /// The kernel.
    pub k: &'k Builder,
    /// Its tile.
    pub tile: Tile,
    /// Stages: a chunk of `a`, a chunk of `b`.
    pub memory: SharedAddress<'k>,
    /// Chunks in all.
    pub chunks: u32,
}

impl<'k> Pipeline<'k> {
    /// Adds the products of all chunks to `sums`; `copy` begins to copy a chunk of `a`.
    pub fn run(
        &self,
        gemm: &Gemm<'k>,
        sums: &Sums<'k>,
        weights: &Weights<'k>,
        copy: impl Fn(U32<'k>, SharedAddress<'k>),
    ) {
        let (k, tile, chunks) = (self.k, self.tile, self.chunks);
        let ahead = tile.stages - 1;
        let b_place = |stage: SharedAddress<'k>| stage + tile.a_bytes();
        for chunk in 0..ahead.min(chunks) {
            weights.copy(k.u32(chunk), b_place(self.stage(chunk)));
        }
        k.grid_wait();
        for chunk in 0..ahead {
            if chunk < chunks {
                copy(k.u32(chunk), self.stage(chunk));
            }
            k.async_commit();
        }
        let turn = |chunk: U32<'k>, read: SharedAddress<'k>, write: SharedAddress<'k>| {
            k.async_wait(ahead - 1);
            k.barrier();
            k.when((chunk + ahead).less(chunks), || {
                weights.copy(chunk + ahead, b_place(write));
                copy(chunk + ahead, write);
            });
            k.async_commit();
            gemm.step(sums, read, b_place(read));
        };
        if chunks <= UNROLLED {
            for chunk in 0..chunks {
                turn(k.u32(chunk), self.stage(chunk), self.stage(chunk + ahead));
            }
            return;
        }
        let read = k.variable(k.u32(0));
        let write = k.variable(k.u32(ahead * self.stage_bytes()));
        k.count(0, chunks, 1, |chunk| {
            turn(chunk, self.memory + read, self.memory + write);
            for place in [read, write] {
                let next = place + self.stage_bytes();
                let end = self.stage_bytes() * tile.stages;
                k.assign(place, next.equals(end).select(k.u32(0), next));
            }
        });
    }

    fn stage_bytes(&self) -> u32 {
        self.tile.a_bytes() + self.tile.b_bytes()
    }

    fn stage(&self, chunk: u32) -> SharedAddress<'k> {
        self.memory + chunk % self.tile.stages * self.stage_bytes()
    }
}

/// Weights `[outputs][channels][taps]` in the order in which the kernel copies them:
/// `[column tile][chunk][column][k]`, where k counts taps, then channels, each of `segments` padded
/// to whole pieces; zeros elsewhere.
pub fn pack_weights(
    weights: &[f32],
    segments: &[usize],
    taps: usize,
    element: Element,
    tile: &Tile,
) -> Vec<f32> {
    let channels: usize = segments.iter().sum();
    let outputs = weights.len() / (channels * taps);
    let padded: Vec<usize> = segments
        .iter()
        .map(|&channels| channels.next_multiple_of(element.per_piece() as usize))
        .collect();
    let pixel: usize = padded.iter().sum();
    let (columns, chunk) = (tile.n as usize, tile.chunk(element) as usize);
    let chunks = (taps * pixel).div_ceil(chunk);
    let tiles = outputs.div_ceil(columns);
    let mut packed = vec![0.0; tiles * chunks * columns * chunk];
    for (output, weights) in weights.chunks_exact(channels * taps).enumerate() {
        let column = (output / columns * chunks * columns + output % columns) * chunk;
        let (mut first, mut first_padded) = (0, 0);
        for (&segment, padded) in segments.iter().zip(&padded) {
            for channel in 0..segment {
                for tap in 0..taps {
                    let k = tap * pixel + first_padded + channel;
                    let place = column + k / chunk * columns * chunk + k % chunk;
                    packed[place] = weights[(first + channel) * taps + tap];
                }
            }
            first += segment;
            first_padded += padded;
        }
    }
    packed
}
