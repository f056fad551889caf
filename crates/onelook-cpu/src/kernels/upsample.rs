//! Nearest-neighbour enlargement of a blocked map by a whole factor: every pixel becomes a square.

use super::layout::{BLOCK, MapLayout, MapMut, MapView};

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

    /// The kernel's name in listings.
    pub fn name(&self) -> &'static str {
        "upsample_f32_blocked_portable"
    }

    /// Tasks for `batch` images of a map of `planes` planes.
    pub fn tasks(&self, planes: usize, batch: usize) -> usize {
        planes * batch
    }

    /// Does task `task`.
    ///
    /// # Safety
    /// The views are valid, the output is `factor` times as high and wide and has as many planes; other threads run
    /// other tasks only; the maps do not overlap.
    pub unsafe fn run(&self, input: MapView, output: MapMut, task: usize) {
        let planes = output.layout().planes();
        let (image, plane) = (task / planes, task % planes);
        let MapLayout { height, width, .. } = *input.layout();
        for y in 0..height {
            // SAFETY: the rows lie within the maps.
            unsafe {
                let source = input.pixel(image, plane, y as isize, 0);
                let first = output.pixel(image, plane, (y * self.factor) as isize, 0);
                for x in 0..width {
                    let block = source.add(x * BLOCK).cast::<[f32; BLOCK]>().read();
                    for copy in 0..self.factor {
                        first
                            .add((x * self.factor + copy) * BLOCK)
                            .cast::<[f32; BLOCK]>()
                            .write(block);
                    }
                }
                for copy in 1..self.factor {
                    let row = output.pixel(image, plane, (y * self.factor + copy) as isize, 0);
                    row.copy_from_nonoverlapping(first, width * self.factor * BLOCK);
                }
            }
        }
        // SAFETY: the plane is this task's alone.
        unsafe { output.zero_padding(image, plane, 0..output.layout().height) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{Map, random};

    #[test]
    fn every_pixel_becomes_a_square() {
        for (channels, height, width, factor) in [(3, 2, 5, 2), (20, 4, 3, 1), (16, 1, 1, 3)] {
            let layout = MapLayout::new(channels, height, width, 1);
            let enlarged = MapLayout::new(channels, height * factor, width * factor, 1);
            let dense = random(2 * channels * height * width, 1);
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
