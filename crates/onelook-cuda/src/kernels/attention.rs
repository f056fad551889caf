//! Self-attention over the pixels of a map, its weights never written down (flash attention:
//! arXiv 2205.14135).
//!
//! ```text
//! for every picture, head and pixel i:
//!     weight[j] = softmax over pixels j of  scale * query[i] · key[j]
//!     output[i] = Σ_j weight[j] * value[j]
//! ```
//!
//! 1. A warp has 16 queries and goes through the keys chunk by chunk, with the largest product so
//!    far per query; when it grows, what was added up before shrinks by that much.
//! 2. Where there are few queries, warps share the keys among them as well; each has its own largest
//!    product, and all are joined at the end.
//! 3. Powers are of 2: the factor is folded into the scale. Products lie in registers as the matrix
//!    unit gives them, which is how it takes them back as weights.
//! 4. Keys and values are on their way several chunks ahead, in rows of an odd number of pieces, so
//!    that eight of them touch all banks. Pixels beyond the last weigh nothing.

mod product;
#[cfg(test)]
mod tests;

use onelook_graph::op::Attention;

use super::{Element, Map, PIECE_BYTES, Tiled};
use crate::lang::{Builder, F32, Global, Halves, SharedAddress, Special, Target, U32};

/// An attention and where its maps lie.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AttentionShape {
    /// Format of the maps.
    pub element: Element,
    /// Heads, sizes and the scale.
    pub attention: Attention,
    /// Queries of all heads, then keys, then values.
    pub input: Map,
    /// Channels from pixel to pixel of the output.
    pub pitch: u32,
}

/// How a block's work is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tile {
    /// Groups of 16 queries, a warp each.
    rows: u32,
    /// Warps that share the keys of such a group.
    slices: u32,
    /// Keys of a chunk for one warp.
    keys: u32,
    /// Chunks in shared memory at a time.
    stages: u32,
}

/// Blocks that keep a large device busy.
const MANY_BLOCKS: u32 = 264;

/// Stands for the largest product before there is one: below all, but finite, so that differences
/// are numbers.
const NOTHING: f32 = -1e30;

impl AttentionShape {
    /// Whether the kernel can be written for these sizes.
    pub fn is_supported(&self) -> bool {
        let (whole, stages) = (self.whole(), self.tile(1).stages);
        let even = |size: usize| size > 0 && size.is_multiple_of(whole);
        let attention = &self.attention;
        even(attention.key_size)
            && even(attention.head_size)
            && attention.key_size <= 128
            && attention.head_size <= 128
            && attention.scale > 0.0
            && stages >= 2
    }

    /// Channels that the matrix unit takes at once.
    fn whole(&self) -> usize {
        match self.element {
            Element::F16 => 16,
            Element::F32 => 8,
        }
    }

    fn tokens(&self) -> u32 {
        self.input.pixels()
    }

    fn key(&self) -> u32 {
        self.attention.key_size as u32
    }

    fn value(&self) -> u32 {
        self.attention.head_size as u32
    }

    fn heads(&self) -> u32 {
        self.attention.heads as u32
    }

    /// Bytes from one row of a chunk to the next.
    fn row_bytes(&self, channels: u32) -> u32 {
        ((channels / self.element.per_piece()) | 1) * PIECE_BYTES
    }

    fn tile(&self, batch: u32) -> Tile {
        let blocks = |rows: u32| self.heads() * batch * self.tokens().div_ceil(16 * rows);
        let (rows, slices, keys) = if blocks(2) < MANY_BLOCKS {
            (1, 4, 32)
        } else if blocks(4) < MANY_BLOCKS {
            (2, 2, 32)
        } else {
            (4, 1, 64)
        };
        let tile = Tile {
            rows,
            slices,
            keys: keys / (self.element.bytes() / 2),
            stages: 2,
        };
        let chunks = self.tokens().div_ceil(tile.chunk());
        let fitting = (60 << 10) / tile.stage_bytes(self);
        Tile {
            stages: chunks.clamp(2, 4).min(fitting),
            ..tile
        }
    }
}

impl Tile {
    fn threads(&self) -> u32 {
        32 * self.rows * self.slices
    }

    /// Keys of a chunk.
    fn chunk(&self) -> u32 {
        self.keys * self.slices
    }

    fn stage_bytes(&self, shape: &AttentionShape) -> u32 {
        self.chunk() * (shape.row_bytes(shape.key()) + shape.row_bytes(shape.value()))
    }

    /// Bytes of one slice's sums of a query, of its largest product and of its weights' sum.
    fn sums_bytes(shape: &AttentionShape) -> u32 {
        shape.value() * 4 + PIECE_BYTES
    }

    fn shared_bytes(&self, shape: &AttentionShape) -> u32 {
        let sums = self.slices * self.rows * 16 * Self::sums_bytes(shape);
        sums.max(self.stages * self.stage_bytes(shape))
    }
}

/// Bytes of shared memory of the kernel.
pub fn shared_bytes(shape: &AttentionShape, batch: u32) -> u32 {
    shape.tile(batch).shared_bytes(shape)
}

/// The kernel. Parameters: the input; the output.
pub fn attention(target: Target, name: &str, shape: &AttentionShape, batch: u32) -> Tiled {
    let tile = shape.tile(batch);
    let k = Builder::new(name, target, tile.threads());
    Attend::new(&k, shape, tile).write();
    let Tile {
        rows,
        slices,
        stages,
        ..
    } = tile;
    Tiled {
        kernel: k.finish(),
        grid: [shape.tokens().div_ceil(16 * rows), shape.heads(), batch],
        choice: format!(
            "{}x{}, {rows}x{slices} warps, {stages} stages",
            16 * rows,
            tile.chunk()
        ),
    }
}

/// A fragment of 16 by 8 sums.
type Fragment<'k> = [F32<'k>; 4];

struct Attend<'k, 's> {
    k: &'k Builder,
    shape: &'s AttentionShape,
    tile: Tile,
    input: Global<'k>,
    output: Global<'k>,
    memory: SharedAddress<'k>,
    /// The first query of the warp, and which of its keys.
    row: U32<'k>,
    slice: U32<'k>,
}

/// What a warp knows of its queries: those of rows `lane / 4` and 8 further.
struct State<'k> {
    /// The largest products so far.
    largest: [F32<'k>; 2],
    /// The lane's part of the weights' sums.
    weights: [F32<'k>; 2],
    /// The values' sums, 8 channels a fragment.
    sums: Vec<Fragment<'k>>,
}

impl<'k, 's> Attend<'k, 's> {
    fn new(k: &'k Builder, shape: &'s AttentionShape, tile: Tile) -> Self {
        let warp = k.warp();
        Self {
            k,
            shape,
            tile,
            input: k.input("input"),
            output: k.output("output"),
            memory: k.shared(tile.shared_bytes(shape), 128),
            row: warp % tile.rows * 16,
            slice: warp / tile.rows,
        }
    }

    fn write(&self) {
        let (k, stages) = (self.k, self.tile.stages);
        k.grid_launch();
        k.grid_wait();
        for chunk in 0..stages - 1 {
            self.load(k.u32(chunk), self.stage(k.u32(chunk)));
            k.async_commit();
        }
        let queries = self.queries();
        let state = self.begin();
        let chunks = self.shape.tokens().div_ceil(self.tile.chunk());
        k.count(0, chunks, 1, |chunk| {
            k.async_wait(stages - 2);
            k.barrier();
            let next = chunk + (stages - 1);
            k.when(next.less(chunks), || {
                self.load(next, self.stage(next % stages));
            });
            k.async_commit();
            let stage = self.stage(chunk % stages);
            self.attend(&state, &queries, chunk, stage);
        });
        k.async_wait(0);
        k.barrier();
        self.keep(&state);
        k.barrier();
        self.join();
    }

    fn stage(&self, number: U32<'k>) -> SharedAddress<'k> {
        self.memory + number * self.tile.stage_bytes(self.shape)
    }

    /// Bytes from the input's start to a channel of a token of the block's picture.
    fn offset(&self, token: U32<'k>, pitch: u32, channel: U32<'k>) -> U32<'k> {
        let pixel = self.k.special(Special::BlockZ) * self.shape.tokens() + token;
        (pixel * pitch + channel) * self.shape.element.bytes()
    }

    /// The first channel of the head's queries, keys and values.
    fn channels(&self) -> [U32<'k>; 3] {
        let (head, shape) = (self.k.special(Special::BlockY), self.shape);
        let keys = shape.heads() * shape.key();
        let query = head * shape.key();
        [query, query + keys, head * shape.value() + 2 * keys]
    }

    /// The first query of the block.
    fn first(&self) -> U32<'k> {
        self.k.special(Special::BlockX) * (16 * self.tile.rows)
    }

    /// Begins to copy a chunk of keys and one of values behind it.
    fn load(&self, chunk: U32<'k>, stage: SharedAddress<'k>) {
        let (k, shape, tile) = (self.k, self.shape, self.tile);
        let [_, keys, values] = self.channels();
        let mut to = stage;
        for (first, channels) in [(keys, shape.key()), (values, shape.value())] {
            let pieces = channels / shape.element.per_piece();
            let all = tile.chunk() * pieces;
            for round in 0..all.div_ceil(tile.threads()) {
                let index = k.thread() + round * tile.threads();
                let (row, piece) = (index / pieces, index % pieces);
                let token = chunk * tile.chunk() + row;
                let channel = first + piece * shape.element.per_piece();
                let from = self.input + self.offset(token, shape.input.pitch, channel);
                let place = row * shape.row_bytes(channels) + piece * PIECE_BYTES;
                let copy =
                    || k.async_copy(to + place, from, PIECE_BYTES, token.less(shape.tokens()));
                match all.is_multiple_of(tile.threads()) {
                    true => copy(),
                    false => k.when(index.less(all), copy),
                }
            }
            to = to + tile.chunk() * shape.row_bytes(channels);
        }
    }

    fn begin(&self) -> State<'k> {
        let k = self.k;
        let fragments = 0..self.shape.value() / 8;
        State {
            largest: [NOTHING; 2].map(|first| k.float_variable(first)),
            weights: [0.0; 2].map(|first| k.float_variable(first)),
            sums: fragments
                .map(|_| [0.0; 4].map(|first| k.float_variable(first)))
                .collect(),
        }
    }

    /// Takes in the warp's part of a chunk.
    fn attend(
        &self,
        state: &State<'k>,
        queries: &[[Halves<'k>; 4]],
        chunk: U32<'k>,
        stage: SharedAddress<'k>,
    ) {
        let (k, shape, tile) = (self.k, self.shape, self.tile);
        let part = self.slice * tile.keys;
        let keys = stage + part * shape.row_bytes(shape.key());
        let all_keys = tile.chunk() * shape.row_bytes(shape.key());
        let values = stage + all_keys + part * shape.row_bytes(shape.value());
        let products = match shape.element {
            Element::F16 => self.products_f16(queries, keys),
            Element::F32 => self.products_f32(keys),
        };
        let products = self.masked(products, chunk * tile.chunk() + part);
        let factor = shape.attention.scale * std::f32::consts::LOG2_E;
        let mut weights = products;
        for half in 0..2 {
            let own = weights.iter().flat_map(|f| [f[2 * half], f[2 * half + 1]]);
            let most = own.reduce(F32::max).expect("a chunk has keys");
            let largest = state.largest[half].max(k.group_max(most, 4));
            let shrink = ((state.largest[half] - largest) * factor).exp2();
            let base = largest * -factor;
            let mut sum = state.weights[half] * shrink;
            for fragment in &mut weights {
                for weight in &mut fragment[2 * half..2 * half + 2] {
                    *weight = weight.fused_multiply_add(k.f32(factor), base).exp2();
                    sum = sum + *weight;
                }
            }
            k.assign(state.largest[half], largest);
            k.assign(state.weights[half], sum);
            for sums in &state.sums {
                for &value in &sums[2 * half..2 * half + 2] {
                    k.assign(value, value * shrink);
                }
            }
        }
        match shape.element {
            Element::F16 => self.add_values_f16(&state.sums, &weights, values),
            Element::F32 => self.add_values_f32(&state.sums, &weights, values),
        }
    }

    /// Products without those of keys beyond the last.
    fn masked(&self, products: Vec<Fragment<'k>>, first: U32<'k>) -> Vec<Fragment<'k>> {
        let (k, tokens) = (self.k, self.shape.tokens());
        if tokens.is_multiple_of(self.tile.chunk()) {
            return products;
        }
        let none = k.f32(f32::NEG_INFINITY);
        let own = first + k.lane() % 4 * 2;
        let mask = |(fragment, products): (u32, Fragment<'k>)| {
            let exists = [0, 1].map(|next| (own + (8 * fragment + next)).less(tokens));
            std::array::from_fn(|i| exists[i % 2].select(products[i], none))
        };
        (0..).zip(products).map(mask).collect()
    }

    /// Puts the warp's sums into shared memory: `[slice][query]`, the sums, then the largest product
    /// and the weights' sum.
    fn keep(&self, state: &State<'k>) {
        let (k, row_bytes) = (self.k, Tile::sums_bytes(self.shape));
        let lane = k.lane();
        for half in 0..2 {
            let row = self.slice * (16 * self.tile.rows) + self.row + lane / 4 + 8 * half as u32;
            let to = self.memory + row * row_bytes;
            for (sums, fragment) in state.sums.iter().zip(0..) {
                let pair = [sums[2 * half], sums[2 * half + 1]];
                k.store_shared(to + lane % 4 * 8 + fragment * 32, pair);
            }
            let weights = k.group_sum(state.weights[half], 4);
            k.when((lane % 4).equals(0), || {
                let to = to + self.shape.value() * 4;
                k.store_shared(to, [state.largest[half], weights]);
            });
        }
    }

    /// Joins the slices and stores the outputs, a piece per thread.
    fn join(&self) {
        let (k, shape, tile) = (self.k, self.shape, self.tile);
        let pieces = shape.value() / shape.element.per_piece();
        k.count(
            k.thread(),
            16 * tile.rows * pieces,
            tile.threads(),
            |index| {
                let (row, piece) = (index / pieces, index % pieces);
                let token = self.first() + row;
                k.when(token.less(shape.tokens()), || {
                    let values = self.joined(row, piece);
                    let channel = k.special(Special::BlockY) * shape.value()
                        + piece * shape.element.per_piece();
                    let to = self.output + self.offset(token, shape.pitch, channel);
                    k.store(to, self.encode(&values));
                });
            },
        );
    }

    /// A piece's channels of a query.
    fn joined(&self, row: U32<'k>, piece: U32<'k>) -> Vec<F32<'k>> {
        let (k, shape, tile) = (self.k, self.shape, self.tile);
        let factor = shape.attention.scale * std::f32::consts::LOG2_E;
        let row_bytes = Tile::sums_bytes(shape);
        let slices: Vec<_> = (0..tile.slices)
            .map(|slice| self.memory + row * row_bytes + slice * 16 * tile.rows * row_bytes)
            .collect();
        let known: Vec<[F32<'k>; 2]> = slices
            .iter()
            .map(|&slice| k.load_shared(slice + shape.value() * 4).map(U32::as_f32))
            .collect();
        let largest = known.iter().map(|known| known[0]).reduce(F32::max);
        let largest = largest.expect("there is a slice");
        let shrinks: Vec<_> = known
            .iter()
            .map(|known| ((known[0] - largest) * factor).exp2())
            .collect();
        let weights = known.iter().zip(&shrinks);
        let weights = weights.fold(k.f32(0.0), |sum, (known, &shrink)| {
            known[1].fused_multiply_add(shrink, sum)
        });
        let channels = shape.element.per_piece();
        (0..channels / 4)
            .flat_map(|quarter| {
                let place = piece * (channels * 4) + quarter * 16;
                let parts = slices.iter().zip(&shrinks);
                let zero = [k.f32(0.0); 4];
                let sums = parts.fold(zero, |sums, (&slice, &shrink)| {
                    let part = k.load_shared::<4>(slice + place);
                    std::array::from_fn(|i| part[i].as_f32().fused_multiply_add(shrink, sums[i]))
                });
                sums.map(|sum| sum / weights)
            })
            .collect()
    }

    fn encode(&self, values: &[F32<'k>]) -> [U32<'k>; 4] {
        std::array::from_fn(|i| match self.shape.element {
            Element::F16 => values[2 * i].pack(values[2 * i + 1]).bits(),
            Element::F32 => values[i].bits(),
        })
    }
}
