//! BMP bytes in, RGB pixels out.

use std::io::Cursor;

use zune_bmp::zune_core::colorspace::ColorSpace;
use zune_bmp::zune_core::options::DecoderOptions;
use zune_bmp::{BmpDecoder, BmpDecoderErrors};

use super::orientation::Orientation;
use super::{DecodeError, Picture, drop_alpha, rgb_from_grey};
use crate::{Limits, PictureFormat};

const FORMAT: PictureFormat = PictureFormat::Bmp;

pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Picture, DecodeError> {
    let options = DecoderOptions::default()
        .set_max_width(usize::MAX)
        .set_max_height(usize::MAX);
    let mut decoder = BmpDecoder::new_with_options(Cursor::new(bytes), options);
    decoder.decode_headers().map_err(refuse)?;
    let (width, height) = decoder
        .dimensions()
        .ok_or_else(|| DecodeError::corrupt(FORMAT, "no size in its header"))?;
    limits.check(FORMAT, width as u64, height as u64)?;
    let pixels = decoder.decode().map_err(refuse)?;
    let rgb = match decoder.colorspace() {
        Some(ColorSpace::RGB) => pixels,
        Some(ColorSpace::RGBA) => drop_alpha(pixels),
        Some(ColorSpace::Luma) => rgb_from_grey(pixels.into_iter()),
        other => {
            return Err(DecodeError::unsupported(
                FORMAT,
                format!("colours {other:?}"),
            ));
        }
    };
    Ok(Picture {
        width,
        height,
        rgb,
        orientation: Orientation::UPRIGHT,
    })
}

fn refuse(error: BmpDecoderErrors) -> DecodeError {
    DecodeError::corrupt(FORMAT, format!("{error:?}"))
}
