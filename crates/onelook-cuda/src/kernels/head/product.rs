//! The two products of a head's end, each by warps of its own.
//!
//! Comes in: tiles of both maps, weights as fragments. Goes out: sums with their biases in shared
//! memory, a row per anchor: sides, then the classes of the round.

use onelook_ptx::lang::{Bool, Cache, F32, Global, SharedAddress, U32};

use super::{FRAGMENTS, Head};
use crate::kernels::{Element, VECTOR_BYTES};

/// What a warp multiplies.
pub(super) struct Role<'k> {
    /// Whether it is for the classes.
    pub(super) classes: Bool<'k>,
    /// Its number among the warps of its kind.
    warp: U32<'k>,
    /// Chunks of k.
    chunks: U32<'k>,
    /// Bytes of a column tile's weights, and bytes before those of the role.
    tile_bytes: U32<'k>,
    start: U32<'k>,
    /// The map's tile and bytes of its rows.
    map: SharedAddress<'k>,
    row_bytes: U32<'k>,
}

/// `[row tile][column tile]`.
type Sums<'k> = Vec<Vec<[F32<'k>; 4]>>;

impl<'k> Head<'k, '_> {
    pub(super) fn role(&self) -> Role<'k> {
        let (k, shape, tile) = (self.k, self.shape, &self.tile);
        let warp = k.warp();
        let classes = warp.at_least(tile.warps[0]);
        let pick = |[boxes, of_classes]: [u32; 2]| match boxes == of_classes {
            true => k.u32(boxes),
            false => classes.select(k.u32(of_classes), k.u32(boxes)),
        };
        let bytes = shape.element.bytes();
        let level = shape.weight_values(tile).iter().sum::<u32>() * bytes;
        let boxes = shape.weight_values(tile)[0] * bytes;
        let [row_bytes, _] = shape.row_bytes(tile);
        Role {
            classes,
            warp: warp - pick([0, tile.warps[0]]),
            chunks: pick(shape.chunks(tile)),
            tile_bytes: pick(shape.padded_depths(tile).map(|depth| depth * 8 * bytes)),
            start: self.level.number * level + pick([0, boxes]),
            map: self.maps[0] + pick([0, row_bytes * tile.anchors]),
            row_bytes: pick(shape.row_bytes(tile)),
        }
    }

    /// Begins to copy the tiles of both maps, zeros where there is no anchor or channel.
    pub(super) fn copy_maps(&self) {
        let (k, shape, tile) = (self.k, self.shape, &self.tile);
        let per = shape.element.per_vector();
        for map in 0..2 {
            let existing = shape.depths()[map] / per;
            let vectors = shape.padded_depths(tile)[map] / per;
            let row_bytes = shape.row_bytes(tile)[map];
            k.count(k.thread(), vectors * tile.anchors, k.threads(), |index| {
                let (row, vector) = (index / vectors, index % vectors);
                let cell = self.level.first_cell + row;
                let pixel = self.image * self.level.cells + cell;
                let value = pixel * self.level.pitches[map] + vector * per;
                let from = self.level.inputs[map] + value * shape.element.bytes();
                let exists = cell.less(self.level.cells);
                let exists = match vectors == existing {
                    true => exists,
                    false => exists & vector.less(existing),
                };
                let to = self.maps[map] + row * row_bytes + vector * VECTOR_BYTES;
                k.async_copy(to, from, VECTOR_BYTES, exists);
            });
        }
        k.async_commit();
    }

    /// The weights of the warp's column tiles for a chunk of k: `[column tile][step]`, pairs of
    /// words. None for f32, which loads them as it goes.
    pub(super) fn load_weights(
        &self,
        role: &Role<'k>,
        round: U32<'k>,
        chunk: u32,
    ) -> Vec<[U32<'k>; 2]> {
        let (k, steps) = (self.k, self.tile.steps);
        if self.shape.element == Element::F32 {
            return Vec::new();
        }
        let mut words = Vec::new();
        for fragment in 0..FRAGMENTS {
            let from = self.tile_weights(role, round, fragment) + k.lane() * 8;
            let load = |step| k.load(from + (chunk * steps + step) * 256, Cache::ReadOnly);
            words.extend((0..steps).map(load));
        }
        words
    }

    /// The weights of one of the warp's column tiles.
    fn tile_weights(&self, role: &Role<'k>, round: U32<'k>, fragment: u32) -> Global<'k> {
        let column_tile = self.column_tile(role, round) + fragment;
        self.weights + (role.start + column_tile * role.tile_bytes)
    }

    /// The warp's first column tile.
    fn column_tile(&self, role: &Role<'k>, round: U32<'k>) -> U32<'k> {
        let own = role.warp * FRAGMENTS;
        own + round * (self.tile.warps[1] * FRAGMENTS)
    }

    /// The sums of the warp's column tiles for all anchors; `first` are the weights of the first
    /// chunk. In later rounds, the warps of the sides compute what nobody keeps.
    pub(super) fn multiply(
        &self,
        role: &Role<'k>,
        round: U32<'k>,
        first: &[[U32<'k>; 2]],
    ) -> Sums<'k> {
        let k = self.k;
        let sums: Sums<'k> = (0..self.tile.anchors / 16)
            .map(|_| {
                let zero = || [0.0; 4].map(|zero| k.float_variable(zero));
                (0..FRAGMENTS).map(|_| zero()).collect()
            })
            .collect();
        k.when(role.classes | round.equals(0), || {
            match self.shape.element {
                Element::F16 => self.multiply_f16(role, round, first, &sums),
                Element::F32 => self.multiply_f32(role, round, &sums),
            }
        });
        sums
    }

    fn multiply_f16(
        &self,
        role: &Role<'k>,
        round: U32<'k>,
        first: &[[U32<'k>; 2]],
        sums: &Sums<'k>,
    ) {
        let k = self.k;
        let [boxes, classes] = self.shape.chunks(&self.tile);
        let mut weights = first.to_vec();
        for chunk in 0..boxes.max(classes) {
            let mut next = Vec::new();
            if chunk + 1 < boxes.max(classes) {
                k.when(role.chunks.above(chunk + 1), || {
                    next = self.load_weights(role, round, chunk + 1);
                });
            }
            k.when(role.chunks.above(chunk), || {
                self.multiply_chunk(role, chunk, &weights, sums);
            });
            weights = next;
        }
    }

    fn multiply_chunk(
        &self,
        role: &Role<'k>,
        chunk: u32,
        weights: &[[U32<'k>; 2]],
        sums: &Sums<'k>,
    ) {
        let (k, steps, lane) = (self.k, self.tile.steps, self.k.lane());
        let start = role.map + lane % 16 * role.row_bytes + lane / 16 * VECTOR_BYTES;
        for (sums, rows) in sums.iter().zip((0..).step_by(16)) {
            let start = start + role.row_bytes * rows;
            for step in 0..steps {
                let a = k.load_matrix(start + (chunk * steps + step) * 2 * VECTOR_BYTES, false);
                for (&sums, weights) in sums.iter().zip(weights.chunks_exact(steps as usize)) {
                    k.mma(sums, a, weights[step as usize].map(U32::as_f16x2));
                }
            }
        }
    }

    fn multiply_f32(&self, role: &Role<'k>, round: U32<'k>, sums: &Sums<'k>) {
        let k = self.k;
        let lane = k.lane();
        let weights: Vec<_> = (0..FRAGMENTS)
            .map(|fragment| self.tile_weights(role, round, fragment) + lane % 4 * 8)
            .collect();
        let row = role.map + lane / 4 * role.row_bytes;
        k.count(0, role.chunks * (self.tile.steps * 4), 1, |depth| {
            let weights: Vec<[F32<'k>; 2]> = weights
                .iter()
                .map(|&weights| {
                    k.load(weights + depth * 32, Cache::ReadOnly)
                        .map(U32::as_f32)
                })
                .collect();
            for (sums, first) in sums.iter().zip((0..).step_by(16)) {
                let values = [first, first + 8].map(|rows| {
                    let [value] = k.load_shared(row + role.row_bytes * rows + depth * 4);
                    value.as_f32()
                });
                for (sums, weights) in sums.iter().zip(&weights) {
                    for (index, &sum) in sums.iter().enumerate() {
                        let (value, weight) = (values[index / 2], weights[index % 2]);
                        k.assign(sum, value.fused_multiply_add(weight, sum));
                    }
                }
            }
        });
    }

    /// Puts sums and biases into shared memory.
    pub(super) fn keep(&self, role: &Role<'k>, round: U32<'k>, sums: &Sums<'k>) {
        let (k, shape, tile) = (self.k, self.shape, &self.tile);
        let pair = k.lane() % 4 * 2;
        let [sides, _] = shape.columns(tile);
        let biases = shape.bias_values(tile);
        let skip = role.classes.select(k.u32(biases[0]), k.u32(0));
        let level = self.level.number * biases.iter().sum::<u32>();
        let start = role.warp * (FRAGMENTS * 8) + pair;
        let start = role.classes.select(start + sides, start);
        k.when(role.classes | round.equals(0), || {
            for fragment in 0..FRAGMENTS {
                let column = (self.column_tile(role, round) + fragment) * 8 + pair;
                let bias = self.bias + (level + skip + column) * 4;
                let bias: [F32<'k>; 2] = k.load(bias, Cache::ReadOnly).map(U32::as_f32);
                for (sums, first) in sums.iter().zip((0..).step_by(16)) {
                    let [a, b, c, d] = sums[fragment as usize];
                    for (row, [a, b]) in [(first, [a, b]), (first + 8, [c, d])] {
                        let place = self.sum_place(k.lane() / 4 + row, start + fragment * 8);
                        k.store_shared(place, [a + bias[0], b + bias[1]]);
                    }
                }
            }
        });
    }
}

/// Appends weights `[rows][channels]` as fragments: by column tiles of 8 rows, then k.
pub(super) fn pack_rows(
    packed: &mut Vec<f32>,
    weights: &[f32],
    existing: usize,
    [rows, depth]: [u32; 2],
    element: Element,
) {
    let channels = weights.len() / existing.max(1);
    let value = |row: u32, depth: u32| {
        let (row, depth) = (row as usize, depth as usize);
        match row < existing && depth < channels {
            true => weights[row * channels + depth],
            false => 0.0,
        }
    };
    for tile in (0..rows).step_by(8) {
        match element {
            Element::F16 => {
                for (step, lane) in (0..depth / 16).flat_map(|step| (0..32).map(move |l| (step, l)))
                {
                    let first = step * 16 + lane % 4 * 2;
                    let pairs = [0, 1, 8, 9].map(|next| value(tile + lane / 4, first + next));
                    packed.extend(pairs);
                }
            }
            Element::F32 => {
                let values = (0..depth).flat_map(|depth| (0..8).map(move |row| (row, depth)));
                packed.extend(values.map(|(row, depth)| value(tile + row, depth)));
            }
        }
    }
}
