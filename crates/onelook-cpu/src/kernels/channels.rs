//! Channels of blocked maps joined or cut where they do not start on a block.
//!
//! ```text
//! for each channel c of the target plane: target[c] = source that holds channel first + c
//! ```
//!
//! Whole blocks never come here: they are views. What does are maps of 8, 24 or 40 channels.

use super::element::{Lanes, with_element};
use super::layout::{BLOCK, Element, MapLayout, MapMut, MapView};

/// The kernel's name in listings, on maps of type `element`.
pub fn name(element: Element) -> &'static str {
    match element {
        Element::F32 => "channels_f32_blocked_portable",
        Element::Bf16 => "channels_bf16_blocked_portable",
    }
}

/// Fills plane `plane` of `target` with channels `first + 16 * plane …` of the joined sources, each
/// given with its first channel.
///
/// # Safety
/// The views are valid and of equal height, width and type, the target overlaps no source, and other
/// threads write other planes only.
pub unsafe fn gather_plane(
    sources: impl Iterator<Item = (MapView, usize)>,
    target: MapMut,
    first: usize,
    plane: usize,
) {
    let MapLayout {
        channels,
        height,
        width,
        ..
    } = *target.layout();
    let kept = (channels - plane * BLOCK).min(BLOCK);
    // SAFETY: the rows lie within the maps.
    unsafe {
        for y in 0..height as isize {
            target
                .pixel(0, plane, y, 0)
                .write_bytes(0, width * target.layout().block_words());
        }
        for (source, start) in sources {
            for lane in 0..kept {
                let wanted = first + plane * BLOCK + lane;
                let Some(channel) = wanted.checked_sub(start) else {
                    continue;
                };
                if channel < source.layout().channels {
                    with_element!(target.layout().element, |Values| copy_channel::<Values>(
                        source, channel, target, plane, lane
                    ));
                }
            }
        }
        target.zero_padding(0, plane, 0..height);
    }
}

/// # Safety
/// As [`gather_plane`].
unsafe fn copy_channel<L: Lanes>(
    source: MapView,
    channel: usize,
    target: MapMut,
    plane: usize,
    lane: usize,
) {
    let MapLayout { height, width, .. } = *target.layout();
    for y in 0..height as isize {
        let from = source.pixel(0, channel / BLOCK, y, 0);
        let to = target.pixel(0, plane, y, 0);
        for x in 0..width {
            // SAFETY: the rows lie within the maps.
            unsafe {
                let value = L::get(from.add(x * L::WORDS), channel % BLOCK);
                L::set(to.add(x * L::WORDS), lane, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{Map, random_of};

    #[test]
    fn odd_channels_are_joined_in_order() {
        for element in [Element::F32, Element::Bf16] {
            check(element);
        }
    }

    fn check(element: Element) {
        let a = MapLayout::new(8, 2, 3, 0).of(element);
        let b = MapLayout::new(20, 2, 3, 1).of(element);
        let (dense_a, dense_b) = (random_of(element, 8 * 6, 1), random_of(element, 20 * 6, 2));
        let (from_a, from_b) = (Map::filled(a, 1, &dense_a), Map::filled(b, 1, &dense_b));
        let mut whole = Map::dirty(MapLayout::new(28, 2, 3, 1).of(element), 1);
        for plane in 0..2 {
            let sources = [(from_a.view(), 0), (from_b.view(), 8)].into_iter();
            // SAFETY: the extents fit.
            unsafe { gather_plane(sources, whole.view_mut(), 0, plane) };
        }
        assert_eq!(whole.to_dense(), [dense_a, dense_b].concat());
    }
}
