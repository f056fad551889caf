//! WebP bytes in, RGB pixels out; of an animation the first frame.

use std::io::Cursor;

use image_webp::{DecodingError, WebPDecoder};

use super::orientation::Orientation;
use super::raw_image::{RawImage, drop_alpha};
use crate::limits::Admission;
use crate::{DecodeError, ImageFormat};

const FORMAT: ImageFormat = ImageFormat::WebP;
/// Bytes before the chunks within an animation's frame.
const FRAME_HEADER: usize = 16;

pub(super) fn decode(bytes: &[u8], admission: &Admission<'_>) -> Result<RawImage, DecodeError> {
    let chunks = bytes.get(12..).unwrap_or_default();
    check_chunks(chunks, admission)?;
    let mut decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(refuse)?;
    let (width, height) = decoder.dimensions();
    admission.admit(FORMAT, width.into(), height.into())?;
    let missing_end = claimed_length(bytes) > Some(bytes.len() as u64);
    if missing_end && !first_image_is_whole(chunks) {
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
        missing_end,
    })
}

/// Each chunk that has a size of its own is held against the limits: the decoder believes them one
/// by one.
fn check_chunks(chunks: &[u8], admission: &Admission<'_>) -> Result<(), DecodeError> {
    for (name, _, payload) in walk(chunks) {
        if let Some((width, height)) = claimed_size(name, payload) {
            admission.check(FORMAT, width.into(), height.into())?;
        }
    }
    Ok(())
}

/// Whether the pixels that are read lie within the file, and their orientation if there is one. What
/// may be cut off is other metadata, further frames, or the byte that makes a length even.
fn first_image_is_whole(chunks: &[u8]) -> bool {
    let whole = |wanted: &[&[u8; 4]]| {
        let mut found = walk(chunks).filter(|(name, ..)| wanted.contains(name));
        let first = found.next();
        first.is_some_and(|(_, length, payload)| payload.len() == length)
    };
    let mut headers = walk(chunks).filter(|(name, ..)| *name == b"VP8X");
    let has_exif = headers.any(|(.., payload)| payload.first().is_some_and(|flags| flags & 8 != 0));
    whole(&[b"VP8 ", b"VP8L"]) && (!has_exif || whole(&[b"EXIF"]))
}

/// Name, stated length, and as much of the payload as there is, of each chunk; those within an
/// animation's frame come as if they stood outside.
fn walk(mut chunks: &[u8]) -> impl Iterator<Item = (&[u8; 4], usize, &[u8])> {
    std::iter::from_fn(move || {
        let (name, rest) = chunks.split_first_chunk::<4>()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length) as usize;
        let next = match name {
            b"ANMF" => FRAME_HEADER,
            _ => length.saturating_add(length % 2),
        };
        chunks = rest.get(next..).unwrap_or_default();
        Some((name, length, &rest[..length.min(rest.len())]))
    })
}

/// Width and height in an extended header or at the head of a lossy stream.
fn claimed_size(name: &[u8; 4], payload: &[u8]) -> Option<(u32, u32)> {
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
