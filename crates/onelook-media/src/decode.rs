//! Encoded image in, upright RGB frame out.
//!
//! The format is told by the first bytes, never by a name. What the image claims is checked
//! against [`Limits`] before memory is set aside. An image that lacks pixels is an error, never half
//! a frame; one that lacks only what comes after its pixels is whole, with a warning.

mod bmp;
mod gif;
mod jpeg;
mod orientation;
mod png;
mod raw_image;
mod signature;
mod tiff;
mod webp;

use onelook_types::Frame;

use crate::limits::Admission;
use crate::{DecodeError, DecodeWarning, DecodedImage, ImageFormat, Limits};

/// Decodes the first image in `bytes` and turns it upright by its EXIF orientation.
///
/// Greyscale, palette and CMYK become RGB; transparency is dropped, not blended; of 16 bits a
/// channel the upper 8 stay; of pages and animations the first counts.
pub fn decode_image(bytes: &[u8], limits: &Limits) -> Result<DecodedImage, DecodeError> {
    let reserve = &|_| true;
    decode_admitted(bytes, &Admission { limits, reserve })
}

/// The frame of [`decode_image`], for callers that have nobody to warn.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Frame, DecodeError> {
    decode_image(bytes, limits).map(|image| image.frame)
}

/// [`decode_image`] that asks before it takes memory: `reserve` is told the bytes that decoding will take,
/// may wait until they are free, and ends the decoding by `false`.
pub fn decode_image_within(
    bytes: &[u8],
    limits: &Limits,
    reserve: &dyn Fn(u64) -> bool,
) -> Result<DecodedImage, DecodeError> {
    decode_admitted(bytes, &Admission { limits, reserve })
}

/// [`decode_image_within`], as sources call it.
pub(crate) fn decode_admitted(
    bytes: &[u8],
    admission: &Admission<'_>,
) -> Result<DecodedImage, DecodeError> {
    let limits = admission.limits;
    if bytes.is_empty() {
        return Err(DecodeError::Empty);
    }
    if bytes.len() as u64 > limits.max_bytes {
        return Err(DecodeError::TooManyBytes {
            bytes: bytes.len() as u64,
            max_bytes: limits.max_bytes,
        });
    }
    let format = signature::recognise(bytes)?;
    let image = match format {
        ImageFormat::Jpeg => jpeg::decode(bytes, admission),
        ImageFormat::Png => png::decode(bytes, admission),
        ImageFormat::WebP => webp::decode(bytes, admission),
        ImageFormat::Bmp => bmp::decode(bytes, admission),
        ImageFormat::Tiff => tiff::decode(bytes, admission),
        ImageFormat::Gif => gif::decode(bytes, admission),
    }?;
    let (width, height, rgb) = image
        .orientation
        .upright(image.width, image.height, image.rgb);
    let frame =
        Frame::new(width, height, rgb).map_err(|error| DecodeError::corrupt(format, error))?;
    let missing_end = image
        .missing_end
        .then_some(DecodeWarning::MissingEnd { format });
    Ok(DecodedImage {
        frame,
        warnings: missing_end.into_iter().collect(),
    })
}
