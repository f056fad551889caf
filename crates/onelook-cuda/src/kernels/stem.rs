//! The first convolution, straight from the images as they came.
//!
//! ```text
//! for every output pixel and channel n:
//!     sum = Σ over taps, colours c:  letterboxed[y * stride + ky - top][x * stride + kx - left][c]
//!                                    * weight[n][ky][kx][c]
//!     output[y][x][n] = activation(sum / 255 + bias[n])
//! ```
//!
//! 1. A block scales just the pixels that its tile needs, bilinearly in whole numbers exactly as
//!    `letterbox` does, all loads of a thread set out before the first is used.
//! 2. They stay whole numbers up to 255, exact in f16; the division by 255 waits for the sum.
//! 3. The three colours of neighbouring pixels lie side by side, so that a row of taps is a row of
//!    k and fragments are loaded from where the pixels lie: no tile of taps is ever written.
//! 4. Weights are fragments already, with columns exchanged such that a lane ends up with
//!    neighbouring channels, which it stores as one vector.

mod scale;
#[cfg(test)]
mod tests;

use onelook_graph::op::Activation;
use onelook_ptx::lang::{Builder, Cache, F32, Global, SharedAddress, Special, Target, U32};

use super::window::Window;
use super::{Element, Tiled, activate};
use crate::images::HEADER_BYTES;
use scale::Scaler;

/// The first convolution.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StemShape {
    /// Format of weights and of the output.
    pub element: Element,
    /// Height and width of the letterboxed image.
    pub input: [u32; 2],
    /// What slides over the input.
    pub window: Window,
    /// Channels of the output, a multiple of 8.
    pub channels: u32,
    /// Channels from pixel to pixel of the output.
    pub pitch: u32,
    /// After the bias.
    pub activation: Option<Activation>,
}

/// Output rows of a tile, one per warp.
const ROWS: u32 = 8;

/// Fragments along a row of a tile.
const FRAGMENTS: u32 = 2;

/// Output pixels of a tile's row.
const COLUMNS: u32 = 16 * FRAGMENTS;

const THREADS: u32 = 32 * ROWS;

impl StemShape {
    /// Values of a pixel in shared memory: pairs of them have to begin at even places.
    fn per_pixel(&self) -> u32 {
        if self.window.stride[1].is_multiple_of(2) {
            3
        } else {
            4
        }
    }

    /// Values of k for a row of taps.
    fn taps(&self) -> u32 {
        (self.window.kernel[1] * self.per_pixel()).next_multiple_of(2)
    }

    /// Values of k.
    fn depth(&self) -> u32 {
        (self.window.kernel[0] * self.taps()).next_multiple_of(16)
    }

    /// Rows and columns of pixels that a tile needs.
    fn tile_input(&self) -> [u32; 2] {
        let side = |axis: usize, outputs: u32| {
            (outputs - 1) * self.window.stride[axis] + self.window.kernel[axis]
        };
        [side(0, ROWS), side(1, COLUMNS)]
    }

    /// Values from one row of pixels to the next.
    fn row_values(&self) -> u32 {
        let beyond = self.taps() - self.window.kernel[1] * self.per_pixel();
        (self.tile_input()[1] * self.per_pixel() + beyond).next_multiple_of(2)
    }

    /// Runs of channels that a lane holds fragments of: first channel and number of fragments.
    fn groups(&self) -> Vec<(u32, u32)> {
        let mut groups = Vec::new();
        let mut first = 0;
        while first < self.channels {
            let left = (self.channels - first) / 8;
            let fragments = [4, 2, 1].into_iter().find(|&size| size <= left);
            let fragments = fragments.expect("channels come in eights");
            groups.push((first, fragments));
            first += 8 * fragments;
        }
        groups
    }
}

/// Bytes of shared memory of the kernel.
pub fn shared_bytes(shape: &StemShape) -> u32 {
    shape.tile_input()[0] * shape.row_values() * shape.element.bytes()
}

/// The kernel. Parameters: the images as [`pack`](crate::images::pack) gives them; weights as
/// [`pack_weights`] gives them; biases, f32; the output.
pub fn stem(target: Target, name: &str, shape: &StemShape, batch: u32) -> Tiled {
    let k = Builder::new(name, target, THREADS);
    // Several groups of channels want more registers than ptxas would leave them.
    let k = match shape.groups().len() {
        1 => k,
        _ => k.with_blocks_per_multiprocessor(2),
    };
    write(&k, shape);
    let [rows, columns] = shape.window.output;
    Tiled {
        kernel: k.finish(),
        grid: [columns.div_ceil(COLUMNS), rows.div_ceil(ROWS), batch],
        choice: format!("{ROWS}x{COLUMNS} pixels, {THREADS} threads"),
    }
}

fn write(k: &Builder, shape: &StemShape) {
    let blob = k.input("images");
    let stem = Stem {
        k,
        shape,
        weights: k.input("weights"),
        bias: k.input("bias"),
        output: k.output("output"),
        pixels: k.shared(shared_bytes(shape), 16),
    };
    let image = k.special(Special::BlockZ);
    let corner = [
        k.special(Special::BlockY) * ROWS,
        k.special(Special::BlockX) * COLUMNS,
    ];
    k.grid_launch();
    k.grid_wait();
    let scaler = Scaler::new(k, shape, blob, blob + image * HEADER_BYTES);
    scaler.fill(corner, stem.pixels);
    k.barrier();
    let offsets = stem.offsets();
    for (first, fragments) in shape.groups() {
        let sums = match shape.element {
            Element::F16 => stem.multiply_f16(&offsets, first, fragments),
            Element::F32 => stem.multiply_f32(first, fragments),
        };
        stem.store(&sums, image, corner, first, fragments);
    }
}

/// `[fragment along the row][fragment of channels]`.
type Sums<'k> = Vec<Vec<[F32<'k>; 4]>>;

struct Stem<'k, 's> {
    k: &'k Builder,
    shape: &'s StemShape,
    weights: Global<'k>,
    bias: Global<'k>,
    output: Global<'k>,
    pixels: SharedAddress<'k>,
}

impl<'k> Stem<'k, '_> {
    /// Where in the tile of pixels each pair of k begins that the lane holds, in values.
    fn offsets(&self) -> Vec<U32<'k>> {
        let (k, shape) = (self.k, self.shape);
        let taps = shape.taps();
        (0..shape.depth() / 8)
            .map(|eighth| {
                let depth = k.lane() % 4 * 2 + eighth * 8;
                let place = depth / taps * shape.row_values() + depth % taps;
                let exists = depth.less(shape.window.kernel[0] * taps);
                exists.select(place, k.u32(0))
            })
            .collect()
    }

    /// The first value of the pixels under a fragment's row `lane / 4`.
    fn origin(&self, fragment: u32) -> U32<'k> {
        let (k, shape) = (self.k, self.shape);
        let row = k.warp() * (shape.window.stride[0] * shape.row_values());
        let column = k.lane() / 4 + 16 * fragment;
        row + column * (shape.window.stride[1] * shape.per_pixel())
    }

    /// Values between the pixels under rows 0 and 8 of a fragment.
    fn half_fragment(&self) -> u32 {
        8 * self.shape.window.stride[1] * self.shape.per_pixel()
    }

    fn zeros(&self, fragments: u32) -> Sums<'k> {
        let fragment = || [0.0; 4].map(|zero| self.k.float_variable(zero));
        let row = || (0..fragments).map(|_| fragment()).collect();
        (0..FRAGMENTS).map(|_| row()).collect()
    }

    fn multiply_f16(&self, offsets: &[U32<'k>], first: u32, fragments: u32) -> Sums<'k> {
        let (k, depth) = (self.k, self.shape.depth());
        let sums = self.zeros(fragments);
        let weights = self.weights + first * depth * 2 + k.lane() * 8;
        let weights: Vec<Vec<_>> = (0..depth / 16)
            .map(|step| {
                let fragment = |index| weights + (step * fragments + index) * 256;
                (0..fragments)
                    .map(|index| k.load::<2>(fragment(index), Cache::ReadOnly))
                    .collect()
            })
            .collect();
        for (sums, fragment) in sums.iter().zip(0..) {
            let origin = self.origin(fragment);
            for (offsets, weights) in offsets.chunks_exact(2).zip(&weights) {
                let pair = |offset: U32<'k>, row: u32| {
                    k.load_shared_f16x2(self.pixels + (origin + offset) * 2 + row)
                };
                let below = self.half_fragment() * 2;
                let [near, far] = [offsets[0], offsets[1]];
                let a = [
                    pair(near, 0),
                    pair(near, below),
                    pair(far, 0),
                    pair(far, below),
                ];
                for (&sums, b) in sums.iter().zip(weights) {
                    k.mma(sums, a, b.map(U32::as_f16x2));
                }
            }
        }
        sums
    }

    fn multiply_f32(&self, first: u32, fragments: u32) -> Sums<'k> {
        let (k, shape) = (self.k, self.shape);
        let sums = self.zeros(fragments);
        let taps = shape.taps();
        let weights = self.weights + first * shape.depth() * 4 + k.lane() % 4 * 8;
        k.count(0, shape.window.kernel[0] * taps, 1, |depth| {
            let place = depth / taps * shape.row_values() + depth % taps;
            let weights: Vec<[F32<'k>; 2]> = (0..fragments)
                .map(|index| {
                    let from = weights + (depth * fragments + index) * 32;
                    k.load(from, Cache::ReadOnly).map(U32::as_f32)
                })
                .collect();
            for (sums, fragment) in sums.iter().zip(0..) {
                let from = self.pixels + (self.origin(fragment) + place) * 4;
                let rows = [0, self.half_fragment() * 4].map(|row| {
                    let [value] = k.load_shared(from + row);
                    value.as_f32()
                });
                for (sums, weights) in sums.iter().zip(&weights) {
                    for (index, &sum) in sums.iter().enumerate() {
                        let (row, weight) = (rows[index / 2], weights[index % 2]);
                        k.assign(sum, row.fused_multiply_add(weight, sum));
                    }
                }
            }
        });
        sums
    }

    fn store(
        &self,
        sums: &Sums<'k>,
        image: U32<'k>,
        [top, left]: [U32<'k>; 2],
        first: u32,
        fragments: u32,
    ) {
        let (k, shape) = (self.k, self.shape);
        let [height, width] = shape.window.output;
        let lane_channel = k.lane() % 4 * (2 * fragments);
        let bias: Vec<[F32<'k>; 2]> = (0..fragments)
            .map(|pair| {
                let from = self.bias + first * 4 + pair * 8 + lane_channel * 4;
                k.load(from, Cache::ReadOnly).map(U32::as_f32)
            })
            .collect();
        let y = top + k.warp();
        for (sums, fragment) in sums.iter().zip(0..) {
            for half in 0..2 {
                let x = left + k.lane() / 4 + (16 * fragment + 8 * half);
                k.when(y.less(height) & x.less(width), || {
                    let pixel = (image * height + y) * width + x;
                    let value = pixel * shape.pitch + lane_channel + first;
                    let values = sums.iter().zip(&bias).flat_map(|(sums, bias)| {
                        let pair = [sums[2 * half as usize], sums[2 * half as usize + 1]];
                        pair.into_iter().zip(bias).map(|(sum, &bias)| {
                            let scaled = sum.fused_multiply_add(k.f32(1.0 / 255.0), bias);
                            activate(shape.activation, scaled)
                        })
                    });
                    let to = self.output + value * shape.element.bytes();
                    self.store_values(to, &values.collect::<Vec<_>>());
                });
            }
        }
    }

    fn store_values(&self, to: Global<'k>, values: &[F32<'k>]) {
        let words: Vec<U32<'k>> = match self.shape.element {
            Element::F16 => values
                .chunks_exact(2)
                .map(|pair| pair[0].pack(pair[1]).bits())
                .collect(),
            Element::F32 => values.iter().map(|value| value.bits()).collect(),
        };
        for (words, offset) in words.chunks(4).zip((0..).step_by(16)) {
            match *words {
                [a, b, c, d] => self.k.store(to + offset, [a, b, c, d]),
                [a, b] => self.k.store(to + offset, [a, b]),
                _ => words
                    .iter()
                    .for_each(|&word| self.k.store(to + offset, [word])),
            }
        }
    }
}

/// Weights `[outputs][3][taps]` in the order in which the kernel loads them: by groups of channels,
/// then k, each as the matrix unit takes it.
pub fn pack_weights(weights: &[f32], shape: &StemShape) -> Vec<f32> {
    let mut packed = Vec::new();
    for (first, fragments) in shape.groups() {
        let value = |depth: u32, fragment: u32, column: u32| {
            let channel = first + column / 2 * 2 * fragments + 2 * fragment + column % 2;
            weight(weights, shape, depth, channel)
        };
        match shape.element {
            Element::F16 => {
                for step in 0..shape.depth() / 16 {
                    for (fragment, lane) in
                        (0..fragments).flat_map(|f| (0..32).map(move |l| (f, l)))
                    {
                        let depth = step * 16 + lane % 4 * 2;
                        let pairs = [0, 1, 8, 9].map(|row| value(depth + row, fragment, lane / 4));
                        packed.extend(pairs);
                    }
                }
            }
            Element::F32 => {
                for depth in 0..shape.depth() {
                    for (fragment, column) in
                        (0..fragments).flat_map(|f| (0..8).map(move |c| (f, c)))
                    {
                        packed.push(value(depth, fragment, column));
                    }
                }
            }
        }
    }
    packed
}

/// The weight of a value of k, 0 where k only fills up.
fn weight(weights: &[f32], shape: &StemShape, depth: u32, channel: u32) -> f32 {
    let (row, within) = (depth / shape.taps(), depth % shape.taps());
    let (column, colour) = (within / shape.per_pixel(), within % shape.per_pixel());
    if row >= shape.window.kernel[0] || column >= shape.window.kernel[1] || colour >= 3 {
        return 0.0;
    }
    let tap = row * shape.window.kernel[1] + column;
    let index = (channel * 3 + colour) * shape.window.kernel[0] * shape.window.kernel[1] + tap;
    weights.get(index as usize).copied().unwrap_or(0.0)
}
