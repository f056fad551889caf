//! WebP bytes in, RGB pixels out; of an animation the first frame.

use std::io::Cursor;

use image_webp::{DecodingError, WebPDecoder};

use super::orientation::Orientation;
use super::{DecodeError, Picture, drop_alpha};
use crate::{Limits, PictureFormat};

const FORMAT: PictureFormat = PictureFormat::WebP;

pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Picture, DecodeError> {
    let mut decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(refuse)?;
    let (width, height) = decoder.dimensions();
    limits.check(FORMAT, width.into(), height.into())?;
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

fn refuse(error: DecodingError) -> DecodeError {
    match error {
        DecodingError::UnsupportedFeature(what) => DecodeError::unsupported(FORMAT, what),
        other => DecodeError::corrupt(FORMAT, other),
    }
}
