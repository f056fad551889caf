//! JPEG bytes in, RGB pixels out.
//!
//! Headers are read leniently, as every viewer does; the scan is read strictly: a stream that ends
//! early is an error, not a picture with a grey rest.

use std::io::Cursor;

use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::orientation::Orientation;
use super::{DecodeError, Picture};
use crate::{Limits, PictureFormat};

const FORMAT: PictureFormat = PictureFormat::Jpeg;
const MAX_SIDE: usize = u16::MAX as usize;
const START_OF_SCAN: u8 = 0xda;

pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Picture, DecodeError> {
    let options = DecoderOptions::default()
        .jpeg_set_out_colorspace(ColorSpace::RGB)
        .set_max_width(MAX_SIDE)
        .set_max_height(MAX_SIDE);
    let mut decoder = JpegDecoder::new_with_options(Cursor::new(bytes), options);
    decoder.decode_headers().map_err(refuse)?;
    let info = decoder
        .info()
        .ok_or_else(|| DecodeError::corrupt(FORMAT, "no size in its header"))?;
    let (width, height) = (usize::from(info.width), usize::from(info.height));
    limits.check(FORMAT, width as u64, height as u64)?;
    if !ends(bytes) {
        return Err(DecodeError::corrupt(FORMAT, "its end marker is missing"));
    }
    let orientation = decoder
        .exif()
        .map_or(Orientation::UPRIGHT, |exif| Orientation::from_exif(exif));
    decoder.set_options(options.set_strict_mode(true));
    let rgb = decoder.decode().map_err(refuse)?;
    if rgb.len() != width * height * 3 {
        return Err(DecodeError::unsupported(
            FORMAT,
            format!("{} colour components", info.components),
        ));
    }
    Ok(Picture {
        width,
        height,
        rgb,
        orientation,
    })
}

/// Whether an end marker follows the first scan. Within a scan 0xff is always followed by zero or a
/// restart marker, so that the pair cannot be data.
fn ends(bytes: &[u8]) -> bool {
    scan_start(bytes).is_some_and(|start| {
        bytes[start..]
            .windows(2)
            .rev()
            .any(|pair| pair == [0xff, 0xd9])
    })
}

/// Where the first scan's header begins.
fn scan_start(bytes: &[u8]) -> Option<usize> {
    segment(bytes, |marker| marker == START_OF_SCAN)
}

/// Width and height in the frame header of a JPEG stream.
pub(super) fn size(bytes: &[u8]) -> Option<(u32, u32)> {
    // All starts of frame; 0xc4, 0xc8 and 0xcc among them mean something else.
    let at = segment(bytes, |marker| {
        matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc)
    })?;
    let sides = bytes.get(at + 5..at + 9)?;
    let side = |high, low| u32::from(u16::from_be_bytes([high, low]));
    Some((side(sides[2], sides[3]), side(sides[0], sides[1])))
}

/// Where the first segment begins that is `wanted`, found by hopping from segment to segment.
fn segment(bytes: &[u8], wanted: impl Fn(u8) -> bool) -> Option<usize> {
    let mut at = 2;
    loop {
        at += bytes.get(at..)?.iter().position(|&byte| byte == 0xff)?;
        let marker = *bytes.get(at + 1)?;
        if wanted(marker) {
            return Some(at);
        }
        at += match marker {
            0xff => 1,
            0x00 | 0x01 | 0xd0..=0xd9 => 2,
            _ => {
                let length = [*bytes.get(at + 2)?, *bytes.get(at + 3)?];
                2 + usize::from(u16::from_be_bytes(length))
            }
        };
    }
}

fn refuse(error: DecodeErrors) -> DecodeError {
    match error {
        DecodeErrors::Unsupported(what) => DecodeError::unsupported(FORMAT, format!("{what:?}")),
        other => DecodeError::corrupt(FORMAT, other),
    }
}
