//! WebP bytes in, RGB pixels out; of an animation the first frame.

use std::io::Cursor;

use image_webp::{DecodingError, WebPDecoder};

use super::orientation::Orientation;
use super::raw_image::{RawImage, drop_alpha};
use crate::{DecodeError, ImageFormat, Limits};

const FORMAT: ImageFormat = ImageFormat::WebP;
/// Bytes before the chunks within an animation's frame.
const FRAME_HEADER: usize = 16;

pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<RawImage, DecodeError> {
    check_chunks(bytes.get(12..).unwrap_or_default(), limits)?;
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
    Ok(RawImage {
        width: width as usize,
        height: height as usize,
        rgb,
        orientation,
    })
}

/// Each chunk that has a size of its own is held against the limits: the decoder believes them one
/// by one.
fn check_chunks(mut chunks: &[u8], limits: &Limits) -> Result<(), DecodeError> {
    while let Some((head, payload_and_rest)) = chunks.split_at_checked(8) {
        let (name, length) = head.split_at(4);
        let length = u32::from_le_bytes([length[0], length[1], length[2], length[3]]) as usize;
        let payload = &payload_and_rest[..length.min(payload_and_rest.len())];
        if let Some((width, height)) = claimed_size(name, payload) {
            limits.check(FORMAT, width.into(), height.into())?;
        }
        let next = match name {
            // Its chunks follow, as if they stood outside.
            b"ANMF" => FRAME_HEADER,
            _ => length.saturating_add(length % 2),
        };
        chunks = payload_and_rest.get(next..).unwrap_or_default();
    }
    Ok(())
}

/// Width and height in an extended header or at the head of a lossy stream.
fn claimed_size(name: &[u8], payload: &[u8]) -> Option<(u32, u32)> {
    let side = |low, middle, high| u32::from_le_bytes([low, middle, high, 0]);
    match name {
        b"VP8X" => {
            let sides = payload.get(4..10)?;
            Some((
                side(sides[0], sides[1], sides[2]) + 1,
                side(sides[3], sides[4], sides[5]) + 1,
            ))
        }
        b"VP8 " => {
            let sides = payload.get(6..10)?;
            let lossy_side = |low, high| side(low, high, 0) & 0x3fff;
            Some((
                lossy_side(sides[0], sides[1]),
                lossy_side(sides[2], sides[3]),
            ))
        }
        _ => None,
    }
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
