//! Chunks of weights and pixels on their way while others are multiplied.

use onelook_ptx::lang::{Builder, Global, SharedAddress, U32};

use crate::kernels::VECTOR_BYTES;
use crate::kernels::gemm::{Gemm, Sums, Tile, slot};

/// Chunks that are multiplied without a loop around them.
const UNROLLED: u32 = 4;

/// Chunks of weights on their way to shared memory.
pub struct Weights<'k> {
    k: &'k Builder,
    tile: Tile,
    chunks: u32,
    from: Global<'k>,
}

impl<'k> Weights<'k> {
    /// Those of one tile of columns.
    pub fn new(
        k: &'k Builder,
        tile: Tile,
        chunks: u32,
        weights: Global<'k>,
        column_tile: U32<'k>,
    ) -> Self {
        let thread = k.thread() * VECTOR_BYTES;
        let from = weights + column_tile * (chunks * tile.b_bytes()) + thread;
        Self {
            k,
            tile,
            chunks,
            from,
        }
    }

    /// Begins to copy a chunk.
    pub fn copy(&self, chunk: U32<'k>, to: SharedAddress<'k>) {
        let (k, tile) = (self.k, self.tile);
        debug_assert!(chunk.known().is_none_or(|chunk| chunk < self.chunks));
        let thread = k.thread();
        let (row, vector) = (thread / tile.vectors, thread % tile.vectors);
        let rows = tile.threads() / tile.vectors;
        let from = self.from + chunk * tile.b_bytes();
        for pass in 0..tile.n.div_ceil(rows) {
            let row = row + pass * rows;
            let whole = tile.n.is_multiple_of(rows);
            let inside = if whole {
                k.bool(true)
            } else {
                row.less(tile.n)
            };
            k.when(inside, || {
                let to = to + slot(tile.vectors, row, vector);
                let from = from + pass * tile.threads() * VECTOR_BYTES;
                k.async_copy(to, from, VECTOR_BYTES, k.bool(true));
            });
        }
    }
}

/// Copies ahead of products, stage by stage.
pub struct Pipeline<'k> {
    /// The kernel.
    pub k: &'k Builder,
    /// Its tile.
    pub tile: Tile,
    /// Stages: a chunk of `a` unless all of it is there, a chunk of `b`.
    pub memory: SharedAddress<'k>,
    /// All chunks of `a`, if they are there or will be once the kernels before have ended.
    pub resident: Option<SharedAddress<'k>>,
    /// Chunks in all.
    pub chunks: u32,
}

impl<'k> Pipeline<'k> {
    /// Bytes of the stages.
    pub fn stages_bytes(tile: &Tile, resident: bool) -> u32 {
        let a = if resident { 0 } else { tile.a_bytes() };
        tile.stages * (a + tile.b_bytes())
    }

    /// Adds the products of all chunks to `sums`. `copy` begins to copy a chunk of `a`; where `a`
    /// is resident it is called once, to bring all of it.
    pub fn run(
        &self,
        gemm: &Gemm<'k>,
        sums: &Sums<'k>,
        weights: &Weights<'k>,
        copy: impl Fn(U32<'k>, SharedAddress<'k>),
    ) {
        let (k, tile, chunks) = (self.k, self.tile, self.chunks);
        let ahead = tile.stages - 1;
        for chunk in 0..ahead.min(chunks) {
            weights.copy(k.u32(chunk), self.b_place(self.stage(chunk)));
            if self.resident.is_some() {
                k.async_commit();
            }
        }
        k.grid_wait();
        match self.resident {
            Some(resident) => {
                copy(k.u32(0), resident);
                (chunks..ahead).for_each(|_| k.async_commit());
            }
            None => {
                for chunk in 0..ahead {
                    if chunk < chunks {
                        copy(k.u32(chunk), self.stage(chunk));
                    }
                    k.async_commit();
                }
            }
        }
        if chunks <= UNROLLED {
            for chunk in 0..chunks {
                let stages = [self.stage(chunk), self.stage(chunk + ahead)];
                self.turn(gemm, sums, weights, &copy, k.u32(chunk), stages);
            }
            return;
        }
        let read = k.variable(k.u32(0));
        let write = k.variable(k.u32(ahead * self.stage_bytes()));
        k.count(0, chunks, 1, |chunk| {
            let stages = [self.memory + read, self.memory + write];
            self.turn(gemm, sums, weights, &copy, chunk, stages);
            for place in [read, write] {
                let next = place + self.stage_bytes();
                let end = self.stage_bytes() * tile.stages;
                k.assign(place, next.equals(end).select(k.u32(0), next));
            }
        });
    }

    /// Multiplies a chunk that has arrived and sends for the one that will take its place.
    fn turn(
        &self,
        gemm: &Gemm<'k>,
        sums: &Sums<'k>,
        weights: &Weights<'k>,
        copy: &impl Fn(U32<'k>, SharedAddress<'k>),
        chunk: U32<'k>,
        [read, write]: [SharedAddress<'k>; 2],
    ) {
        let (k, ahead) = (self.k, self.tile.stages - 1);
        k.async_wait(ahead - 1);
        k.barrier();
        k.when((chunk + ahead).less(self.chunks), || {
            weights.copy(chunk + ahead, self.b_place(write));
            if self.resident.is_none() {
                copy(chunk + ahead, write);
            }
        });
        k.async_commit();
        let a = match self.resident {
            Some(resident) => resident + chunk * self.tile.a_bytes(),
            None => read,
        };
        gemm.step(sums, a, self.b_place(read));
    }

    /// Where `b` lies in a stage.
    fn b_place(&self, stage: SharedAddress<'k>) -> SharedAddress<'k> {
        match self.resident {
            Some(_) => stage,
            None => stage + self.tile.a_bytes(),
        }
    }

    fn stage_bytes(&self) -> u32 {
        Self::stages_bytes(&self.tile, self.resident.is_some()) / self.tile.stages
    }

    fn stage(&self, chunk: u32) -> SharedAddress<'k> {
        self.memory + chunk % self.tile.stages * self.stage_bytes()
    }
}
