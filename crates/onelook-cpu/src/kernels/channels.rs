//! Channels of blocked maps joined or cut where they do not start on a block.
//!
//! ```text
//! for each channel c of the target plane: target[c] = source that holds channel first + c
//! ```
//!
//! Whole blocks never come here: they are views. What does are maps of 8, 24 or 40 channels.

use super::layout::{BLOCK, MapLayout, MapMut, MapView};

/// The kernel's name in listings.
pub fn name() -> &'static str {
    "channels_f32_blocked_portable"
}

/// Fills plane `plane` of `target` with channels `first + 16 * plane …` of the joined sources, each
/// given with its first channel.
///
/// # Safety
/// The views are valid and of equal height and width, the target overlaps no source, and other
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
            target.pixel(0, plane, y, 0).write_bytes(0, width * BLOCK);
        }
        for (source, start) in sources {
            for lane in 0..kept {
                let wanted = first + plane * BLOCK + lane;
                let Some(channel) = wanted.checked_sub(start) else {
                    continue;
                };
                if channel < source.layout().channels {
                    copy_channel(source, channel, target, plane, lane);
                }
            }
        }
        target.zero_padding(0, plane, 0..height);
    }
}

/// # Safety
/// As [`gather_plane`].
unsafe fn copy_channel(source: MapView, channel: usize, target: MapMut, plane: usize, lane: usize) {
    let MapLayout { height, width, .. } = *target.layout();
    for y in 0..height as isize {
        let from = source
            .pixel(0, channel / BLOCK, y, 0)
            .wrapping_add(channel % BLOCK);
        let to = target.pixel(0, plane, y, 0).wrapping_add(lane);
        for x in 0..width {
            // SAFETY: the rows lie within the maps.
            unsafe { *to.add(x * BLOCK) = *from.add(x * BLOCK) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{Map, random};

    #[test]
    fn odd_channels_are_joined_in_order() {
        let (a, b) = (MapLayout::new(8, 2, 3, 0), MapLayout::new(20, 2, 3, 1));
        let (dense_a, dense_b) = (random(8 * 6, 1), random(20 * 6, 2));
        let (from_a, from_b) = (Map::filled(a, 1, &dense_a), Map::filled(b, 1, &dense_b));
        let mut whole = Map::dirty(MapLayout::new(28, 2, 3, 1), 1);
        for plane in 0..2 {
            let sources = [(from_a.view(), 0), (from_b.view(), 8)].into_iter();
            // SAFETY: the extents fit.
            unsafe { gather_plane(sources, whole.view_mut(), 0, plane) };
        }
        assert_eq!(whole.to_dense(), [dense_a, dense_b].concat());
    }
}
