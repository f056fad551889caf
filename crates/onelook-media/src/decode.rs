//! Encoded picture in, upright RGB frame out.
//!
//! The format is told by the first bytes, never by a name. What the picture claims is checked
//! against [`Limits`] before memory is set aside. A damaged picture is an error, never half a frame.

mod bmp;
mod gif;
mod jpeg;
mod orientation;
mod png;
mod signature;
mod tiff;
mod webp;

use std::fmt;

use onelook_types::Frame;

use crate::Limits;
use orientation::Orientation;

/// A kind of picture file that can be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PictureFormat {
    /// JPEG, baseline or progressive.
    Jpeg,
    /// PNG.
    Png,
    /// WebP, lossy or lossless.
    WebP,
    /// Windows bitmap.
    Bmp,
    /// TIFF.
    Tiff,
    /// GIF.
    Gif,
}

impl fmt::Display for PictureFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::WebP => "WebP",
            Self::Bmp => "BMP",
            Self::Tiff => "TIFF",
            Self::Gif => "GIF",
        })
    }
}

/// Why bytes did not become a frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// There are no bytes.
    #[error("the file is empty: is it still being written, or was a download cut off?")]
    Empty,
    /// The first bytes belong to no format that can be read.
    #[error("{what}: convert it to JPEG, PNG, WebP, BMP, TIFF or GIF")]
    UnknownFormat {
        /// What the bytes look like.
        what: String,
    },
    /// The file is larger than [`Limits::max_bytes`].
    #[error(
        "the file has {bytes} bytes, more than the limit of {max_bytes}: raise the limit if you trust it"
    )]
    TooManyBytes {
        /// Size of the file.
        bytes: u64,
        /// The limit.
        max_bytes: u64,
    },
    /// The picture claims more pixels than [`Limits::max_pixels`].
    #[error(
        "this {format} claims {width}x{height} pixels, more than the limit of {max_pixels}: scale it down, or raise the limit if you trust it"
    )]
    TooManyPixels {
        /// Its format.
        format: PictureFormat,
        /// Width that the header claims.
        width: u64,
        /// Height that the header claims.
        height: u64,
        /// The limit.
        max_pixels: u64,
    },
    /// The bytes break the rules of their format.
    #[error("this {format} is damaged or cut short ({reason}): fetch or export it again")]
    Corrupt {
        /// Its format.
        format: PictureFormat,
        /// What is wrong.
        reason: String,
    },
    /// A kind of picture within the format that cannot be read.
    #[error("this {format} is of a kind that is not supported ({what}): convert it to 8-bit RGB")]
    Unsupported {
        /// Its format.
        format: PictureFormat,
        /// What is not supported.
        what: String,
    },
}

impl DecodeError {
    pub(crate) fn corrupt(format: PictureFormat, reason: impl fmt::Display) -> Self {
        Self::Corrupt {
            format,
            reason: reason.to_string().trim().to_owned(),
        }
    }

    pub(crate) fn unsupported(format: PictureFormat, what: impl fmt::Display) -> Self {
        Self::Unsupported {
            format,
            what: what.to_string().trim().to_owned(),
        }
    }
}

/// Pixels as they lie in the file, and how to turn them upright.
struct Picture {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
    orientation: Orientation,
}

/// Decodes the first picture in `bytes` and turns it upright by its EXIF orientation.
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
    let picture = match format {
        PictureFormat::Jpeg => jpeg::decode(bytes, limits),
        PictureFormat::Png => png::decode(bytes, limits),
        PictureFormat::WebP => webp::decode(bytes, limits),
        PictureFormat::Bmp => bmp::decode(bytes, limits),
        PictureFormat::Tiff => tiff::decode(bytes, limits),
        PictureFormat::Gif => gif::decode(bytes, limits),
    }?;
    let (width, height, rgb) =
        picture
            .orientation
            .upright(picture.width, picture.height, picture.rgb);
    Frame::new(width, height, rgb).map_err(|error| DecodeError::corrupt(format, error))
}

/// Repeats each grey value three times.
fn rgb_from_grey(grey: impl ExactSizeIterator<Item = u8>) -> Vec<u8> {
    let mut rgb = Vec::with_capacity(grey.len() * 3);
    for value in grey {
        rgb.extend_from_slice(&[value; 3]);
    }
    rgb
}

/// Keeps the first three of every four bytes, in place.
fn drop_alpha(mut rgba: Vec<u8>) -> Vec<u8> {
    let pixels = rgba.len() / 4;
    for pixel in 0..pixels {
        rgba.copy_within(pixel * 4..pixel * 4 + 3, pixel * 3);
    }
    rgba.truncate(pixels * 3);
    rgba
}
