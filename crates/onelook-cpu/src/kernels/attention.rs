//! Attention between the pixels of a map: `out[i] = Σⱼ softmaxⱼ(scale · q[i]·k[j]) v[j]` for each head.
//!
//! Both products are convolutions by a 1×1 kernel whose weights are another part of the map: the scores of a query
//! are its channels times the keys, the result is the scores times the values. So:
//!
//! 1. keys and values are packed as weights are, `[block of 16][input][16]`, in scratch;
//! 2. the scores of some rows of queries become a small blocked map, key `j` its channel;
//! 3. softmax runs over the channels of that map; 4. the second product goes to the output.
//!
//! Keys that fill the last block get a bias so low that their weight vanishes.

use super::activation::Constants;
use super::conv::plan;
use super::conv::plan::Group;
use super::conv::tile::{Runs, TileArgs};
use super::layout::{BLOCK, Element, MapLayout, MapMut, MapView};
use super::{AlignedBuffer, KernelError, share};
use crate::isa::{Isa, Vector16, kernel_name, per_isa};
use std::ops::Range;

const KERNEL: &str = "attention_f32_blocked";

/// Scores that a task keeps at one time: half of a megabyte of L2 with what else it reads.
const SCORE_FLOATS: usize = 64 << 10;

/// The score of a key that does not exist.
const NEVER: f32 = -1e30;

/// Attention for given extents.
#[derive(Debug)]
pub struct Attention {
    isa: Isa,
    heads: usize,
    key_dim: usize,
    head_dim: usize,
    scale: f32,
    map: MapLayout,
    row_parts: usize,
    score_groups: Vec<Group>,
    value_groups: Vec<Group>,
    /// Where a query's channels lie.
    query_runs: Runs,
    /// Zeros, and [`NEVER`] for the keys that fill the last block.
    bias: AlignedBuffer,
}

impl Attention {
    /// The plan for maps of the extents of `map`, whose channels do not matter here.
    ///
    /// `key_dim` channels of a query and key and `head_dim` of a value, both multiples of 16, for each head; a head's
    /// channels lie side by side, the heads one after the other.
    pub fn new(
        isa: Isa,
        heads: usize,
        key_dim: usize,
        head_dim: usize,
        scale: f32,
        map: MapLayout,
        threads: usize,
    ) -> Result<Self, KernelError> {
        let whole = |channels: usize| channels > 0 && channels.is_multiple_of(BLOCK);
        if heads == 0 || map.pixels() == 0 || !whole(key_dim) || !whole(head_dim) {
            let reason = format!(
                "{heads} heads of {key_dim} and {head_dim} channels; both must be multiples of 16"
            );
            return Err(KernelError::new(KERNEL, reason));
        }
        let tokens = map.pixels();
        let blocks = tokens.div_ceil(BLOCK);
        let mut bias = AlignedBuffer::zeroed(blocks.max(head_dim / BLOCK) * BLOCK);
        bias[tokens..blocks * BLOCK].fill(NEVER);
        let wanted = plan::task_count(2 * heads * tokens * tokens * (key_dim + head_dim), threads)
            .div_ceil(heads);
        let fitting = (blocks * BLOCK * tokens).div_ceil(SCORE_FLOATS);
        let offsets = (0..key_dim / BLOCK)
            .map(|plane| plane * map.plane_words())
            .collect::<Vec<_>>();
        Ok(Attention {
            isa,
            heads,
            key_dim,
            head_dim,
            scale,
            map,
            row_parts: wanted.max(fitting).min(map.height),
            score_groups: plan::groups(isa, Element::F32, blocks, map.width, BLOCK),
            value_groups: plan::groups(isa, Element::F32, head_dim / BLOCK, map.width, BLOCK),
            query_runs: Runs {
                whole: offsets.len(),
                offsets,
                whole_len: BLOCK,
                last_len: BLOCK,
            },
            bias,
        })
    }

    /// The kernel's name in listings.
    pub fn name(&self) -> &'static str {
        kernel_name!(self.isa, "attention_f32_blocked")
    }

    /// Tasks for `batch` images: some rows of queries of one head each.
    pub fn tasks(&self, batch: usize) -> usize {
        self.row_parts * self.heads * batch
    }

    fn blocks(&self) -> usize {
        self.map.pixels().div_ceil(BLOCK)
    }

    fn key_floats(&self) -> usize {
        self.blocks() * self.key_dim * BLOCK
    }

    fn value_floats(&self) -> usize {
        self.map.pixels() * self.head_dim
    }

    /// Floats of scratch that one thread needs.
    pub fn scratch_floats(&self) -> usize {
        let queries = self.map.height.div_ceil(self.row_parts) * self.map.width;
        self.key_floats() + self.value_floats() + self.blocks() * queries * BLOCK
    }

    /// Does task `task`.
    ///
    /// # Safety
    /// The views are valid and have the plan's height, width and padding, and are f32, the output of any padding and type; queries and keys have
    /// `heads · key_dim` channels, values and output `heads · head_dim`; `scratch` is this thread's alone; other
    /// threads run other tasks only; the output overlaps no input.
    pub unsafe fn run(
        &self,
        [q, k, v]: [MapView; 3],
        output: MapMut,
        scratch: &mut [f32],
        task: usize,
    ) {
        let (part, task) = (task % self.row_parts, task / self.row_parts);
        let (head, image) = (task % self.heads, task / self.heads);
        let rows = share(self.map.height, self.row_parts, part);
        let (keys, rest) = scratch.split_at_mut(self.key_floats());
        let (values, scores) = rest.split_at_mut(self.value_floats());
        // SAFETY: the caller guarantees views of the plan's extents, of which this task has the head's planes and `rows`
        // to itself; the scratch was split at the sizes that these steps need.
        unsafe {
            self.pack_keys(k, image, head, keys);
            self.pack_values(v, image, head, values);
            self.score(q, image, head, rows.clone(), keys, scores);
            softmax_columns(
                self.isa,
                scores.as_mut_ptr(),
                self.blocks(),
                rows.len() * self.map.width,
            );
            self.mix(scores, values, output, image, head, rows);
        }
    }

    /// `keys[block of tokens][channel][16 tokens]`, scaled.
    ///
    /// # Safety
    /// `k` is valid and has the plan's extents, and `head` is one of the plan's.
    unsafe fn pack_keys(&self, k: MapView, image: usize, head: usize, keys: &mut [f32]) {
        let first = head * self.key_dim / BLOCK;
        let used = self.map.pixels() % BLOCK;
        if used > 0 {
            let last = keys.len() - self.key_dim * BLOCK;
            keys[last..].fill(0.0);
        }
        for plane in 0..self.key_dim / BLOCK {
            let mut token = 0;
            for y in 0..self.map.height {
                let row = k.pixel(image, first + plane, y as isize, 0);
                for x in 0..self.map.width {
                    let target = &mut keys
                        [(token / BLOCK * self.key_dim + plane * BLOCK) * BLOCK + token % BLOCK..];
                    for lane in 0..BLOCK {
                        // SAFETY: the pixel lies within the map.
                        target[lane * BLOCK] = self.scale * unsafe { *row.add(x * BLOCK + lane) };
                    }
                    token += 1;
                }
            }
        }
    }

    /// `values[block of channels][token][16 channels]`.
    ///
    /// # Safety
    /// `v` is valid and has the plan's extents, and `head` is one of the plan's.
    unsafe fn pack_values(&self, v: MapView, image: usize, head: usize, values: &mut [f32]) {
        let first = head * self.head_dim / BLOCK;
        let row_floats = self.map.width * BLOCK;
        for (index, target) in values.chunks_exact_mut(row_floats).enumerate() {
            let (plane, y) = (index / self.map.height, index % self.map.height);
            let row = v.pixel(image, first + plane, y as isize, 0);
            // SAFETY: the row lies within the map.
            target.copy_from_slice(unsafe { std::slice::from_raw_parts(row, row_floats) });
        }
    }

    /// `scores[block of keys][query][16 keys]` for the queries of `rows`.
    ///
    /// # Safety
    /// `q` is valid and has the plan's extents; `head` and `rows` are within the plan; `keys` is what
    /// [`pack_keys`](Self::pack_keys) leaves.
    unsafe fn score(
        &self,
        q: MapView,
        image: usize,
        head: usize,
        rows: Range<usize>,
        keys: &[f32],
        scores: &mut [f32],
    ) {
        let first = head * self.key_dim / BLOCK;
        let width = self.map.width;
        let block_floats = rows.len() * width * BLOCK;
        assert!(
            scores.len() >= self.blocks() * block_floats,
            "the scratch is the executor's to size"
        );
        for group in &self.score_groups {
            for (index, y) in rows.clone().enumerate() {
                let args = TileArgs {
                    input: q.pixel(image, first, y as isize, 0),
                    pixel_stride: BLOCK,
                    runs: &self.query_runs,
                    weights: keys[group.first * self.key_dim * BLOCK..].as_ptr(),
                    weights_block: self.key_dim * BLOCK,
                    bias: self.bias[group.first * BLOCK..].as_ptr(),
                    output: scores[group.first * block_floats + index * width * BLOCK..]
                        .as_mut_ptr(),
                    output_pixel: BLOCK,
                    output_block: block_floats,
                    ..TileArgs::default()
                };
                // SAFETY: the tiles read a row of queries and write within the scores.
                unsafe { group.run_row(args) }
            }
        }
    }

    /// The scores times the values.
    ///
    /// # Safety
    /// `output` is valid and has the plan's extents, and no other thread touches `rows` of the head's planes; `scores` and
    /// `values` are what [`score`](Self::score), made to sum to one, and [`pack_values`](Self::pack_values) leave.
    unsafe fn mix(
        &self,
        scores: &[f32],
        values: &[f32],
        output: MapMut,
        image: usize,
        head: usize,
        rows: Range<usize>,
    ) {
        let first = head * self.head_dim / BLOCK;
        let (tokens, width) = (self.map.pixels(), self.map.width);
        let block_floats = rows.len() * width * BLOCK;
        // The one short list of this kernel: it depends on how many rows the task has.
        let offsets: Vec<_> = (0..self.blocks())
            .map(|block| block * block_floats)
            .collect();
        let runs = Runs {
            whole: tokens / BLOCK,
            offsets,
            whole_len: BLOCK,
            last_len: tokens % BLOCK,
        };
        let zeros = [0.0f32; 3 * BLOCK];
        for group in &self.value_groups {
            for (index, y) in rows.clone().enumerate() {
                let args = TileArgs {
                    input: scores[index * width * BLOCK..].as_ptr(),
                    pixel_stride: BLOCK,
                    runs: &runs,
                    weights: values[group.first * tokens * BLOCK..].as_ptr(),
                    weights_block: tokens * BLOCK,
                    bias: zeros.as_ptr(),
                    output: output.pixel(image, first + group.first, y as isize, 0),
                    output_pixel: output.layout().block_words(),
                    output_block: output.layout().plane_words(),
                    output_element: output.layout().element,
                    ..TileArgs::default()
                };
                // SAFETY: the tiles read the scores and values and write a row of the output.
                unsafe { group.run_row(args) }
            }
        }
        for plane in first..first + self.head_dim / BLOCK {
            // SAFETY: these rows of these planes are this task's alone.
            unsafe { output.zero_padding(image, plane, rows.clone()) }
        }
    }
}

per_isa! {
    /// Softmax over the channels of `queries` pixels of a blocked map of `blocks` planes.
    fn softmax_columns(scores: *mut f32, blocks: usize, queries: usize) = softmax_body
}

/// # Safety
/// `scores` holds `blocks · queries` blocks, one at least, that no other thread touches; the CPU has the level of `V`.
#[inline(always)]
unsafe fn softmax_body<V: Vector16>(scores: *mut f32, blocks: usize, queries: usize) {
    // SAFETY: the caller guarantees the map and the level.
    unsafe {
        let constants = Constants::<V>::new();
        for query in 0..queries {
            let place = |block: usize| scores.add((block * queries + query) * BLOCK);
            let mut largest = V::load(place(0));
            for block in 1..blocks {
                largest = largest.max(V::load(place(block)));
            }
            let largest = V::splat(largest.horizontal_max());
            let mut sum = V::splat(0.0);
            for block in 0..blocks {
                let power = constants.exp(V::load(place(block)).sub(largest));
                power.store(place(block));
                sum = sum.add(power);
            }
            let share = V::splat(1.0 / sum.horizontal_sum());
            for block in 0..blocks {
                V::load(place(block)).mul(share).store(place(block));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{Map, check_close, random};

    struct Case {
        heads: usize,
        key_dim: usize,
        head_dim: usize,
        height: usize,
        width: usize,
        pad: usize,
    }

    impl Case {
        fn channels(&self) -> usize {
            self.heads * (2 * self.key_dim + self.head_dim)
        }

        fn input(&self) -> Vec<f32> {
            random(2 * self.channels() * self.height * self.width, 7)
                .iter()
                .map(|x| x * 3.0)
                .collect()
        }

        fn truth(&self, scale: f64) -> Vec<f64> {
            let (input, tokens) = (self.input(), self.height * self.width);
            let mut output = Vec::new();
            for (image, head) in
                (0..2).flat_map(|image| (0..self.heads).map(move |head| (image, head)))
            {
                let value = |channel: usize, token: usize| {
                    f64::from(input[(image * self.channels() + channel) * tokens + token])
                };
                let (q, k) = (head * self.key_dim, (self.heads + head) * self.key_dim);
                let v = 2 * self.heads * self.key_dim + head * self.head_dim;
                let weights: Vec<Vec<f64>> = (0..tokens)
                    .map(|i| {
                        let dot = |j| {
                            (0..self.key_dim)
                                .map(|c| value(q + c, i) * value(k + c, j))
                                .sum::<f64>()
                        };
                        let powers: Vec<f64> =
                            (0..tokens).map(|j| (scale * dot(j)).exp()).collect();
                        let sum: f64 = powers.iter().sum();
                        powers.iter().map(|power| power / sum).collect()
                    })
                    .collect();
                for channel in 0..self.head_dim {
                    output.extend(weights.iter().map(|weights| {
                        weights
                            .iter()
                            .enumerate()
                            .map(|(j, weight)| weight * value(v + channel, j))
                            .sum::<f64>()
                    }));
                }
            }
            output
        }

        fn run(&self, isa: Isa, scale: f32, threads: usize) -> Vec<f32> {
            let layout = MapLayout::new(self.channels(), self.height, self.width, self.pad);
            let out = MapLayout::new(self.heads * self.head_dim, self.height, self.width, 1);
            let kernel = Attention::new(
                isa,
                self.heads,
                self.key_dim,
                self.head_dim,
                scale,
                layout,
                threads,
            )
            .unwrap();
            let (input, mut output) = (Map::filled(layout, 2, &self.input()), Map::dirty(out, 2));
            let keys = self.heads * self.key_dim;
            let views = [
                input.view().slice(0, keys),
                input.view().slice(keys / BLOCK, keys),
                input
                    .view()
                    .slice(2 * keys / BLOCK, self.heads * self.head_dim),
            ];
            let mut scratch = vec![f32::NAN; kernel.scratch_floats()];
            for task in 0..kernel.tasks(2) {
                // SAFETY: the extents are the plan's.
                unsafe { kernel.run(views, output.view_mut(), &mut scratch, task) }
            }
            output.check_padding();
            output.to_dense()
        }
    }

    #[test]
    fn any_extents_agree_with_the_textbook_and_keep_their_bits() {
        for (heads, key_dim, head_dim, height, width, pad) in [
            (1, 16, 16, 1, 1, 0),
            (2, 32, 64, 5, 7, 1),
            (3, 16, 48, 4, 8, 0),
            (1, 48, 80, 3, 11, 2),
            (2, 32, 64, 20, 20, 0),
        ]
        .into_iter()
        // Those of many pixels take an hour in miri.
        .take(if cfg!(miri) { 1 } else { 5 })
        {
            let case = Case {
                heads,
                key_dim,
                head_dim,
                height,
                width,
                pad,
            };
            let scale = 1.0 / (key_dim as f32).sqrt();
            let truth = case.truth(f64::from(scale));
            for isa in Isa::available() {
                let alone = case.run(isa, scale, 1);
                check_close(&alone, &truth, 5e-6);
                assert!(case.run(isa, scale, 3) == alone);
            }
        }
    }

    #[test]
    fn channels_that_do_not_fill_blocks_are_refused() {
        let map = MapLayout::new(100, 4, 4, 0);
        assert!(Attention::new(Isa::Portable, 1, 20, 60, 1.0, map, 1).is_err());
    }
}
