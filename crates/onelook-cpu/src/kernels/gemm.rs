//! The product of two plain row-major matrices: `c[m][n] = a[m][k] · b[k][n]`.
//!
//! The columns of `b` are packed in blocks of 16, as weights are; the register tile of the convolution then takes a
//! row of `a` as a run, and rows of `a` as its pixels.

use super::conv::plan::{self, Group};
use super::conv::tile::{Runs, TileArgs};
use super::layout::{BLOCK, Element};
use super::{AlignedBuffer, share};
use crate::isa::{Isa, kernel_name};

/// Rows of `a` at a time; they share a group's packed columns.
const BAND_ROWS: usize = 48;

/// A matrix product for given extents.
#[derive(Debug)]
pub struct Gemm {
    isa: Isa,
    m: usize,
    n: usize,
    k: usize,
    runs: Runs,
    groups: Vec<Group>,
    /// As `groups`, for the last band.
    last_groups: Vec<Group>,
    zeros: AlignedBuffer,
    row_parts: usize,
}

impl Gemm {
    /// The plan for `m × k` times `k × n`.
    pub fn new(isa: Isa, m: usize, n: usize, k: usize, threads: usize) -> Self {
        // A run's stride is the row of `a`; where it happens to be one that has tiles of its own, they serve.
        let blocks = n.div_ceil(BLOCK);
        let groups_for = |rows: usize| {
            if rows == 0 {
                Vec::new()
            } else {
                plan::groups(isa, Element::F32, blocks, rows, k)
            }
        };
        let bands = m / BAND_ROWS;
        let groups = groups_for(BAND_ROWS);
        let tasks = plan::task_count(2 * m * n * k, threads);
        Gemm {
            isa,
            m,
            n,
            k,
            runs: Runs {
                offsets: vec![0],
                whole: 1,
                whole_len: k,
                last_len: k,
            },
            row_parts: tasks
                .div_ceil(groups.len().max(1))
                .clamp(1, m.div_ceil(BAND_ROWS).max(1)),
            last_groups: groups_for(m - bands * BAND_ROWS),
            groups,
            zeros: AlignedBuffer::zeroed(3 * BLOCK),
        }
    }

    /// The kernel's name in listings.
    pub fn name(&self) -> &'static str {
        kernel_name!(self.isa, "gemm_f32_dense")
    }

    /// Tasks: some rows of a group of columns each.
    pub fn tasks(&self) -> usize {
        if self.m == 0 {
            0
        } else {
            self.row_parts * self.groups.len()
        }
    }

    /// Floats of scratch that one thread needs.
    pub fn scratch_floats(&self) -> usize {
        3 * BLOCK * (self.k + BAND_ROWS)
    }

    /// Does task `task`.
    ///
    /// # Safety
    /// The matrices have the plan's extents and `c` overlaps neither of the others; other threads run other tasks only.
    pub unsafe fn run(
        &self,
        a: *const f32,
        b: *const f32,
        c: *mut f32,
        scratch: &mut [f32],
        task: usize,
    ) {
        let (part, index) = (task % self.row_parts, task / self.row_parts);
        let (packed, sums) = scratch.split_at_mut(3 * BLOCK * self.k);
        assert!(
            sums.len() >= 3 * BLOCK * BAND_ROWS,
            "the scratch is the executor's to size"
        );
        // SAFETY: the caller guarantees that `b` is `k` rows of `n` columns; the group's columns lie among them.
        unsafe {
            self.pack_columns(
                b,
                self.groups[index].first,
                self.groups[index].blocks,
                packed,
            )
        };
        for band in share(self.m.div_ceil(BAND_ROWS), self.row_parts, part) {
            let first_row = band * BAND_ROWS;
            let rows = (self.m - first_row).min(BAND_ROWS);
            let group = if rows == BAND_ROWS {
                &self.groups[index]
            } else {
                &self.last_groups[index]
            };
            let args = TileArgs {
                input: a.wrapping_add(first_row * self.k),
                pixel_stride: self.k,
                runs: &self.runs,
                weights: packed.as_ptr(),
                weights_block: self.k * BLOCK,
                bias: self.zeros.as_ptr(),
                output: sums.as_mut_ptr(),
                output_pixel: BLOCK,
                output_block: BAND_ROWS * BLOCK,
                ..TileArgs::default()
            };
            // SAFETY: the tiles read whole rows of `a` and write within the sums; the copy stays within `c`.
            unsafe {
                group.run_row(args);
                self.copy_out(sums, group, first_row, rows, c);
            }
        }
    }

    /// `packed[block][k][16]` of the group's columns, zeros beyond the last.
    ///
    /// # Safety
    /// `b` is `k` rows of `n` floats, and blocks `first` to `first + blocks` start within a row.
    unsafe fn pack_columns(&self, b: *const f32, first: usize, blocks: usize, packed: &mut [f32]) {
        for block in 0..blocks {
            let column = (first + block) * BLOCK;
            let used = (self.n - column).min(BLOCK);
            let target = &mut packed[block * self.k * BLOCK..][..self.k * BLOCK];
            for (row, target) in target.chunks_exact_mut(BLOCK).enumerate() {
                // SAFETY: the columns lie within the row.
                let source =
                    unsafe { std::slice::from_raw_parts(b.add(row * self.n + column), used) };
                target[..used].copy_from_slice(source);
                target[used..].fill(0.0);
            }
        }
    }

    /// Brings the sums of `rows` rows of a group to `c`.
    ///
    /// # Safety
    /// `c` is `m` rows of `n` floats; rows `first_row` to `first_row + rows` are among them, and no other thread touches
    /// the group's columns of these rows.
    unsafe fn copy_out(
        &self,
        sums: &[f32],
        group: &Group,
        first_row: usize,
        rows: usize,
        c: *mut f32,
    ) {
        for block in 0..group.blocks {
            let column = (group.first + block) * BLOCK;
            let used = (self.n - column).min(BLOCK);
            for row in 0..rows {
                let source = &sums[(block * BAND_ROWS + row) * BLOCK..][..used];
                // SAFETY: the columns lie within the row, which is this task's alone.
                unsafe {
                    let target = c.add((first_row + row) * self.n + column);
                    target.copy_from_nonoverlapping(source.as_ptr(), used);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{CASES, check_close, random, sum_tolerance};
    use proptest::prelude::*;

    fn product(isa: Isa, m: usize, n: usize, k: usize, threads: usize) -> Vec<f32> {
        let (a, b) = (random(m * k, 1), random(k * n, 2));
        let gemm = Gemm::new(isa, m, n, k, threads);
        let mut c = vec![f32::NAN; m * n];
        let mut scratch = vec![f32::NAN; gemm.scratch_floats()];
        for task in 0..gemm.tasks() {
            // SAFETY: the extents are the plan's.
            unsafe { gemm.run(a.as_ptr(), b.as_ptr(), c.as_mut_ptr(), &mut scratch, task) }
        }
        c
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(CASES))]

        #[test]
        fn any_extents_agree_with_the_textbook(m in 1usize..120, n in 1usize..80, k in 1usize..70) {
            let (a, b) = (random(m * k, 1), random(k * n, 2));
            let dot = |i, j| (0..k).map(|l| f64::from(a[i * k + l]) * f64::from(b[l * n + j])).sum::<f64>();
            let truth: Vec<f64> = (0..m).flat_map(|i| (0..n).map(move |j| (i, j))).map(|(i, j)| dot(i, j)).collect();
            for isa in Isa::available() {
                check_close(&product(isa, m, n, k, 1), &truth, sum_tolerance(k));
            }
        }
    }

    #[test]
    fn bits_do_not_depend_on_the_thread_count() {
        for isa in Isa::available() {
            assert!(product(isa, 500, 100, 200, 1) == product(isa, 500, 100, 200, 8));
        }
    }
}
