//! Nearest-neighbour enlargement of a blocked map by a whole factor: every pixel becomes a square.

use super::element::{Lanes, with_element};
use super::layout::{Element, MapLayout, MapMut, MapView};

/// An enlargement; a task is one plane of one image.
#[derive(Clone, Copy, Debug)]
pub struct Upsample {
    factor: usize,
}

impl Upsample {
    /// Enlarges both sides `factor` times, which is at least 1.
    pub fn new(factor: usize) -> Self {
        Upsample {
            factor: factor.max(1),
        }
    }

    /// The kernel's name in listings, on maps of type `element`.
    pub fn name(&self, element: Element) -> &'static str {
        match element {
            Element::F32 => "upsample_f32_blocked_portable",
            Element::Bf16 => "upsample_bf16_blocked_portable",
        }
    }

    /// Tasks for `batch` images of a map of `planes` planes.
    pub fn tasks(&self, planes: usize, batch: usize) -> usize {
        planes * batch
    }

    /// Does task `task`.
    ///
    /// # Safety
    /// The views are valid, the output is `factor` times as high and wide and has as many planes and the same type; other threads run
    /// other tasks only; the maps do not overlap.
    pub unsafe fn run(&self, input: MapView, output: MapMut, task: usize) {
        let planes = output.layout().planes();
        let (image, plane) = (task / planes, task % planes);
        let MapLayout { height, width, .. } = *input.layout();
        let block = output.layout().block_words();
        for y in 0..height {
            // SAFETY: the rows lie within the maps.
            unsafe {
                let source = input.pixel(image, plane, y as isize, 0);
                let first = output.pixel(image, plane, (y * self.factor) as isize, 0);
                with_element!(output.layout().element, |Values| self
                    .widen_row::<Values>(source, first, width));
                for copy in 1..self.factor {
                    let row = output.pixel(image, plane, (y * self.factor + copy) as isize, 0);
                    row.copy_from_nonoverlapping(first, width * self.factor * block);
                }
            }
        }
        // SAFETY: the plane is this task's alone.
        unsafe { output.zero_padding(image, plane, 0..output.layout().height) }
    }

    /// # Safety
    /// `source` is a row of `width` pixels, `target` one of `factor` times as many.
    #[inline(always)]
    unsafe fn widen_row<L: Lanes>(&self, source: *const f32, target: *mut f32, width: usize) {
        for x in 0..width {
            for copy in 0..self.factor {
                let place = (x * self.factor + copy) * L::WORDS;
                // SAFETY: the caller guarantees both pixels.
                unsafe {
                    target
                        .add(place)
                        .copy_from_nonoverlapping(source.add(x * L::WORDS), L::WORDS);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{Map, random_of};

    #[test]
    fn every_pixel_becomes_a_square() {
        for element in [Element::F32, Element::Bf16] {
            check(element);
        }
    }

    fn check(element: Element) {
        for (channels, height, width, factor) in [(3, 2, 5, 2), (20, 4, 3, 1), (16, 1, 1, 3)] {
            let layout = MapLayout::new(channels, height, width, 1).of(element);
            let enlarged = MapLayout::new(channels, height * factor, width * factor, 1).of(element);
            let dense = random_of(element, 2 * channels * height * width, 1);
            let (input, mut output) = (Map::filled(layout, 2, &dense), Map::dirty(enlarged, 2));
            let upsample = Upsample::new(factor);
            for task in 0..upsample.tasks(layout.planes(), 2) {
                // SAFETY: the extents fit.
                unsafe { upsample.run(input.view(), output.view_mut(), task) }
            }
            output.check_padding();
            for (place, value) in output.to_dense().into_iter().enumerate() {
                let (x, row) = (place % enlarged.width, place / enlarged.width);
                let (y, plane) = (row % enlarged.height, row / enlarged.height);
                assert_eq!(
                    value,
                    dense[(plane * height + y / factor) * width + x / factor]
                );
            }
        }
    }
}
