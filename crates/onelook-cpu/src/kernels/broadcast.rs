//! Sums, differences, products and quotients of dense values with broadcasting.
//!
//! ```text
//! for each position: target[position] = a[position · a strides] ∘ b[position · b strides]
//! ```
//!
//! Departures: 1. the last axis is the inner loop; 2. a task is a share of the rows.

use onelook_graph::op::Binary;

use super::share;

/// A function of two dense operands; strides are 0 along repeated axes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broadcast {
    function: Binary,
    extents: Vec<usize>,
    a: Vec<usize>,
    b: Vec<usize>,
}

impl Broadcast {
    /// The kernel for an output of `extents`.
    pub fn new(function: Binary, extents: &[usize], a: &[usize], b: &[usize]) -> Self {
        let one = |values: &[usize]| {
            if values.is_empty() {
                vec![1]
            } else {
                values.to_vec()
            }
        };
        let mut kernel = Self {
            function,
            extents: one(extents),
            a: one(a),
            b: one(b),
        };
        kernel.merge_inner_axes();
        kernel
    }

    /// Lets the last two axes be one as long as both operands walk through them evenly.
    fn merge_inner_axes(&mut self) {
        while let [.., _, extent] = self.extents[..] {
            let last = self.extents.len() - 1;
            let even = |strides: &[usize]| strides[last - 1] == strides[last] * extent;
            if !even(&self.a) || !even(&self.b) {
                return;
            }
            self.extents[last - 1] *= extent;
            self.extents.pop();
            for strides in [&mut self.a, &mut self.b] {
                strides.remove(last - 1);
            }
        }
    }

    /// The kernel's name in listings.
    pub fn name(&self) -> &'static str {
        match self.function {
            Binary::Add => "add_f32_dense_portable",
            Binary::Sub => "sub_f32_dense_portable",
            Binary::Mul => "mul_f32_dense_portable",
            Binary::Div => "div_f32_dense_portable",
        }
    }

    fn rows(&self) -> usize {
        self.extents[..self.extents.len() - 1].iter().product()
    }

    /// Tasks of a run.
    pub fn tasks(&self) -> usize {
        self.rows().clamp(1, 16)
    }

    /// Does task `task`.
    ///
    /// # Safety
    /// All positions lie within the operands and the target; the target overlaps no operand; other
    /// threads run other tasks only.
    pub unsafe fn run(&self, a: *const f32, b: *const f32, target: *mut f32, task: usize) {
        let last = self.extents.len() - 1;
        let extent = self.extents[last];
        for row in share(self.rows(), self.tasks(), task) {
            let (mut rest, mut from_a, mut from_b) = (row, 0, 0);
            for axis in (0..last).rev() {
                from_a += rest % self.extents[axis] * self.a[axis];
                from_b += rest % self.extents[axis] * self.b[axis];
                rest /= self.extents[axis];
            }
            // SAFETY: the caller guarantees the extents.
            unsafe {
                let (a, b) = (a.add(from_a), b.add(from_b));
                let target = std::slice::from_raw_parts_mut(target.add(row * extent), extent);
                self.run_row(a, b, target);
            }
        }
    }

    /// # Safety
    /// As [`run`](Self::run), for one row.
    unsafe fn run_row(&self, a: *const f32, b: *const f32, target: &mut [f32]) {
        let last = self.extents.len() - 1;
        let (step_a, step_b) = (self.a[last], self.b[last]);
        macro_rules! each {
            ($function:expr) => {
                for (x, value) in target.iter_mut().enumerate() {
                    // SAFETY: the caller guarantees the extents.
                    *value = unsafe { $function(*a.add(x * step_a), *b.add(x * step_b)) };
                }
            };
        }
        match self.function {
            Binary::Add => each!(|a: f32, b: f32| a + b),
            Binary::Sub => each!(|a: f32, b: f32| a - b),
            Binary::Mul => each!(|a: f32, b: f32| a * b),
            Binary::Div => each!(|a: f32, b: f32| a / b),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_repeated_for_every_row() {
        let kernel = Broadcast::new(Binary::Sub, &[2, 3], &[3, 1], &[0, 1]);
        let (a, b) = ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [1.0, 1.0, 2.0]);
        let mut target = [0.0; 6];
        for task in 0..kernel.tasks() {
            // SAFETY: the extents are those of the arrays.
            unsafe { kernel.run(a.as_ptr(), b.as_ptr(), target.as_mut_ptr(), task) };
        }
        assert_eq!(target, [0.0, 1.0, 1.0, 3.0, 4.0, 4.0]);
    }

    #[test]
    fn even_axes_become_one() {
        let kernel = Broadcast::new(Binary::Add, &[2, 3, 4], &[12, 4, 1], &[0, 0, 0]);
        assert_eq!(
            (kernel.extents, kernel.a, kernel.b),
            (vec![24], vec![1], vec![0])
        );
    }
}
