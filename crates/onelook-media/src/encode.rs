//! Frame in, JPEG or PNG bytes out.

use jpeg_encoder::{ColorType, Encoder};
use onelook_types::Frame;

/// Why a frame was not encoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// JPEG counts its sides with 16 bits.
    #[error(
        "an image of {width}x{height} pixels is too large for JPEG (65535 a side): save it as PNG"
    )]
    TooLargeForJpeg {
        /// Width of the frame.
        width: usize,
        /// Height of the frame.
        height: usize,
    },
    /// The encoder refused.
    #[error("the image could not be encoded as {format}: {reason}")]
    Encoder {
        /// Name of the format.
        format: &'static str,
        /// What the encoder said.
        reason: String,
    },
}

/// Encodes as JPEG. `quality` is 1 to 100 (others are clamped); from 90 on chroma keeps its full
/// resolution, so that thin coloured lines stay sharp, below it is halved on both sides.
pub fn encode_jpeg(frame: &Frame, quality: u8) -> Result<Vec<u8>, EncodeError> {
    let too_large = EncodeError::TooLargeForJpeg {
        width: frame.width(),
        height: frame.height(),
    };
    let side = |side: usize| u16::try_from(side).map_err(|_| too_large.clone());
    let (width, height) = (side(frame.width())?, side(frame.height())?);
    let mut bytes = Vec::new();
    Encoder::new(&mut bytes, quality.clamp(1, 100))
        .encode(frame.pixels(), width, height, ColorType::Rgb)
        .map_err(|error| EncodeError::Encoder {
            format: "JPEG",
            reason: error.to_string(),
        })?;
    Ok(bytes)
}

/// Encodes as PNG, without loss.
pub fn encode_png(frame: &Frame) -> Result<Vec<u8>, EncodeError> {
    let refuse = |reason: String| EncodeError::Encoder {
        format: "PNG",
        reason,
    };
    let side = |side: usize| u32::try_from(side).map_err(|error| refuse(error.to_string()));
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, side(frame.width())?, side(frame.height())?);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Fast);
    let mut writer = encoder
        .write_header()
        .map_err(|error| refuse(error.to_string()))?;
    writer
        .write_image_data(frame.pixels())
        .and_then(|()| writer.finish())
        .map_err(|error| refuse(error.to_string()))?;
    Ok(bytes)
}
