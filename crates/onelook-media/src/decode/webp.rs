//! WebP bytes in, RGB pixels out; of an animation the first frame.

use std::io::Cursor;

use image_webp::{DecodingError, WebPDecoder};

use super::orientation::Orientation;
use super::{DecodeError, Picture, drop_alpha};
use crate::{Limits, PictureFormat};

const FORMAT: PictureFormat = PictureFormat::WebP;

pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Picture, DecodeError> {
    if let Some((width, height)) = canvas(bytes) {
        limits.check(FORMAT, width, height)?;
    }
    let mut decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(refuse)?;
    let (width, height) = decoder.dimensions();
    limits.check(FORMAT, width.into(), height.into())?;
    if claimed_length(bytes) > Some(bytes.len() as u64) {
        return Err(DecodeError::corrupt(
            FORMAT,
            "it is shorter than its header says",
        ));
    }
    decoder.set_memory_limit(bytes.len());
    let orientation = match decoder.exif_metadata() {
        Ok(Some(exif)) => Orientation::from_exif(&exif),
        _ => Orientation::UPRIGHT,
    };
    let length = decoder
        .output_buffer_size()
        .ok_or_else(|| DecodeError::unsupported(FORMAT, "its size"))?;
    let mut pixels = vec![0; length];
    decoder.read_image(&mut pixels).map_err(refuse)?;
    let rgb = if decoder.has_alpha() {
        drop_alpha(pixels)
    } else {
        pixels
    };
    Ok(Picture {
        width: width as usize,
        height: height as usize,
        rgb,
        orientation,
    })
}

/// The size in an extended header, which the decoder would refuse without naming it.
fn canvas(bytes: &[u8]) -> Option<(u64, u64)> {
    if bytes.get(12..16)? != b"VP8X" {
        return None;
    }
    let side = |at: usize| {
        let bytes = bytes.get(at..at + 3)?;
        Some(u64::from(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0])) + 1)
    };
    Some((side(24)?, side(27)?))
}

/// The decoder fills a lossy stream that ends early with zeros, so that the length has to be asked
/// of the container.
fn claimed_length(bytes: &[u8]) -> Option<u64> {
    let length = bytes.get(4..8)?.try_into().ok()?;
    Some(u64::from(u32::from_le_bytes(length)) + 8)
}

fn refuse(error: DecodingError) -> DecodeError {
    match error {
        DecodingError::UnsupportedFeature(what) => DecodeError::unsupported(FORMAT, what),
        other => DecodeError::corrupt(FORMAT, other),
    }
}
