//! Dense values from one order into another: transposes, slices, pieces of concatenations.
//!
//! ```text
//! for each position: target[position · target strides] = source[position · source strides]
//! ```
//!
//! Departures: 1. axes that lie one after the other on both sides are merged; 2. the last axis is
//! the inner loop, a plain copy where both sides are contiguous; 3. a task is a share of the rows.

use super::share;

/// Rows below which another task is not worth its start.
const ROWS_PER_TASK: usize = 16;

/// A copy between two strided layouts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StridedCopy {
    /// Merged axes, outermost first: extent, source stride, target stride.
    axes: Vec<[usize; 3]>,
    source_offset: usize,
    target_offset: usize,
}

impl StridedCopy {
    /// A copy of `extents` positions; strides and offsets in floats.
    pub fn new(
        extents: &[usize],
        (source, source_offset): (&[usize], usize),
        (target, target_offset): (&[usize], usize),
    ) -> Self {
        let mut axes: Vec<[usize; 3]> = Vec::with_capacity(extents.len());
        for ((&extent, &source), &target) in extents.iter().zip(source).zip(target) {
            match axes.last_mut() {
                _ if extent == 1 => {}
                Some(last) if last[1] == source * extent && last[2] == target * extent => {
                    *last = [last[0] * extent, source, target];
                }
                _ => axes.push([extent, source, target]),
            }
        }
        if axes.is_empty() {
            axes.push([1, 1, 1]);
        }
        Self {
            axes,
            source_offset,
            target_offset,
        }
    }

    /// The kernel's name in listings.
    pub fn name(&self) -> &'static str {
        "strided_copy_f32_dense_portable"
    }

    fn rows(&self) -> usize {
        self.axes[..self.axes.len() - 1]
            .iter()
            .map(|axis| axis[0])
            .product()
    }

    /// Tasks of a copy.
    pub fn tasks(&self) -> usize {
        self.rows().div_ceil(ROWS_PER_TASK).clamp(1, 64)
    }

    /// Does task `task`.
    ///
    /// # Safety
    /// All positions lie within the memory at `source` and `target`, which do not overlap; other
    /// threads run other tasks only.
    pub unsafe fn run(&self, source: *const f32, target: *mut f32, task: usize) {
        let (outer, inner) = self.axes.split_at(self.axes.len() - 1);
        let [extent, source_step, target_step] = inner[0];
        for row in share(self.rows(), self.tasks(), task) {
            let (mut rest, mut from, mut to) = (row, self.source_offset, self.target_offset);
            for &[extent, source_stride, target_stride] in outer.iter().rev() {
                from += rest % extent * source_stride;
                to += rest % extent * target_stride;
                rest /= extent;
            }
            // SAFETY: the caller guarantees the extents.
            unsafe {
                let (source, target) = (source.add(from), target.add(to));
                if source_step == 1 && target_step == 1 {
                    target.copy_from_nonoverlapping(source, extent);
                } else {
                    for x in 0..extent {
                        *target.add(x * target_step) = *source.add(x * source_step);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copied(copy: &StridedCopy, source: &[f32], target: &mut [f32]) {
        for task in 0..copy.tasks() {
            // SAFETY: the tests choose extents within both slices.
            unsafe { copy.run(source.as_ptr(), target.as_mut_ptr(), task) };
        }
    }

    #[test]
    fn a_transpose_exchanges_rows_and_columns() {
        let copy = StridedCopy::new(&[3, 2], (&[1, 3], 0), (&[2, 1], 0));
        let mut target = [0.0; 6];
        copied(&copy, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &mut target);
        assert_eq!(target, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    }

    #[test]
    fn contiguous_axes_become_one() {
        let copy = StridedCopy::new(&[2, 1, 3, 4], (&[12, 7, 4, 1], 0), (&[12, 9, 4, 1], 0));
        assert_eq!(copy.axes, [[24, 1, 1]]);
    }

    #[test]
    fn a_slice_starts_at_its_offset() {
        let copy = StridedCopy::new(&[2, 2], (&[4, 1], 1), (&[2, 1], 0));
        let mut target = [0.0; 4];
        copied(
            &copy,
            &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0],
            &mut target,
        );
        assert_eq!(target, [1.0, 2.0, 5.0, 6.0]);
    }
}
