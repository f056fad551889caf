//! Self-attention over the pixels of a map, its weights never written down (flash attention:
//! arXiv 2205.14135).
//!
//! ```text
//! for every image, head and pixel i:
//!     weight[j] = softmax over pixels j of  scale * query[i] · key[j]
//!     output[i] = Σ_j weight[j] * value[j]
//! ```
//!
//! 1. A warp has 16 queries and goes through the keys chunk by chunk, with the largest product so
//!    far per query; when it grows, what was added up before shrinks by that much.
//! 2. Where there are few queries, warps share the keys among them as well; each has its own
//!    largest product, and all are joined at the end.
//! 3. Powers are of 2: the factor is folded into the scale. Products lie in registers as the matrix
//!    unit gives them, which is how it takes them back as weights.
//! 4. Keys and values are on their way several chunks ahead, in rows of an odd number of vectors,
//!    so that eight of them touch all banks. Pixels beyond the last weigh nothing.

mod product;
#[cfg(test)]
mod tests;

use onelook_graph::op::Attention;
use onelook_ptx::lang::{Builder, F16x2, F32, Global, SharedAddress, Special, Target, U32};

use super::{Element, Map, Tiled, VECTOR_BYTES};

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

/// With at most this many blocks a large device can hold more warps in each.
const FEW_BLOCKS: u32 = 200;

/// Stands for the largest product before there is one: below all, but finite, so that differences
/// are numbers.
const NOTHING: f32 = -1e30;

impl AttentionShape {
    /// Whether the kernel can be written for these sizes.
    pub fn is_supported(&self) -> bool {
        let whole = self.whole();
        let even = |size: usize| size > 0 && size.is_multiple_of(whole);
        let attention = &self.attention;
        even(attention.key_size)
            && even(attention.head_size)
            && attention.key_size <= 128
            && attention.head_size <= 128
            && attention.scale > 0.0
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
        ((channels / self.element.per_vector()) | 1) * VECTOR_BYTES
    }

    /// The tile for a device and a batch: all keys at once by many warps where there are few
    /// queries, many queries to a chunk of keys where there are many.
    fn tile(&self, target: Target, batch: u32) -> Tile {
        let blocks = |rows: u32| self.heads() * batch * self.tokens().div_ceil(16 * rows);
        let keys = 32 / (self.element.bytes() / 2);
        let all = self.tokens().div_ceil(keys);
        let tile = |rows, slices, keys| Tile {
            rows,
            slices,
            keys,
            stages: 1,
        };
        let many = target.shared_bytes_per_block() as u32 / 2;
        let fits = |tile: &Tile| tile.shared_bytes(self) <= many;
        let tile = if blocks(1) <= FEW_BLOCKS && fits(&tile(1, all.min(16), keys)) {
            tile(1, all.min(16), keys)
        } else if blocks(2) <= 2 * FEW_BLOCKS {
            tile(2, 4.min(all), keys)
        } else {
            tile(4, 1, 2 * keys)
        };
        let chunks = self.tokens().div_ceil(tile.chunk());
        let fitting = (many / tile.stage_bytes(self)).max(2);
        Tile {
            stages: chunks.min(4).min(fitting),
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
        shape.value() * 4 + VECTOR_BYTES
    }

    fn shared_bytes(&self, shape: &AttentionShape) -> u32 {
        let sums = self.slices * self.rows * 16 * Self::sums_bytes(shape);
        sums.max(self.stages * self.stage_bytes(shape))
    }
}

/// Bytes of shared memory of the kernel.
pub fn shared_bytes(target: Target, shape: &AttentionShape, batch: u32) -> u32 {
    shape.tile(target, batch).shared_bytes(shape)
}

/// The kernel. Parameters: the input; the output.
pub fn attention(target: Target, name: &str, shape: &AttentionShape, batch: u32) -> Tiled {
    let tile = shape.tile(target, batch);
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

/// What a thread copies of each chunk: a vector of every so many rows.
struct Copied<'k> {
    rows: u32,
    vectors: u32,
    row: U32<'k>,
    from: Global<'k>,
    to: U32<'k>,
    row_bytes: u32,
}

/// What a warp knows of its queries: those of rows `lane / 4` and 8 further.
struct SoftmaxState<'k> {
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
        let copies = self.copies();
        k.grid_wait();
        for chunk in 0..(stages - 1).max(1) {
            self.load(&copies, k.u32(chunk), self.stage(k.u32(chunk)));
            k.async_commit();
        }
        let queries = self.queries();
        let state = self.begin();
        let chunks = self.shape.tokens().div_ceil(self.tile.chunk());
        k.count(0, chunks, 1, |chunk| {
            k.async_wait(stages.saturating_sub(2));
            k.barrier();
            if stages > 1 {
                let next = chunk + (stages - 1);
                k.when(next.less(chunks), || {
                    self.load(&copies, next, self.stage(next % stages));
                });
                k.async_commit();
            }
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

    /// Bytes from the input's start to a channel of a token of the block's image.
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

    /// The thread's first vector of a chunk of keys and of one of values.
    fn copies(&self) -> [Copied<'k>; 2] {
        let (k, shape, tile) = (self.k, self.shape, self.tile);
        let [_, keys, values] = self.channels();
        let keys_bytes = tile.chunk() * shape.row_bytes(shape.key());
        let parts = [(keys, shape.key(), 0), (values, shape.value(), keys_bytes)];
        parts.map(|(first, channels, start)| {
            let vectors = channels / shape.element.per_vector();
            let (row, vector) = (k.thread() / vectors, k.thread() % vectors);
            let channel = first + vector * shape.element.per_vector();
            let row_bytes = shape.row_bytes(channels);
            Copied {
                rows: tile.threads() / vectors,
                vectors,
                row,
                from: self.input + self.offset(row, shape.input.pitch, channel),
                to: row * row_bytes + vector * VECTOR_BYTES + start,
                row_bytes,
            }
        })
    }

    /// Begins to copy a chunk of keys and one of values behind it. Threads beyond the last whole
    /// row of vectors copy nothing.
    fn load(&self, copies: &[Copied<'k>; 2], chunk: U32<'k>, stage: SharedAddress<'k>) {
        let (k, shape, tile) = (self.k, self.shape, self.tile);
        let pixel = shape.input.pitch * shape.element.bytes();
        let first = chunk * tile.chunk();
        for copied in copies {
            let from = copied.from + first * pixel;
            let own = first + copied.row;
            for before in (0..tile.chunk()).step_by(copied.rows as usize) {
                let copy = || {
                    let to = stage + copied.to + before * copied.row_bytes;
                    let exists = (own + before).less(shape.tokens());
                    k.async_copy(to, from + before * pixel, VECTOR_BYTES, exists);
                };
                let rows = copied.rows.min(tile.chunk() - before);
                match rows * copied.vectors == tile.threads() {
                    true => copy(),
                    false => k.when(copied.row.less(rows), copy),
                }
            }
        }
    }

    fn begin(&self) -> SoftmaxState<'k> {
        let k = self.k;
        let fragments = 0..self.shape.value() / 8;
        SoftmaxState {
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
        state: &SoftmaxState<'k>,
        queries: &[[F16x2<'k>; 4]],
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
        self.mask(&products, chunk, part);
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

    /// Takes out the products of keys beyond the last; only the last chunk has any.
    fn mask(&self, products: &[Fragment<'k>], chunk: U32<'k>, part: U32<'k>) {
        let (k, tokens, keys) = (self.k, self.shape.tokens(), self.tile.chunk());
        if tokens.is_multiple_of(keys) {
            return;
        }
        k.when(chunk.equals(tokens / keys), || {
            let none = k.f32(f32::NEG_INFINITY);
            let own = part + k.lane() % 4 * 2;
            for (fragment, products) in (0..).zip(products) {
                let exists = [0, 1].map(|next| (own + (8 * fragment + next)).less(tokens % keys));
                for (&product, exists) in products.iter().zip(exists.iter().cycle()) {
                    k.assign(product, exists.select(product, none));
                }
            }
        });
    }

    /// Puts the warp's sums into shared memory: `[slice][query]`, the sums, then the largest
    /// product and the weights' sum.
    fn keep(&self, state: &SoftmaxState<'k>) {
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

    /// Joins the slices and stores the outputs, four channels per thread.
    fn join(&self) {
        let (k, shape, tile) = (self.k, self.shape, self.tile);
        let fours = shape.value() / 4;
        k.count(
            k.thread(),
            16 * tile.rows * fours,
            tile.threads(),
            |index| {
                let (row, four) = (index / fours, index % fours);
                let token = self.first() + row;
                k.when(token.less(shape.tokens()), || {
                    let values = self.joined(row, four);
                    let channel = k.special(Special::BlockY) * shape.value() + four * 4;
                    let to = self.output + self.offset(token, shape.pitch, channel);
                    match shape.element {
                        Element::F16 => {
                            let [a, b, c, d] = values;
                            k.store(to, [a.pack(b), c.pack(d)]);
                        }
                        Element::F32 => k.store(to, values),
                    }
                });
            },
        );
    }

    /// Four channels of a query.
    fn joined(&self, row: U32<'k>, four: U32<'k>) -> [F32<'k>; 4] {
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
        let mut weights = k.f32(0.0);
        let mut sums = [k.f32(0.0); 4];
        for (&slice, known) in slices.iter().zip(&known) {
            let shrink = ((known[0] - largest) * factor).exp2();
            weights = known[1].fused_multiply_add(shrink, weights);
            let part = k.load_shared::<4>(slice + four * 16);
            sums = std::array::from_fn(|i| part[i].as_f32().fused_multiply_add(shrink, sums[i]));
        }
        sums.map(|sum| sum / weights)
    }
}
