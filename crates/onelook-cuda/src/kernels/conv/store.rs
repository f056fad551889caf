//! From sums to maps: bias, activation, residual, whole vectors.

use onelook_graph::op::Activation;
use onelook_ptx::lang::{Builder, Cache, F32, Global, SharedAddress, U32};

use crate::kernels::gemm::{Gemm, Sums, Tile};
use crate::kernels::{Element, VECTOR_BYTES, activate};

/// Some of the output's channels and the buffer that they go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Part {
    /// Channels, a multiple of a vector's values.
    pub channels: u32,
    /// Channels from pixel to pixel of the buffer.
    pub pitch: u32,
}

/// The end of a kernel: its own parameters and what it does with the sums.
pub struct Store<'k> {
    k: &'k Builder,
    element: Element,
    tile: Tile,
    activation: Option<Activation>,
    bias: Global<'k>,
    residual: Option<(Global<'k>, u32)>,
    parts: Vec<(Global<'k>, Part)>,
}

impl<'k> Store<'k> {
    /// Bytes of shared memory.
    pub fn bytes(element: Element, tile: &Tile) -> u32 {
        tile.m * row_bytes(element, tile)
    }

    /// Takes the parameter of the biases.
    pub fn new(
        k: &'k Builder,
        element: Element,
        tile: Tile,
        activation: Option<Activation>,
    ) -> Self {
        Self {
            k,
            element,
            tile,
            activation,
            bias: k.input("bias"),
            residual: None,
            parts: Vec::new(),
        }
    }

    /// Takes the parameter of the residual, if there is one of this pitch.
    #[must_use]
    pub fn with_residual(self, pitch: Option<u32>) -> Self {
        let residual = pitch.map(|pitch| (self.k.input("residual"), pitch));
        Self { residual, ..self }
    }

    /// Takes the parameters of the outputs.
    #[must_use]
    pub fn with_parts(self, parts: &[Part]) -> Self {
        let parameter = |(index, &part)| (self.k.output(&format!("output_{index}")), part);
        let parts = parts.iter().enumerate().map(parameter).collect();
        Self { parts, ..self }
    }

    /// Stores the tile whose first pixel and first channel are given; `memory` is free to be used.
    pub fn run(
        &self,
        gemm: &Gemm<'k>,
        sums: &Sums<'k>,
        memory: SharedAddress<'k>,
        [first_pixel, first_channel]: [U32<'k>; 2],
        pixels: U32<'k>,
    ) {
        self.gather(gemm, sums, memory, first_channel);
        self.k.barrier();
        self.scatter(memory, first_pixel, first_channel, pixels);
    }

    /// Sums with bias and activation, in rows of shared memory.
    fn gather(
        &self,
        gemm: &Gemm<'k>,
        sums: &Sums<'k>,
        memory: SharedAddress<'k>,
        first_channel: U32<'k>,
    ) {
        let (k, bytes) = (self.k, self.element.bytes());
        let mut biases: Vec<[F32<'k>; 2]> = Vec::new();
        gemm.each_pair(sums, |row, tile, column, pair| {
            if biases.len() == tile {
                let bias = self.bias + (first_channel + column) * 4;
                biases.push(k.load::<2>(bias, Cache::ReadOnly).map(U32::as_f32));
            }
            let bias = biases[tile];
            let value = |i: usize| activate(self.activation, pair[i] + bias[i]);
            let values = [value(0), value(1)];
            let place = memory + row * row_bytes(self.element, &self.tile) + column * bytes;
            match self.element {
                Element::F16 => k.store_shared(place, [values[0].pack(values[1])]),
                Element::F32 => k.store_shared(place, values),
            }
        });
    }

    /// Rows of shared memory to the maps, a vector at a time.
    fn scatter(
        &self,
        memory: SharedAddress<'k>,
        first_pixel: U32<'k>,
        first_channel: U32<'k>,
        pixels: U32<'k>,
    ) {
        let (k, tile, element) = (self.k, self.tile, self.element);
        let per_row = tile.n / element.per_vector();
        let first_piece = first_channel / element.per_vector();
        let channels: u32 = self.parts.iter().map(|(_, part)| part.channels).sum();
        let vectors = channels / element.per_vector();
        let all = tile.m * per_row;
        for first in (0..all).step_by(tile.threads() as usize) {
            let index = k.thread() + first;
            let (row, vector) = (index / per_row, index % per_row);
            let (pixel, channel_piece) = (first_pixel + row, first_piece + vector);
            let mut inside = pixel.less(pixels);
            if first + tile.threads() > all {
                inside = inside & index.less(all);
            }
            if !channels.is_multiple_of(tile.n) {
                inside = inside & channel_piece.less(vectors);
            }
            k.when(inside, || {
                let place = memory + row * row_bytes(element, &tile) + vector * VECTOR_BYTES;
                let values = self.add_residual(k.load_shared(place), pixel, channel_piece);
                self.store(0, 0, values, pixel, channel_piece);
            });
        }
    }

    fn add_residual(&self, values: [U32<'k>; 4], pixel: U32<'k>, vector: U32<'k>) -> [U32<'k>; 4] {
        let Some((residual, pitch)) = self.residual else {
            return values;
        };
        let offset = pixel * (pitch * self.element.bytes()) + vector * VECTOR_BYTES;
        let others = self.k.load::<4>(residual + offset, Cache::Default);
        std::array::from_fn(|i| match self.element {
            Element::F16 => {
                let [a, b] = values[i].as_f16x2().unpack();
                let [c, d] = others[i].as_f16x2().unpack();
                (a + c).pack(b + d).bits()
            }
            Element::F32 => (values[i].as_f32() + others[i].as_f32()).bits(),
        })
    }

    /// Stores a vector in the buffer that it belongs to; `before` vectors come ahead of part
    /// `index`.
    fn store(
        &self,
        index: usize,
        before: u32,
        values: [U32<'k>; 4],
        pixel: U32<'k>,
        vector: U32<'k>,
    ) {
        let (output, part) = self.parts[index];
        let store = || {
            let pitch = part.pitch * self.element.bytes();
            let place = output + (pixel * pitch + (vector - before) * VECTOR_BYTES);
            self.k.store(place, values);
        };
        if index + 1 == self.parts.len() {
            return store();
        }
        let end = before + part.channels / self.element.per_vector();
        self.k.when_else(vector.less(end), store, || {
            self.store(index + 1, end, values, pixel, vector);
        });
    }
}

/// Bytes of a gathered row: a vector more than its values, so that rows begin in different banks.
fn row_bytes(element: Element, tile: &Tile) -> u32 {
    tile.n * element.bytes() + VECTOR_BYTES
}
