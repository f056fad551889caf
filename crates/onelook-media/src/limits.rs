//! How much an image may claim before it is refused.

use crate::{DecodeError, ImageFormat};

/// Bounds on one image, checked before memory is set aside for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most pixels (width times height). Decoding takes up to about 12 bytes for each.
    pub max_pixels: u64,
    /// Most bytes of the encoded file.
    pub max_bytes: u64,
}

impl Default for Limits {
    /// 178,956,970 pixels (half a gigabyte as RGB) and 256 MiB of file.
    fn default() -> Self {
        Self {
            max_pixels: 178_956_970,
            max_bytes: 256 << 20,
        }
    }
}

impl Limits {
    /// The pixel count of an image that is within bounds.
    pub(crate) fn check(
        &self,
        format: ImageFormat,
        width: u64,
        height: u64,
    ) -> Result<usize, DecodeError> {
        if width == 0 || height == 0 {
            return Err(DecodeError::corrupt(
                format,
                format!("its header says {width}x{height} pixels"),
            ));
        }
        let pixels = width
            .checked_mul(height)
            .filter(|&pixels| pixels <= self.max_pixels);
        let too_large = DecodeError::TooManyPixels {
            format,
            width,
            height,
            max_pixels: self.max_pixels,
        };
        match pixels.map(usize::try_from) {
            Some(Ok(pixels)) if pixels.checked_mul(8).is_some() => Ok(pixels),
            _ => Err(too_large),
        }
    }
}
