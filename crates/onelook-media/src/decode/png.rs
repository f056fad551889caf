//! PNG bytes in, RGB pixels out; palettes and low depths are expanded, 16 bits are cut to 8.

use std::io::Cursor;

use png::{ColorType, Decoder, DecodingError, Transformations};

use super::orientation::Orientation;
use super::raw_image::{RawImage, drop_alpha, rgb_from_grey};
use crate::{DecodeError, ImageFormat, Limits};

const FORMAT: ImageFormat = ImageFormat::Png;

pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<RawImage, DecodeError> {
    let mut decoder = Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let header = decoder.read_header_info().map_err(refuse)?;
    limits.check(FORMAT, header.width.into(), header.height.into())?;
    let mut reader = decoder.read_info().map_err(refuse)?;
    let length = reader
        .output_buffer_size()
        .ok_or_else(|| DecodeError::unsupported(FORMAT, "its size"))?;
    let mut pixels = vec![0; length];
    let output = reader.next_frame(&mut pixels).map_err(refuse)?;
    pixels.truncate(output.buffer_size());
    // The orientation may stand behind the pixels; damage there harms no pixel.
    let _ = reader.finish();
    let orientation = reader
        .info()
        .exif_metadata
        .as_deref()
        .map_or(Orientation::UPRIGHT, Orientation::from_exif);
    let rgb = match output.color_type {
        ColorType::Rgb => pixels,
        ColorType::Rgba => drop_alpha(pixels),
        ColorType::Grayscale => rgb_from_grey(pixels.into_iter()),
        ColorType::GrayscaleAlpha => rgb_from_grey(pixels.chunks_exact(2).map(|pixel| pixel[0])),
        ColorType::Indexed => {
            return Err(DecodeError::unsupported(FORMAT, "an unexpanded palette"));
        }
    };
    Ok(RawImage {
        width: output.width as usize,
        height: output.height as usize,
        rgb,
        orientation,
    })
}

fn refuse(error: DecodingError) -> DecodeError {
    match error {
        DecodingError::LimitsExceeded => {
            DecodeError::unsupported(FORMAT, "its rows or its metadata are too large")
        }
        other => DecodeError::corrupt(FORMAT, other),
    }
}
