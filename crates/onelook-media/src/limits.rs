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

/// Decides whether the memory of one image may be taken: the limits, and whoever shares memory
/// among several images.
pub(crate) struct Admission<'a> {
    pub(crate) limits: &'a Limits,
    /// Told the bytes that decoding will take. It may wait; `false` ends the decoding.
    pub(crate) reserve: &'a dyn Fn(u64) -> bool,
}

/// What most images take per pixel while they are decoded: coefficients or samples, and RGB.
const TYPICAL_BYTES_PER_PIXEL: u64 = 8;

impl Admission<'_> {
    /// The pixel count of an image that is within bounds and whose memory was reserved.
    pub(crate) fn admit(
        &self,
        format: ImageFormat,
        width: u64,
        height: u64,
    ) -> Result<usize, DecodeError> {
        let pixels = self.check(format, width, height)?;
        if (self.reserve)((pixels as u64).saturating_mul(TYPICAL_BYTES_PER_PIXEL)) {
            return Ok(pixels);
        }
        Err(DecodeError::corrupt(format, "its reader has stopped"))
    }

    /// Only the check, for the sizes that a file states more than once.
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
            .filter(|&pixels| pixels <= self.limits.max_pixels);
        let too_large = DecodeError::TooManyPixels {
            format,
            width,
            height,
            max_pixels: self.limits.max_pixels,
        };
        match pixels.map(usize::try_from) {
            Some(Ok(pixels)) if pixels.checked_mul(8).is_some() => Ok(pixels),
            _ => Err(too_large),
        }
    }
}
