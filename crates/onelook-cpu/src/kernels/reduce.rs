//! Sums, maxima and means of dense values along one axis, and softmax along one that is not last.
//!
//! ```text
//! for each outer, inner: target[outer][inner] = reduction over k of source[outer][k][inner]
//! ```
//!
//! Departure: a task is one outer position, walked row by row, so that the inner axis is the vector.

use onelook_graph::op::Reduction;

use super::activation::Activate;

/// The extents around the axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlongAxis {
    /// Positions of the axes before.
    pub outer: usize,
    /// Positions of the axis.
    pub extent: usize,
    /// Positions of the axes behind.
    pub inner: usize,
}

impl AlongAxis {
    /// The extents around `axis` of a dense tensor.
    pub fn new(extents: &[usize], axis: usize) -> Self {
        Self {
            outer: extents[..axis].iter().product(),
            extent: extents[axis],
            inner: extents[axis + 1..].iter().product(),
        }
    }

    /// One task per outer position.
    pub fn tasks(&self) -> usize {
        self.outer
    }

    /// Reduces outer position `task`.
    ///
    /// # Safety
    /// Source and target have the extents and do not overlap; other threads run other tasks only.
    pub unsafe fn reduce(
        &self,
        reduction: Reduction,
        source: *const f32,
        target: *mut f32,
        task: usize,
    ) {
        let Self { extent, inner, .. } = *self;
        // SAFETY: the caller guarantees the extents.
        let (source, target) = unsafe {
            (
                std::slice::from_raw_parts(source.add(task * extent * inner), extent * inner),
                std::slice::from_raw_parts_mut(target.add(task * inner), inner),
            )
        };
        fold_rows(reduction, source, target);
        if reduction == Reduction::Mean {
            target.iter_mut().for_each(|value| *value /= extent as f32);
        }
    }

    /// Softmax of outer position `task`; `largest` and `sum` are scratch of [`inner`](Self::inner)
    /// floats each, at `scratch`.
    ///
    /// # Safety
    /// As [`reduce`](Self::reduce), with a target of the source's extents.
    pub unsafe fn softmax(
        &self,
        exp: Activate,
        source: *const f32,
        target: *mut f32,
        scratch: *mut f32,
        task: usize,
    ) {
        let Self { extent, inner, .. } = *self;
        // SAFETY: the caller guarantees the extents.
        let (source, target, folded) = unsafe {
            (
                std::slice::from_raw_parts(source.add(task * extent * inner), extent * inner),
                std::slice::from_raw_parts_mut(target.add(task * extent * inner), extent * inner),
                std::slice::from_raw_parts_mut(scratch, inner),
            )
        };
        fold_rows(Reduction::Max, source, folded);
        for (row, from) in target
            .chunks_exact_mut(inner)
            .zip(source.chunks_exact(inner))
        {
            let largest = folded.iter();
            row.iter_mut()
                .zip(from)
                .zip(largest)
                .for_each(|((value, x), largest)| *value = x - largest);
        }
        exp.run_dense(target);
        fold_rows(Reduction::Sum, target, folded);
        for row in target.chunks_exact_mut(inner) {
            row.iter_mut()
                .zip(folded.iter())
                .for_each(|(value, sum)| *value /= sum);
        }
    }
}

/// Folds rows as long as `target` into it.
fn fold_rows(reduction: Reduction, source: &[f32], target: &mut [f32]) {
    let (first, rest) = source.split_at(target.len());
    target.copy_from_slice(first);
    for row in rest.chunks_exact(target.len()) {
        let pairs = target.iter_mut().zip(row);
        match reduction {
            Reduction::Max => pairs.for_each(|(value, x)| *value = value.max(*x)),
            Reduction::Sum | Reduction::Mean => pairs.for_each(|(value, x)| *value += x),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Isa;
    use crate::kernels::Activation;

    #[test]
    fn reduction_runs_along_the_axis() {
        let along = AlongAxis::new(&[2, 2, 2], 1);
        let source = [1.0, 8.0, 3.0, 4.0, 5.0, 6.0, 7.0, 2.0];
        let mut target = [0.0; 4];
        for task in 0..along.tasks() {
            // SAFETY: the extents are those of the arrays.
            unsafe { along.reduce(Reduction::Max, source.as_ptr(), target.as_mut_ptr(), task) };
        }
        assert_eq!(target, [3.0, 8.0, 7.0, 6.0]);
    }

    #[test]
    fn softmax_sums_to_one_along_the_axis() {
        let along = AlongAxis::new(&[1, 3, 5], 1);
        let source: Vec<f32> = (0..15).map(|x| (x * x % 7) as f32).collect();
        let (mut target, mut scratch) = ([0.0f32; 15], [0.0f32; 5]);
        let exp = Activate::new(Isa::Portable, Activation::Exp);
        // SAFETY: the extents are those of the arrays.
        unsafe {
            along.softmax(
                exp,
                source.as_ptr(),
                target.as_mut_ptr(),
                scratch.as_mut_ptr(),
                0,
            );
        }
        for lane in 0..5 {
            let sum: f32 = (0..3).map(|k| target[k * 5 + lane]).sum();
            assert!((sum - 1.0).abs() < 1e-6);
        }
    }
}
