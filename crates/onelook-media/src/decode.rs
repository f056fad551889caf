//! Encoded image in, upright RGB frame out.
//!
//! The format is told by the first bytes, never by a name. What the image claims is checked
//! against [`Limits`] before memory is set aside. A damaged image is an error, never half a frame.

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

use crate::{DecodeError, ImageFormat, Limits};

/// Decodes the first image in `bytes` and turns it upright by its EXIF orientation.
///
/// Greyscale, palette and CMYK become RGB; transparency is dropped, not blended; of 16 bits a
/// channel the upper 8 stay; of pages and animations the first counts.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Frame, DecodeError> {
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
        ImageFormat::Jpeg => jpeg::decode(bytes, limits),
        ImageFormat::Png => png::decode(bytes, limits),
        ImageFormat::WebP => webp::decode(bytes, limits),
        ImageFormat::Bmp => bmp::decode(bytes, limits),
        ImageFormat::Tiff => tiff::decode(bytes, limits),
        ImageFormat::Gif => gif::decode(bytes, limits),
    }?;
    let (width, height, rgb) = image
        .orientation
        .upright(image.width, image.height, image.rgb);
    Frame::new(width, height, rgb).map_err(|error| DecodeError::corrupt(format, error))
}
