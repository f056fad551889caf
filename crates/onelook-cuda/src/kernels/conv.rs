//! Convolution as a product of matrices that are never written down (implicit GEMM).
//!
//! ```text
//! for m in pixels of the output, n in its channels:
//!     sum = Σ over taps (ky, kx) and channels c:
//!         input[y(m) * stride + ky - top][x(m) * stride + kx - left][c] * weight[n][ky][kx][c]
//!     output[m][n] = activation(sum + bias[n]) + residual[m][n]
//! ```
//!
//! 1. k counts taps, then channels; a chunk of it is copied vector by vector, zeros where a tap
//!    falls outside, so that padding costs no memory and no branch in the product.
//! 2. Several chunks are on their way while one is multiplied; weights set out before the kernels
//!    ahead have ended, because nobody writes them.
//! 3. The input may lie in several buffers (a concatenation that was never made), each perhaps to
//!    be read at half the resolution (an upsampling that was never made).
//! 4. Results are gathered in shared memory, then stored in whole vectors, to one or more buffers:
//!    convolutions of one input are one product with their outputs side by side.

mod copy;
mod pipeline;
mod store;
#[cfg(test)]
mod tests;

use onelook_graph::op::Activation;
use onelook_ptx::lang::{Builder, Special, Target};

use super::gemm::{Gemm, Tile};
use super::window::{Extents, Window, extent_words};
use super::{Element, Map, Tiled};
pub use copy::Pixels;
pub use pipeline::{Pipeline, Weights};
pub use store::{Part, Store};

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
    /// What slides over the input.
    pub window: Window,
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

    /// Whether output pixels and input pixels have the same numbers, whatever the maps' extents.
    fn is_flat(&self) -> bool {
        self.window.is_pointwise() && self.inputs.iter().all(|input| input.upsample == 1)
    }

    /// The words of a launch behind the number of pixels: extents, where the kernel needs them.
    pub fn extent_words(&self) -> Vec<u32> {
        match self.is_flat() {
            true => Vec::new(),
            false => extent_words(self.window.output, self.input()).to_vec(),
        }
    }

    /// The same for maps of any extents: what the kernel's text depends on.
    #[must_use]
    pub fn of_any_extents(&self) -> Self {
        let mut any = self.clone();
        any.window.output = [0; 2];
        for input in &mut any.inputs {
            (input.map.height, input.map.width) = (0, 0);
        }
        any
    }

    /// Vectors of k: taps times vectors of a pixel.
    pub fn vectors(&self) -> u32 {
        self.window.taps() * self.channels() / self.element.per_vector()
    }

    /// Chunks of k that a tile multiplies.
    pub fn chunks(&self, tile: &Tile) -> u32 {
        self.vectors().div_ceil(tile.vectors)
    }
}

/// Bytes of shared memory of the convolution's kernel.
pub fn shared_bytes(shape: &ConvShape, tile: &Tile) -> u32 {
    let stages = Pipeline::stages_bytes(tile, false);
    let after = Store::bytes(shape.element, tile).max(Gemm::slice_bytes(tile));
    stages.max(after)
}

/// The kernel. Parameters: the inputs; weights as [`pack_weights`] gives them; biases, f32, padded
/// to whole tiles; the residual if there is one; the outputs; pixels of all images (a word); the
/// [`extent_words`](ConvShape::extent_words).
pub fn conv(target: Target, name: &str, shape: &ConvShape, tile: Tile, batch: u32) -> Tiled {
    let k = Builder::new(name, target, tile.threads());
    write(&k, shape, tile);
    let pixels = shape.window.pixels() * batch;
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
    let extents = (!shape.is_flat()).then(|| Extents::new(k));
    let memory = k.shared(shared_bytes(shape, &tile), 128);
    let first_pixel = k.special(Special::BlockX) * tile.m;
    let column_tile = k.special(Special::BlockY);

    k.grid_launch();
    let gemm = Gemm::new(k, shape.element, tile);
    let weights = Weights::new(k, tile, shape.chunks(&tile), weights, column_tile);
    let rows = Pixels::new(k, shape, tile, &inputs, [first_pixel, pixels], extents);
    let sums = gemm.zeros();
    let pipeline = Pipeline {
        k,
        tile,
        memory,
        resident: None,
        chunks: shape.chunks(&tile),
    };
    pipeline.run(&gemm, &sums, &weights, |chunk, stage| {
        rows.copy(chunk, stage)
    });
    gemm.join_slices(&sums, memory);
    store.run(
        &gemm,
        &sums,
        memory,
        [first_pixel, column_tile * tile.n],
        pixels,
    );
}

/// Weights `[outputs][channels][taps]` in the order in which the kernel copies them:
/// `[column tile][chunk][column][k]`, where k counts taps, then channels, each of `segments` padded
/// to whole vectors; zeros elsewhere.
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
        .map(|&channels| channels.next_multiple_of(element.per_vector() as usize))
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
