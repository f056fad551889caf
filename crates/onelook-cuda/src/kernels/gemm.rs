//! Products of tiles in shared memory by the warps of a block: the inner part of every convolution.
//!
//! ```text
//! for m in rows, n in columns:  sums[m][n] += Σ_k  a[m][k] · b[n][k]
//! ```
//!
//! 1. Both tiles have k innermost, in rows of 16-byte vectors, so that one `ldmatrix` serves
//!    either.
//! 2. Vectors of a row are exchanged by the row's number: eight rows of a column touch all banks.
//! 3. Warps share the tile as a grid of rows by columns; small tiles are shared along k as well,
//!    and the sums of such slices are added at the end.
//! 4. f32 has no matrix unit that is exact: the same lanes hold the same sums and add one by one.

use onelook_ptx::lang::{Builder, F32, Feature, SharedAddress, U32};

use super::{Element, VECTOR_BYTES};

/// How a block's work is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tile {
    /// Rows of a block: pixels.
    pub m: u32,
    /// Columns of a block: output channels.
    pub n: u32,
    /// 16-byte vectors of k in a chunk, a power of two.
    pub vectors: u32,
    /// Warps along rows, columns and k.
    pub warps: [u32; 3],
    /// Chunks in shared memory at a time.
    pub stages: u32,
}

impl Tile {
    /// Threads of a block.
    pub fn threads(&self) -> u32 {
        32 * self.warps.iter().product::<u32>()
    }

    /// Values of k in a chunk.
    pub fn chunk(&self, element: Element) -> u32 {
        self.vectors * element.per_vector()
    }

    /// Bytes of a chunk of `a` in shared memory.
    pub fn a_bytes(&self) -> u32 {
        self.m * self.vectors * VECTOR_BYTES
    }

    /// Bytes of a chunk of `b` in shared memory.
    pub fn b_bytes(&self) -> u32 {
        self.n * self.vectors * VECTOR_BYTES
    }

    /// In words, for listings.
    pub fn describe(&self, element: Element) -> String {
        let [rows, columns, slices] = self.warps;
        let (m, n, k) = (self.m, self.n, self.chunk(element));
        format!(
            "{m}x{n}x{k}, {rows}x{columns}x{slices} warps, {} stages",
            self.stages
        )
    }

    /// Whether the warps divide the tile into whole fragments.
    pub fn is_sound(&self, element: Element) -> bool {
        let [rows, columns, slices] = self.warps;
        let steps = match element {
            Element::F16 => self.vectors / 2,
            Element::F32 => self.vectors,
        };
        self.m.is_multiple_of(16 * rows)
            && self.n.is_multiple_of(8 * columns)
            && self.vectors.is_power_of_two()
            && steps.is_multiple_of(slices)
            && steps >= slices
            && self.threads() <= 1024
            && self.threads().is_multiple_of(self.vectors)
            && self.stages >= 2
    }
}

/// Where vector `vector` of row `row` lies in a tile of `vectors` per row, in bytes.
pub fn slot<'k>(vectors: u32, row: U32<'k>, vector: U32<'k>) -> U32<'k> {
    (row * vectors + (vector ^ exchange(vectors, row))) * VECTOR_BYTES
}

/// What the number of a row's vectors is xored with.
fn exchange(vectors: u32, row: U32<'_>) -> U32<'_> {
    let rows_per_line = (8 / vectors).max(1);
    (row / rows_per_line) % vectors.min(8)
}

/// The sums of a warp: `[row tile][column tile]`, fragments of 16 by 8.
pub type Sums<'k> = Vec<Vec<[F32<'k>; 4]>>;

/// A thread's place among the warps, and the addresses that follow from it.
pub struct Gemm<'k> {
    k: &'k Builder,
    element: Element,
    tile: Tile,
    /// First row and first column of the warp's part.
    row: U32<'k>,
    column: U32<'k>,
    /// Which of the slices along k the warp adds up.
    slice: U32<'k>,
}

impl<'k> Gemm<'k> {
    /// Finds the warp's part of the tile.
    pub fn new(k: &'k Builder, element: Element, tile: Tile) -> Self {
        assert!(tile.is_sound(element), "{tile:?}");
        let [rows, columns, slices] = tile.warps;
        let warp = k.warp();
        Self {
            k,
            element,
            tile,
            row: (warp % rows) * (tile.m / rows),
            column: (warp / rows) % columns * (tile.n / columns),
            slice: warp / (rows * columns) % slices,
        }
    }

    fn row_tiles(&self) -> u32 {
        self.tile.m / self.tile.warps[0] / 16
    }

    fn column_tiles(&self) -> u32 {
        self.tile.n / self.tile.warps[1] / 8
    }

    /// Sums of zero.
    pub fn zeros(&self) -> Sums<'k> {
        let fragment = || [0.0; 4].map(|zero| self.k.float_variable(zero));
        let row = || (0..self.column_tiles()).map(|_| fragment()).collect();
        (0..self.row_tiles()).map(|_| row()).collect()
    }

    /// Adds the products of one chunk: `a` and `b` begin at these addresses.
    pub fn step(&self, sums: &Sums<'k>, a: SharedAddress<'k>, b: SharedAddress<'k>) {
        match self.element {
            Element::F16 => self.step_f16(sums, a, b),
            Element::F32 => self.step_f32(sums, a, b),
        }
    }

    fn step_f16(&self, sums: &Sums<'k>, a: SharedAddress<'k>, b: SharedAddress<'k>) {
        let (k, vectors) = (self.k, self.tile.vectors);
        let row_bytes = vectors * VECTOR_BYTES;
        let lane = k.lane();
        let a_row = self.row + lane % 16;
        let a_start = a + a_row * row_bytes;
        let a_piece = (lane / 16) ^ exchange(vectors, a_row);
        let b_row = self.column + lane % 8 + lane / 16 * 8;
        let b_start = b + b_row * row_bytes;
        let b_piece = (lane / 8 % 2) ^ exchange(vectors, b_row);
        let steps = vectors / 2 / self.tile.warps[2];
        for step in 0..steps {
            let first = self.slice * (2 * steps) + 2 * step;
            let a_at = a_start + (a_piece ^ first) * VECTOR_BYTES;
            let b_at = b_start + (b_piece ^ first) * VECTOR_BYTES;
            let a: Vec<_> = (0..self.row_tiles())
                .map(|tile| k.load_matrix::<4>(a_at + tile * 16 * row_bytes, false))
                .collect();
            let pairs = self.column_tiles() / 2;
            let mut b_tiles = Vec::new();
            for pair in 0..pairs {
                let [b0, b1, c0, c1] = k.load_matrix::<4>(b_at + pair * 16 * row_bytes, false);
                b_tiles.extend([[b0, b1], [c0, c1]]);
            }
            if self.column_tiles() % 2 == 1 {
                let last = self.last_column_tile(b, first, b_at);
                b_tiles.push(k.load_matrix::<2>(last + pairs * 16 * row_bytes, false));
            }
            for (sums, &a) in sums.iter().zip(&a) {
                for (&sums, &b) in sums.iter().zip(&b_tiles) {
                    k.mma(sums, a, b);
                }
            }
        }
    }

    /// Where lanes load an odd last column tile from, relative to the tiles before it. `paired` is
    /// the address for two tiles, whose lanes 16 to 31 point to the second: past the end, if there
    /// is none. Targets whose `ldmatrix` demands valid addresses in all lanes get the first tile's
    /// rows there too.
    fn last_column_tile(
        &self,
        b: SharedAddress<'k>,
        first: U32<'k>,
        paired: SharedAddress<'k>,
    ) -> SharedAddress<'k> {
        let k = self.k;
        if k.target().has(Feature::PartialMatrixAddresses) {
            return paired;
        }
        let vectors = self.tile.vectors;
        let lane = k.lane();
        b + slot(vectors, self.column + lane % 8, (lane / 8 % 2) ^ first)
    }

    fn step_f32(&self, sums: &Sums<'k>, a: SharedAddress<'k>, b: SharedAddress<'k>) {
        let (k, vectors) = (self.k, self.tile.vectors);
        let lane = k.lane();
        let (group, thread) = (lane / 4, lane % 4);
        let steps = vectors / self.tile.warps[2];
        k.count(
            self.slice * steps,
            self.slice * steps + steps,
            1,
            |vector| {
                let load = |tile: SharedAddress<'k>, row: U32<'k>| {
                    k.load_shared::<4>(tile + slot(vectors, row, vector))
                        .map(U32::as_f32)
                };
                let a: Vec<[[F32<'k>; 4]; 2]> = (0..self.row_tiles())
                    .map(|tile| [0, 8].map(|half| load(a, self.row + group + (tile * 16 + half))))
                    .collect();
                for column in 0..self.column_tiles() {
                    let row = self.column + thread * 2 + column * 8;
                    let b = [0, 1].map(|next| load(b, row + next));
                    for (sums, a) in sums.iter().zip(&a) {
                        for (index, &sum) in sums[column as usize].iter().enumerate() {
                            let (a, b) = (a[index / 2], b[index % 2]);
                            let total =
                                (0..4).fold(sum, |sum, i| a[i].fused_multiply_add(b[i], sum));
                            k.assign(sum, total);
                        }
                    }
                }
            },
        );
    }

    /// Adds up the slices' sums through `scratch`, which has [`slice_bytes`](Self::slice_bytes);
    /// afterwards the first slice's warps hold the whole. Begins and ends with a barrier.
    pub fn join_slices(&self, sums: &Sums<'k>, scratch: SharedAddress<'k>) {
        let [rows, columns, slices] = self.tile.warps;
        let k = self.k;
        k.barrier();
        if slices == 1 {
            return;
        }
        let fragments: Vec<[F32<'k>; 4]> = sums.iter().flatten().copied().collect();
        let thread = k.thread() % (32 * rows * columns);
        let part = 32 * rows * columns * VECTOR_BYTES;
        let place = |slice: U32<'k>, fragment: usize| {
            let before = (slice - 1) * fragments.len() as u32 + fragment as u32;
            scratch + before * part + thread * VECTOR_BYTES
        };
        k.when(self.slice.above(0), || {
            for (index, &fragment) in fragments.iter().enumerate() {
                k.store_shared(place(self.slice, index), fragment);
            }
        });
        k.barrier();
        k.when(self.slice.equals(0), || {
            for slice in 1..slices {
                for (index, &fragment) in fragments.iter().enumerate() {
                    let other = k.load_shared::<4>(place(k.u32(slice), index));
                    for (sum, other) in fragment.into_iter().zip(other) {
                        k.assign(sum, sum + other.as_f32());
                    }
                }
            }
        });
        k.barrier();
    }

    /// Bytes that joining slices takes.
    pub fn slice_bytes(tile: &Tile) -> u32 {
        (tile.warps[2] - 1) * tile.m * tile.n * 4
    }

    /// Hands out the sums two by two, from the first slice's warps: row, number of the column tile,
    /// column of the first, both.
    pub fn each_pair(
        &self,
        sums: &Sums<'k>,
        mut take: impl FnMut(U32<'k>, usize, U32<'k>, [F32<'k>; 2]),
    ) {
        let lane = self.k.lane();
        let (row, column) = (self.row + lane / 4, self.column + lane % 4 * 2);
        self.k.when(self.slice.equals(0), || {
            for (i, sums) in sums.iter().enumerate() {
                for (j, &[a, b, c, d]) in sums.iter().enumerate() {
                    let column = column + 8 * j as u32;
                    take(row + 16 * i as u32, j, column, [a, b]);
                    take(row + (16 * i as u32 + 8), j, column, [c, d]);
                }
            }
        });
    }
}
