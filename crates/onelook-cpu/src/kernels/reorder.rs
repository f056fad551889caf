//! Between plain planes, `[batch][channel][y][x]`, and blocked maps.
//!
//! A task is one plane of one image: 16 channels, or what is left of them. Into a map, unused channels and the
//! padding become zero.

use super::element::{Lanes, with_element};
use super::layout::{BLOCK, MapLayout, MapMut, MapView};
use crate::isa::{Portable, Vector16};

/// Pixels that are turned at once: a block of 16 × 16 floats stays in registers and L1.
const STRIP: usize = 16;

/// Tasks of either direction.
pub fn tasks(layout: &MapLayout, batch: usize) -> usize {
    layout.planes() * batch
}

/// The kernels' name in listings.
pub fn name() -> &'static str {
    "reorder_f32_portable"
}

/// Fills plane `task` of the map from plain planes, whose images lie `image_floats` apart.
///
/// # Safety
/// The view is valid, `dense` has all channels of all images, and other threads run other tasks only.
pub unsafe fn run_to_blocked(dense: *const f32, image_floats: usize, map: MapMut, task: usize) {
    let MapLayout {
        channels,
        height,
        width,
        ..
    } = *map.layout();
    let (image, plane) = (task / map.layout().planes(), task % map.layout().planes());
    let kept = (channels - plane * BLOCK).min(BLOCK);
    for y in 0..height {
        // SAFETY: the rows lie within the planes and the map.
        unsafe {
            let source = dense.add(image * image_floats + (plane * BLOCK * height + y) * width);
            let target = map.pixel(image, plane, y as isize, 0);
            for first in (0..width).step_by(STRIP) {
                let pixels = (width - first).min(STRIP);
                let mut strip = [[0.0f32; BLOCK]; STRIP];
                for lane in 0..kept {
                    let source = source.add(lane * height * width + first);
                    for (x, block) in strip.iter_mut().enumerate().take(pixels) {
                        block[lane] = *source.add(x);
                    }
                }
                with_element!(map.layout().element, |Values| for (x, block) in
                    strip.iter().enumerate().take(pixels)
                {
                    let place = target.add((first + x) * Values::WORDS);
                    Values::store(Portable::load(block.as_ptr()), place);
                });
            }
        }
    }
    // SAFETY: the plane is this task's alone.
    unsafe { map.zero_padding(image, plane, 0..height) }
}

/// Fills the plain planes of plane `task` of the map; images lie `image_floats` apart.
///
/// # Safety
/// The view is valid, `dense` has room for all channels of all images, and other threads run other tasks only.
pub unsafe fn run_to_dense(map: MapView, dense: *mut f32, image_floats: usize, task: usize) {
    let MapLayout {
        channels,
        height,
        width,
        ..
    } = *map.layout();
    let (image, plane) = (task / map.layout().planes(), task % map.layout().planes());
    let kept = (channels - plane * BLOCK).min(BLOCK);
    for y in 0..height {
        // SAFETY: the rows lie within the map and the planes.
        unsafe {
            let source = map.pixel(image, plane, y as isize, 0);
            let target = dense.add(image * image_floats + (plane * BLOCK * height + y) * width);
            for first in (0..width).step_by(STRIP) {
                let pixels = (width - first).min(STRIP);
                let mut strip = [[0.0f32; STRIP]; BLOCK];
                with_element!(map.layout().element, |Values| for x in 0..pixels {
                    let block = source.add((first + x) * Values::WORDS);
                    for (lane, row) in strip.iter_mut().enumerate() {
                        row[x] = Values::get(block, lane);
                    }
                });
                for (lane, row) in strip.iter().enumerate().take(kept) {
                    let target = target.add(lane * height * width + first);
                    target.copy_from_nonoverlapping(row.as_ptr(), pixels);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::kernels::testing::{Map, random_of};
    use crate::kernels::{Element, MapLayout};

    #[test]
    fn there_and_back_is_the_same() {
        for (channels, height, width, pad) in [(3, 5, 7, 0), (16, 4, 33, 1), (35, 6, 16, 2)] {
            for element in [Element::F32, Element::Bf16] {
                let layout = MapLayout::new(channels, height, width, pad).of(element);
                let dense = random_of(element, 2 * channels * height * width, 1);
                let map = Map::filled(layout, 2, &dense);
                map.check_padding();
                assert_eq!(map.to_dense(), dense);
            }
        }
    }
}
