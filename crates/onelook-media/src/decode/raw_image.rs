//! What a decoder gives: RGB pixels in the order of the file, and the ways to get there.

use super::orientation::Orientation;

/// Pixels as they lie in the file, and how to turn them upright.
pub(super) struct RawImage {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) rgb: Vec<u8>,
    pub(super) orientation: Orientation,
    /// Whether the file lacks what its format puts after the pixels.
    pub(super) missing_end: bool,
}

/// Repeats each grey value three times.
pub(super) fn rgb_from_grey(grey: impl ExactSizeIterator<Item = u8>) -> Vec<u8> {
    let mut rgb = Vec::with_capacity(grey.len() * 3);
    for value in grey {
        rgb.extend_from_slice(&[value; 3]);
    }
    rgb
}

/// Keeps the first three of every four bytes, in place.
pub(super) fn drop_alpha(mut rgba: Vec<u8>) -> Vec<u8> {
    let pixels = rgba.len() / 4;
    for pixel in 0..pixels {
        rgba.copy_within(pixel * 4..pixel * 4 + 3, pixel * 3);
    }
    rgba.truncate(pixels * 3);
    rgba
}
