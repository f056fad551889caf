//! The two products of attention: queries by keys, weights by values.
//!
//! Comes in: a chunk of keys or values in shared memory. Goes out: fragments of 16 queries by 8
//! keys or channels, in both formats laid out over lanes as the matrix unit has them.

use onelook_ptx::lang::{Cache, F16x2, F32, SharedAddress, U32};

use super::{Attend, Fragment};
use crate::kernels::{Element, VECTOR_BYTES};

impl<'k> Attend<'k, '_> {
    /// The token whose query is `rows` beyond the lane's own; the last one for those beyond it.
    fn query_token(&self, rows: u32) -> U32<'k> {
        let token = self.first() + self.row + self.k.lane() / 4 + rows;
        token.min(self.shape.tokens() - 1)
    }

    /// The warp's queries as fragments; none for f32, which loads them as it goes.
    pub(super) fn queries(&self) -> Vec<[F16x2<'k>; 4]> {
        let (k, shape) = (self.k, self.shape);
        if shape.element == Element::F32 {
            return Vec::new();
        }
        let [channels, _, _] = self.channels();
        let rows = [0, 8].map(|rows| {
            let channel = channels + k.lane() % 4 * 2;
            self.input + self.offset(self.query_token(rows), shape.input.pitch, channel)
        });
        (0..shape.key() / 16)
            .map(|step| {
                [(0, 0), (1, 0), (0, 16), (1, 16)].map(|(row, bytes)| {
                    let from = rows[row] + (step * 32 + bytes);
                    let [pair] = k.load(from, Cache::Default);
                    pair.as_f16x2()
                })
            })
            .collect()
    }

    /// Queries by keys: a fragment per 8 keys.
    pub(super) fn products_f16(
        &self,
        queries: &[[F16x2<'k>; 4]],
        keys: SharedAddress<'k>,
    ) -> Vec<Fragment<'k>> {
        let (k, row_bytes) = (self.k, self.shape.row_bytes(self.shape.key()));
        let lane = k.lane();
        let row = lane / 16 * 8 + lane % 8;
        let start = keys + row * row_bytes + lane / 8 % 2 * VECTOR_BYTES;
        let mut products = Vec::new();
        for pair in 0..self.tile.keys / 16 {
            let sums = [(); 2].map(|()| [0.0; 4].map(|zero| k.float_variable(zero)));
            for (&query, step) in queries.iter().zip(0..) {
                let from = start + pair * 16 * row_bytes + step * 2 * VECTOR_BYTES;
                let [a0, a1, b0, b1] = k.load_matrix(from, false);
                k.mma(sums[0], query, [a0, a1]);
                k.mma(sums[1], query, [b0, b1]);
            }
            products.extend(sums);
        }
        products
    }

    /// The same, one by one.
    pub(super) fn products_f32(&self, keys: SharedAddress<'k>) -> Vec<Fragment<'k>> {
        let (k, shape) = (self.k, self.shape);
        let row_bytes = shape.row_bytes(shape.key());
        let [channels, _, _] = self.channels();
        let rows = [0, 8].map(|rows| {
            self.input + self.offset(self.query_token(rows), shape.input.pitch, channels)
        });
        let products: Vec<Fragment<'k>> = (0..self.tile.keys / 8)
            .map(|_| [0.0; 4].map(|zero| k.float_variable(zero)))
            .collect();
        let start = keys + k.lane() % 4 * (2 * row_bytes);
        k.count(0, shape.key() / 4, 1, |vector| {
            let queries = rows.map(|row| {
                let words = k.load::<4>(row + vector * VECTOR_BYTES, Cache::Default);
                words.map(U32::as_f32)
            });
            for (sums, fragment) in products.iter().zip(0..) {
                let from = start + vector * VECTOR_BYTES + fragment * 8 * row_bytes;
                let keys = [0, 1].map(|next| {
                    let words = k.load_shared::<4>(from + next * row_bytes);
                    words.map(U32::as_f32)
                });
                for (index, &sum) in sums.iter().enumerate() {
                    let (query, key) = (queries[index / 2], keys[index % 2]);
                    let add = |sum, i: usize| query[i].fused_multiply_add(key[i], sum);
                    k.assign(sum, (0..4).fold(sum, add));
                }
            }
        });
        products
    }

    /// Adds values weighted: a fragment of sums per 8 channels.
    pub(super) fn add_values_f16(
        &self,
        sums: &[Fragment<'k>],
        weights: &[Fragment<'k>],
        values: SharedAddress<'k>,
    ) {
        let (k, row_bytes) = (self.k, self.shape.row_bytes(self.shape.value()));
        let lane = k.lane();
        let start = values + lane % 16 * row_bytes + lane / 16 * VECTOR_BYTES;
        for (pair, step) in weights.chunks_exact(2).zip(0..) {
            let [near, far] = [pair[0], pair[1]];
            let a = [
                near[0].pack(near[1]),
                near[2].pack(near[3]),
                far[0].pack(far[1]),
                far[2].pack(far[3]),
            ];
            for (sums, vectors) in sums.chunks_exact(2).zip(0..) {
                let from = start + step * 16 * row_bytes + vectors * 2 * VECTOR_BYTES;
                let [a0, a1, b0, b1] = k.load_matrix(from, true);
                k.mma(sums[0], a, [a0, a1]);
                k.mma(sums[1], a, [b0, b1]);
            }
        }
    }

    /// The same, one by one; a weight comes from the lane that has it.
    pub(super) fn add_values_f32(
        &self,
        sums: &[Fragment<'k>],
        weights: &[Fragment<'k>],
        values: SharedAddress<'k>,
    ) {
        let (k, row_bytes) = (self.k, self.shape.row_bytes(self.shape.value()));
        let group = k.lane() / 4 * 4;
        let start = values + k.lane() % 4 * 8;
        for key in 0..self.tile.keys {
            let fragment = weights[key as usize / 8];
            let (owner, first) = (group + key % 8 / 2, key as usize % 2);
            let weights = [first, first + 2].map(|i| k.from_lane(fragment[i], owner).as_f32());
            for (sums, channels) in sums.iter().zip(0..) {
                let from = start + key * row_bytes + channels * 32;
                let values: [F32<'k>; 2] = k.load_shared(from).map(U32::as_f32);
                for (index, &sum) in sums.iter().enumerate() {
                    let (weight, value) = (weights[index / 2], values[index % 2]);
                    k.assign(sum, weight.fused_multiply_add(value, sum));
                }
            }
        }
    }
}
