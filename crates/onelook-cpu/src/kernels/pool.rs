//! Max pooling of a blocked map, any window and stride; what lies outside the image counts as minus infinity.
//!
//! ```text
//! for each plane p, row y, pixel x:
//!     output[p][y][x] = max of input[p] over the window's part inside the image
//! ```

use super::element::{Lanes, map_kernel_name, with_element};
use super::layout::{Element, MapLayout, MapMut, MapView};
use super::{KernelError, share};
use crate::isa::{Isa, Vector16, per_isa};
use std::ops::Range;

const KERNEL: &str = "max_pool_f32_blocked";

/// A max pool for given extents.
#[derive(Clone, Copy, Debug)]
pub struct MaxPool {
    isa: Isa,
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
    input: MapLayout,
    row_parts: usize,
}

/// Below this many vector operations a task is not cut further.
const TASK_VECTORS: usize = 20_000;

impl MaxPool {
    /// The plan; `padding` is what lies above and left.
    pub fn new(
        isa: Isa,
        kernel: [usize; 2],
        stride: [usize; 2],
        padding: [usize; 2],
        [input, output]: [MapLayout; 2],
        threads: usize,
    ) -> Result<Self, KernelError> {
        let refuse = |reason: &str| Err(KernelError::new(KERNEL, reason));
        if (input.channels, input.element) != (output.channels, output.element)
            || output.pixels() == 0
            || stride.contains(&0)
        {
            return refuse("the maps do not fit each other");
        }
        for (axis, extent, outputs) in [
            (0, input.height, output.height),
            (1, input.width, output.width),
        ] {
            if padding[axis] >= kernel[axis]
                || (outputs - 1) * stride[axis] >= extent + padding[axis]
            {
                return refuse("a window lies outside the image");
            }
        }
        let work = kernel[0] * kernel[1] * output.pixels();
        let row_parts = if threads > 1 {
            (work / TASK_VECTORS).clamp(1, threads.min(output.height))
        } else {
            1
        };
        Ok(MaxPool {
            isa,
            kernel,
            stride,
            padding,
            input,
            row_parts,
        })
    }

    /// The kernel's name in listings, on maps of type `element`.
    pub fn name(&self, element: Element) -> &'static str {
        map_kernel_name!(self.isa, element, "max_pool")
    }

    /// Tasks for `batch` images: some rows of one plane each.
    pub fn tasks(&self, batch: usize) -> usize {
        self.row_parts * self.input.planes() * batch
    }

    /// Does task `task`.
    ///
    /// # Safety
    /// The views are valid and have the plan's extents; other threads run other tasks only; the maps do not overlap.
    pub unsafe fn run(&self, input: MapView, output: MapMut, task: usize) {
        let (part, task) = (task % self.row_parts, task / self.row_parts);
        let (plane, image) = (task % self.input.planes(), task / self.input.planes());
        let rows = share(output.layout().height, self.row_parts, part);
        for y in rows.clone() {
            let window = self.inside(0, y, self.input.height);
            // SAFETY: the window and the row lie within the maps.
            unsafe {
                let source = input.pixel(image, plane, window.start as isize, 0);
                let target = output.pixel(image, plane, y as isize, 0);
                pool_row(
                    self.isa,
                    self,
                    source,
                    window.len(),
                    target,
                    output.layout().width,
                );
            }
        }
        // SAFETY: these rows of the plane are this task's alone.
        unsafe { output.zero_padding(image, plane, rows) }
    }

    /// The part of a window that lies inside the image.
    #[inline(always)]
    fn inside(&self, axis: usize, place: usize, extent: usize) -> Range<usize> {
        let start = place * self.stride[axis];
        let end = (start + self.kernel[axis] - self.padding[axis]).min(extent);
        start.saturating_sub(self.padding[axis])..end
    }
}

per_isa! {
    /// One output row from `rows` input rows that start at `source`.
    fn pool_row(pool: &MaxPool, source: *const f32, rows: usize, target: *mut f32, pixels: usize) = row_body
}

/// # Safety
/// `source` has `rows` input rows of the plan's width and `target` an output row of `pixels` pixels, which no other
/// thread touches; the CPU has the level of `V`.
#[inline(always)]
unsafe fn row_body<V: Vector16>(
    pool: &MaxPool,
    source: *const f32,
    rows: usize,
    target: *mut f32,
    pixels: usize,
) {
    // SAFETY: the caller guarantees the rows and the level.
    with_element!(pool.input.element, |Values| unsafe {
        typed_row::<V, Values>(pool, source, rows, target, pixels)
    });
}

/// # Safety
/// As [`row_body`], for maps of the type `L`.
#[inline(always)]
unsafe fn typed_row<V: Vector16, L: Lanes>(
    pool: &MaxPool,
    source: *const f32,
    rows: usize,
    target: *mut f32,
    pixels: usize,
) {
    for x in 0..pixels {
        let window = pool.inside(1, x, pool.input.width);
        // SAFETY: the caller guarantees `rows` input rows and one output row; `inside` keeps the window's columns within
        // the input's width.
        unsafe {
            let mut largest = V::splat(f32::NEG_INFINITY);
            for row in 0..rows {
                let source = source.add(row * pool.input.row_words());
                for column in window.clone() {
                    largest = largest.max(L::load(source.add(column * L::WORDS)));
                }
            }
            L::store(largest, target.add(x * L::WORDS));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{CASES, Map, elements, random};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(CASES))]

        #[test]
        fn any_window_agrees_with_the_textbook(
            channels in 1usize..40,
            kernel in [1usize..6, 1usize..6],
            stride in [1usize..3, 1usize..3],
            extra in [0usize..9, 0usize..9],
            pads in [0usize..2, 0usize..3],
            element in elements(),
        ) {
            let padding = [kernel[0] / 2, kernel[1] / 2];
            let [height, width] = [kernel[0] + extra[0], kernel[1] + extra[1]];
            let extent = |axis: usize, input: usize| (input + 2 * padding[axis] - kernel[axis]) / stride[axis] + 1;
            let (rows, columns) = (extent(0, height), extent(1, width));
            let input_layout = MapLayout::new(channels, height, width, pads[0]).of(element);
            let layout = MapLayout::new(channels, rows, columns, pads[1]).of(element);
            // All below zero, so that padding taken for zero would show.
            let values: Vec<f32> = random(2 * channels * height * width, 3).iter().map(|x| element.rounded(x - 2.0)).collect();
            let mut truth = Vec::new();
            for plane in 0..2 * channels {
                for (y, x) in (0..rows).flat_map(|y| (0..columns).map(move |x| (y, x))) {
                    let mut largest = f32::NEG_INFINITY;
                    for (ky, kx) in (0..kernel[0]).flat_map(|ky| (0..kernel[1]).map(move |kx| (ky, kx))) {
                        let (row, column) = (y * stride[0] + ky, x * stride[1] + kx);
                        if row >= padding[0] && column >= padding[1] && row - padding[0] < height && column - padding[1] < width {
                            largest = largest.max(values[(plane * height + row - padding[0]) * width + column - padding[1]]);
                        }
                    }
                    truth.push(largest);
                }
            }
            let input = Map::filled(input_layout, 2, &values);
            for (isa, threads) in Isa::available().into_iter().flat_map(|isa| [(isa, 1), (isa, 9)]) {
                let pool = MaxPool::new(isa, kernel, stride, padding, [input_layout, layout], threads).unwrap();
                let mut output = Map::dirty(layout, 2);
                for task in 0..pool.tasks(2) {
                    // SAFETY: the extents are the plan's.
                    unsafe { pool.run(input.view(), output.view_mut(), task) }
                }
                output.check_padding();
                prop_assert!(output.to_dense() == truth);
            }
        }
    }
}
