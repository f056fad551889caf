//! Squares of pixels out of the channels of a pixel, on blocked maps.
//!
//! ```text
//! output[c, y·b + dy, x·b + dx] = input[(dy·b + dx)·channels + c, y, x]
//! ```
//!
//! Where the channels fill whole blocks, blocks are copied; else channel by channel.

use super::element::{Lanes, with_element};
use super::layout::{BLOCK, Element, MapLayout, MapMut, MapView};
use crate::isa::{Portable, Vector16};

/// The rearrangement; a task is one output plane of one image.
#[derive(Clone, Copy, Debug)]
pub struct DepthToSpace {
    block: usize,
}

impl DepthToSpace {
    /// Makes squares of `block` pixels a side, which is at least 1.
    pub fn new(block: usize) -> Self {
        DepthToSpace {
            block: block.max(1),
        }
    }

    /// The kernel's name in listings, on maps of type `element`.
    pub fn name(&self, element: Element) -> &'static str {
        match element {
            Element::F32 => "depth_to_space_f32_blocked_portable",
            Element::Bf16 => "depth_to_space_bf16_blocked_portable",
        }
    }

    /// Tasks for `batch` images of an output of `planes` planes.
    pub fn tasks(&self, planes: usize, batch: usize) -> usize {
        planes * batch
    }

    /// Does task `task`.
    ///
    /// # Safety
    /// The views are valid, the output is `block` times as high and wide, the input has `block * block` times its
    /// channels; other threads run other tasks only; the maps do not overlap.
    pub unsafe fn run(&self, input: MapView, output: MapMut, task: usize) {
        let MapLayout {
            channels, height, ..
        } = *output.layout();
        let planes = output.layout().planes();
        let (image, plane) = (task / planes, task % planes);
        for y in 0..height {
            for dx in 0..self.block {
                let first = (y % self.block * self.block + dx) * channels + plane * BLOCK;
                let filled = BLOCK.min(channels - plane * BLOCK);
                let row = (y / self.block) as isize;
                // SAFETY: input channels from `first` on, `filled` of them, are those of an output block; the rows
                // lie within the maps.
                unsafe {
                    let target = output.pixel(image, plane, y as isize, dx as isize);
                    if first.is_multiple_of(BLOCK) && filled == BLOCK {
                        let source = input.pixel(image, first / BLOCK, row, 0);
                        let width = input.layout().width;
                        with_element!(output.layout().element, |Values| self
                            .copy_blocks::<Values>(source, target, width));
                    } else {
                        with_element!(output.layout().element, |Values| self
                            .copy_channels::<Values>(input, (image, row), first, filled, target));
                    }
                }
            }
        }
        // SAFETY: the plane is this task's alone.
        unsafe { output.zero_padding(image, plane, 0..height) }
    }

    /// # Safety
    /// `source` is a row of `width` pixels, `target` the first of as many, `self.block` pixels apart.
    unsafe fn copy_blocks<L: Lanes>(&self, source: *const f32, target: *mut f32, width: usize) {
        for x in 0..width {
            // SAFETY: the caller guarantees both pixels.
            unsafe {
                let place = target.add(x * self.block * L::WORDS);
                place.copy_from_nonoverlapping(source.add(x * L::WORDS), L::WORDS);
            }
        }
    }

    /// # Safety
    /// As for [`copy_blocks`](Self::copy_blocks), of input channels `first..first + filled` in that row of that image.
    unsafe fn copy_channels<L: Lanes>(
        &self,
        input: MapView,
        (image, row): (usize, isize),
        first: usize,
        filled: usize,
        target: *mut f32,
    ) {
        for x in 0..input.layout().width {
            let mut block = [0.0; BLOCK];
            for (lane, value) in block.iter_mut().enumerate().take(filled) {
                let channel = first + lane;
                let pixel = input.pixel(image, channel / BLOCK, row, x as isize);
                // SAFETY: the caller guarantees that the input has this channel.
                *value = unsafe { L::get(pixel, channel % BLOCK) };
            }
            // SAFETY: the caller guarantees the target's pixels.
            unsafe {
                let place = target.add(x * self.block * L::WORDS);
                L::store(Portable::load(block.as_ptr()), place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{Map, random_of};

    #[test]
    fn channels_become_pixels() {
        for (channels, height, width, block) in
            [(3, 2, 5, 2), (20, 4, 3, 2), (32, 3, 2, 2), (5, 1, 1, 3)]
        {
            for element in [Element::F32, Element::Bf16] {
                check(channels, height, width, block, element);
            }
        }
    }

    fn check(channels: usize, height: usize, width: usize, block: usize, element: Element) {
        {
            let depth = channels * block * block;
            let layout = MapLayout::new(depth, height, width, 1).of(element);
            let larger = MapLayout::new(channels, height * block, width * block, 1).of(element);
            let dense = random_of(element, 2 * depth * height * width, 1);
            let (input, mut output) = (Map::filled(layout, 2, &dense), Map::dirty(larger, 2));
            let kernel = DepthToSpace::new(block);
            for task in 0..kernel.tasks(larger.planes(), 2) {
                // SAFETY: the extents fit.
                unsafe { kernel.run(input.view(), output.view_mut(), task) }
            }
            output.check_padding();
            for (place, value) in output.to_dense().into_iter().enumerate() {
                let (x, row) = (place % larger.width, place / larger.width);
                let (y, plane) = (row % larger.height, row / larger.height);
                let (image, channel) = (plane / channels, plane % channels);
                let pixel = y % block * block + x % block;
                let source = image * depth + pixel * channels + channel;
                assert_eq!(
                    value,
                    dense[(source * height + y / block) * width + x / block]
                );
            }
        }
    }
}
