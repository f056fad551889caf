//! Two blocked maps combined value by value.

use super::layout::{BLOCK, MapMut, MapView};
use crate::isa::{Isa, Vector16, kernel_name, per_isa};

/// What is done to a pair of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Combine {
    /// `a + b`.
    Add,
    /// `a - b`.
    Subtract,
    /// `a · b`.
    Multiply,
}

/// A combination of two maps of the same extents; a task is one plane of one image.
#[derive(Clone, Copy, Debug)]
pub struct Elementwise {
    isa: Isa,
    combine: Combine,
}

impl Elementwise {
    /// The kernel for `combine`.
    pub fn new(isa: Isa, combine: Combine) -> Self {
        Elementwise { isa, combine }
    }

    /// The kernel's name in listings.
    pub fn name(&self) -> &'static str {
        match self.combine {
            Combine::Add => kernel_name!(self.isa, "add_f32_blocked"),
            Combine::Subtract => kernel_name!(self.isa, "sub_f32_blocked"),
            Combine::Multiply => kernel_name!(self.isa, "mul_f32_blocked"),
        }
    }

    /// Tasks for `batch` images of `planes` planes.
    pub fn tasks(&self, planes: usize, batch: usize) -> usize {
        planes * batch
    }

    /// Does task `task`; the output may be one of the inputs.
    ///
    /// # Safety
    /// The views are valid and have the same extents but for padding; other threads run other tasks only.
    pub unsafe fn run(&self, a: MapView, b: MapView, output: MapMut, task: usize) {
        let planes = output.layout().planes();
        let (image, plane) = (task / planes, task % planes);
        for y in 0..output.layout().height as isize {
            let rows = (a.pixel(image, plane, y, 0), b.pixel(image, plane, y, 0));
            let target = output.pixel(image, plane, y, 0);
            // SAFETY: the rows lie within the maps.
            unsafe {
                combine_row(
                    self.isa,
                    self.combine,
                    rows.0,
                    rows.1,
                    target,
                    output.layout().width,
                )
            }
        }
        // SAFETY: the plane is this task's alone.
        unsafe { output.zero_padding(image, plane, 0..output.layout().height) }
    }
}

per_isa! {
    /// Combines `blocks` blocks.
    fn combine_row(combine: Combine, a: *const f32, b: *const f32, target: *mut f32, blocks: usize) = row_body
}

/// # Safety
/// `a`, `b` and `target` hold `blocks` blocks; `target` is one of the operands or apart from both, and no other thread
/// touches it; the CPU has the level of `V`.
#[inline(always)]
unsafe fn row_body<V: Vector16>(
    combine: Combine,
    a: *const f32,
    b: *const f32,
    target: *mut f32,
    blocks: usize,
) {
    for place in (0..blocks * BLOCK).step_by(BLOCK) {
        // SAFETY: the caller guarantees the blocks and the level.
        unsafe {
            let (a, b) = (V::load(a.add(place)), V::load(b.add(place)));
            let value = match combine {
                Combine::Add => a.add(b),
                Combine::Subtract => a.sub(b),
                Combine::Multiply => a.mul(b),
            };
            value.store(target.add(place));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::MapLayout;
    use crate::kernels::testing::{Map, random};

    #[test]
    fn values_are_combined_and_padding_is_zero() {
        let layout = MapLayout::new(20, 3, 5, 1);
        let (x, y) = (random(2 * 20 * 15, 1), random(2 * 20 * 15, 2));
        let (a, b) = (Map::filled(layout, 2, &x), Map::filled(layout, 2, &y));
        for isa in Isa::available() {
            for combine in [Combine::Add, Combine::Subtract, Combine::Multiply] {
                let kernel = Elementwise::new(isa, combine);
                let mut output = Map::dirty(layout, 2);
                for task in 0..kernel.tasks(layout.planes(), 2) {
                    // SAFETY: the extents are the same.
                    unsafe { kernel.run(a.view(), b.view(), output.view_mut(), task) }
                }
                output.check_padding();
                let expected: Vec<f32> = std::iter::zip(&x, &y)
                    .map(|(a, b)| match combine {
                        Combine::Add => a + b,
                        Combine::Subtract => a - b,
                        Combine::Multiply => a * b,
                    })
                    .collect();
                assert_eq!(output.to_dense(), expected, "{}", kernel.name());
            }
        }
    }
}
