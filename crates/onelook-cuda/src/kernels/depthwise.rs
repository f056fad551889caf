//! A depthwise convolution and the 1x1 convolution behind it in one kernel.
//!
//! ```text
//! for m in pixels, c in channels:
//!     middle[m][c] = act(Σ over taps input[y(m) + ky][x(m) + kx][c] * depthwise[c][tap] + b[c])
//!                    + inner_residual[m][c]
//! for m in pixels, n in outputs:
//!     output[m][n] = act'(Σ_c middle[m][c] * weight[n][c] + b'[n]) + residual[m][n]
//! ```
//!
//! 1. The tile's rows of `middle` never leave shared memory: they are the `a` of the product, all
//!    chunks of it, while weights stream past as in every convolution.
//! 2. Taps outside the image are read at the image's first pixel and replaced by zeros: nine
//!    loads without a branch between them.
//! 3. Sums over taps are f32, rounded once when stored.

#[cfg(test)]
mod tests;

use onelook_graph::op::Activation;
use onelook_ptx::lang::{Bool, Builder, Cache, F32, Global, SharedAddress, Special, Target, U32};

use super::conv::{Part, Pipeline, Store, Weights};
use super::gemm::{Gemm, Tile, slot};
use super::window::{Extents, Window, extent_words};
use super::{Element, Map, Tiled, VECTOR_BYTES, activate};

/// Both convolutions and what is fused with them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DepthwiseShape {
    /// Format of maps and weights.
    pub element: Element,
    /// What is read.
    pub input: Map,
    /// What slides over the input.
    pub window: Window,
    /// Between the convolutions.
    pub inner_activation: Option<Activation>,
    /// Channels from pixel to pixel of what is added between the convolutions.
    pub inner_residual: Option<u32>,
    /// Where the output's channels go.
    pub part: Part,
    /// After the second convolution.
    pub activation: Option<Activation>,
    /// Channels from pixel to pixel of what is added last.
    pub residual: Option<u32>,
}

impl DepthwiseShape {
    /// The words of a launch behind the number of pixels.
    pub fn extent_words(&self) -> Vec<u32> {
        let input = [self.input.height, self.input.width];
        extent_words(self.window.output, input).to_vec()
    }

    /// The same for maps of any extents: what the kernel's text depends on.
    #[must_use]
    pub fn of_any_extents(&self) -> Self {
        let mut any = self.clone();
        any.window.output = [0; 2];
        (any.input.height, any.input.width) = (0, 0);
        any
    }

    /// Vectors of the channels.
    pub fn vectors(&self) -> u32 {
        self.input.channels / self.element.per_vector()
    }

    /// Chunks of the channels.
    pub fn chunks(&self, tile: &Tile) -> u32 {
        self.vectors().div_ceil(tile.vectors)
    }
}

/// Bytes of shared memory of the kernel.
pub fn shared_bytes(shape: &DepthwiseShape, tile: &Tile) -> u32 {
    let resident = shape.chunks(tile) * tile.a_bytes();
    let after = Store::bytes(shape.element, tile).max(Gemm::slice_bytes(tile));
    (resident + Pipeline::stages_bytes(tile, true)).max(after)
}

/// The kernel. Parameters: the input; depthwise weights as [`pack_depthwise`] gives them; their
/// biases, f32; the inner residual if there is one; weights as
/// [`pack_weights`](super::conv::pack_weights) gives them; biases, f32, padded to whole tiles; the
/// residual if there is one; the output; pixels of all images (a word); the
/// [`extent_words`](DepthwiseShape::extent_words).
pub fn depthwise(
    target: Target,
    name: &str,
    shape: &DepthwiseShape,
    tile: Tile,
    batch: u32,
) -> Tiled {
    let k = Builder::new(name, target, tile.threads());
    write(&k, shape, tile);
    let pixels = shape.window.pixels() * batch;
    Tiled {
        kernel: k.finish(),
        grid: [
            pixels.div_ceil(tile.m),
            shape.part.channels.div_ceil(tile.n),
            1,
        ],
        choice: tile.describe(shape.element),
    }
}

fn write(k: &Builder, shape: &DepthwiseShape, tile: Tile) {
    let input = k.input("input");
    let inner_weights = k.input("depthwise_weights");
    let bias = k.input("depthwise_bias");
    let residual = shape.inner_residual.map(|_| k.input("inner_residual"));
    let weights = k.input("weights");
    let store = Store::new(k, shape.element, tile, shape.activation)
        .with_residual(shape.residual)
        .with_parts(&[shape.part]);
    let pixels = k.word("pixels");
    let taps = Taps {
        k,
        shape,
        tile,
        input,
        weights: inner_weights,
        bias,
        residual,
        extents: Extents::new(k),
    };
    let memory = k.shared(shared_bytes(shape, &tile), 128);
    let first_pixel = k.special(Special::BlockX) * tile.m;
    let column_tile = k.special(Special::BlockY);

    k.grid_launch();
    let chunks = shape.chunks(&tile);
    let gemm = Gemm::new(k, shape.element, tile);
    let weights = Weights::new(k, tile, chunks, weights, column_tile);
    let sums = gemm.zeros();
    let pipeline = Pipeline {
        k,
        tile,
        memory: memory + chunks * tile.a_bytes(),
        resident: Some(memory),
        chunks,
    };
    pipeline.run(&gemm, &sums, &weights, |_, resident| {
        taps.fill(resident, first_pixel, pixels);
    });
    gemm.join_slices(&sums, memory);
    let origin = [first_pixel, column_tile * tile.n];
    store.run(&gemm, &sums, memory, origin, pixels);
}

/// The depthwise part.
struct Taps<'k, 's> {
    k: &'k Builder,
    shape: &'s DepthwiseShape,
    tile: Tile,
    input: Global<'k>,
    weights: Global<'k>,
    bias: Global<'k>,
    residual: Option<Global<'k>>,
    extents: Extents<'k>,
}

impl<'k> Taps<'k, '_> {
    /// Fills all chunks of the tile's rows, zeros where a pixel or a channel is missing.
    fn fill(&self, resident: SharedAddress<'k>, first: U32<'k>, pixels: U32<'k>) {
        let (k, tile, shape) = (self.k, self.tile, self.shape);
        let per_row = shape.chunks(&tile) * tile.vectors;
        let all = tile.m * per_row;
        k.count(k.thread(), all, tile.threads(), |index| {
            let (row, vector) = (index / per_row, index % per_row);
            let pixel = first + row;
            let exists = pixel.less(pixels) & vector.less(shape.vectors());
            let words = [(); 4].map(|()| k.variable(k.u32(0)));
            k.when(exists, || {
                let values = self.vector(pixel, vector);
                for (word, value) in words.into_iter().zip(self.encode(&values)) {
                    k.assign(word, value);
                }
            });
            let chunk = vector / tile.vectors * tile.a_bytes();
            let place = slot(tile.vectors, row, vector % tile.vectors);
            k.store_shared(resident + chunk + place, words);
        });
    }

    /// The values of one vector of one pixel between the convolutions.
    fn vector(&self, pixel: U32<'k>, vector: U32<'k>) -> Vec<F32<'k>> {
        let (k, shape) = (self.k, self.shape);
        let per = shape.element.per_vector();
        let taps = shape.window.taps();
        let (image, at) = self.extents.locate(pixel);
        let load = |tap| self.tap(image, at, vector, tap);
        let loads: Vec<[U32<'k>; 4]> = (0..taps).map(load).collect();
        let floats = |from: Global<'k>| -> Vec<F32<'k>> {
            let words = (0..per / 4).flat_map(|i| k.load::<4>(from + 16 * i, Cache::ReadOnly));
            words.map(U32::as_f32).collect()
        };
        let mut sums = floats(self.bias + vector * (per * 4));
        for (tap, words) in (0..).zip(&loads) {
            let weights = floats(self.weights + (vector * taps + tap) * (per * 4));
            let values = self.decode(words);
            for ((sum, value), weight) in sums.iter_mut().zip(values).zip(weights) {
                *sum = value.fused_multiply_add(weight, *sum);
            }
        }
        for sum in &mut sums {
            *sum = activate(shape.inner_activation, *sum);
        }
        if let (Some(residual), Some(pitch)) = (self.residual, shape.inner_residual) {
            let offset = pixel * (pitch * shape.element.bytes()) + vector * VECTOR_BYTES;
            let words = k.load::<4>(residual + offset, Cache::Default);
            for (sum, other) in sums.iter_mut().zip(self.decode(&words)) {
                *sum = *sum + other;
            }
        }
        sums
    }

    /// The input under a tap of the output pixel at this row and column, zeros outside.
    fn tap(&self, image: U32<'k>, at: [U32<'k>; 2], vector: U32<'k>, tap: u32) -> [U32<'k>; 4] {
        let (k, shape) = (self.k, self.shape);
        let across = shape.window.kernel[1];
        let [height, width] = self.extents.input;
        let [y, x] = shape
            .window
            .seen_in_kernel(at, [tap / across, tap % across]);
        let inside: Bool<'k> = y.less(height) & x.less(width);
        let line = image * height + y;
        let place = inside.select(line * width + x, k.u32(0));
        let offset = place * (shape.input.pitch * shape.element.bytes()) + vector * VECTOR_BYTES;
        let words = k.load::<4>(self.input + offset, Cache::Default);
        words.map(|word| inside.select(word, k.u32(0)))
    }

    fn decode(&self, words: &[U32<'k>; 4]) -> Vec<F32<'k>> {
        match self.shape.element {
            Element::F16 => words
                .iter()
                .flat_map(|word| word.as_f16x2().unpack())
                .collect(),
            Element::F32 => words.iter().map(|word| word.as_f32()).collect(),
        }
    }

    fn encode(&self, values: &[F32<'k>]) -> Vec<U32<'k>> {
        match self.shape.element {
            Element::F16 => values
                .chunks_exact(2)
                .map(|pair| pair[0].pack(pair[1]).bits())
                .collect(),
            Element::F32 => values.iter().map(|value| value.bits()).collect(),
        }
    }
}

/// Depthwise weights `[channels][taps]` in the order in which the kernel reads them:
/// `[vector][tap][channel of the vector]`, channels padded with zeros to whole vectors.
pub fn pack_depthwise(weights: &[f32], taps: usize, element: Element) -> Vec<f32> {
    let per = element.per_vector() as usize;
    let channels = weights.len() / taps;
    let mut packed = vec![0.0; channels.next_multiple_of(per) * taps];
    for (channel, weights) in weights.chunks_exact(taps).enumerate() {
        for (tap, &weight) in weights.iter().enumerate() {
            packed[(channel / per * taps + tap) * per + channel % per] = weight;
        }
    }
    packed
}
