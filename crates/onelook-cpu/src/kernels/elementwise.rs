//! Two blocked maps combined value by value.

use super::element::{Element, Lanes, map_kernel_name, with_element};
use super::layout::{MapMut, MapView};
use crate::isa::{Isa, Vector16, per_isa};

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

    /// The kernel's name in listings, on maps of type `element`.
    pub fn name(&self, element: Element) -> &'static str {
        match self.combine {
            Combine::Add => map_kernel_name!(self.isa, element, "add"),
            Combine::Subtract => map_kernel_name!(self.isa, element, "sub"),
            Combine::Multiply => map_kernel_name!(self.isa, element, "mul"),
        }
    }

    /// Tasks for `batch` images of `planes` planes.
    pub fn tasks(&self, planes: usize, batch: usize) -> usize {
        planes * batch
    }

    /// Does task `task`; the output may be one of the inputs.
    ///
    /// # Safety
    /// The views are valid and have the same extents and type but for padding; other threads run other tasks only.
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
                    output.layout().element,
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
    fn combine_row(combine: Combine, element: Element, a: *const f32, b: *const f32, target: *mut f32, blocks: usize) = row_body
}

/// # Safety
/// `a`, `b` and `target` hold `blocks` blocks; `target` is one of the operands or apart from both, and no other thread
/// touches it; the CPU has the level of `V`.
#[inline(always)]
unsafe fn row_body<V: Vector16>(
    combine: Combine,
    element: Element,
    a: *const f32,
    b: *const f32,
    target: *mut f32,
    blocks: usize,
) {
    with_element!(
        element,
        |Values| for place in (0..blocks * Values::WORDS).step_by(Values::WORDS) {
            // SAFETY: the caller guarantees the blocks and the level.
            unsafe {
                let (a, b): (V, V) = (Values::load(a.add(place)), Values::load(b.add(place)));
                let value = match combine {
                    Combine::Add => a.add(b),
                    Combine::Subtract => a.sub(b),
                    Combine::Multiply => a.mul(b),
                };
                Values::store(value, target.add(place));
            }
        }
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::MapLayout;
    use crate::kernels::testing::{Map, random_of};

    #[test]
    fn values_are_combined_and_padding_is_zero() {
        for element in [Element::F32, Element::Bf16] {
            check(element);
        }
    }

    fn check(element: Element) {
        let layout = MapLayout::new(20, 3, 5, 1).of(element);
        let values = |seed| random_of(element, 2 * 20 * 15, seed);
        let (x, y) = (values(1), values(2));
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
                    .map(|value| element.rounded(value))
                    .collect();
                assert_eq!(output.to_dense(), expected, "{}", kernel.name(element));
            }
        }
    }
}
