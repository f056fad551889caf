//! GIF bytes in, the first frame's RGB pixels on its canvas out.

use std::io::Cursor;
use std::num::NonZeroU64;

use gif::{ColorOutput, DecodeOptions, DecodingError, MemoryLimit};

use super::orientation::Orientation;
use super::raw_image::RawImage;
use crate::limits::Admission;
use crate::{DecodeError, ImageFormat};

const FORMAT: ImageFormat = ImageFormat::Gif;

pub(super) fn decode(bytes: &[u8], admission: &Admission<'_>) -> Result<RawImage, DecodeError> {
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::Indexed);
    if let Some(pixels) = NonZeroU64::new(admission.limits.max_pixels) {
        options.set_memory_limit(MemoryLimit::Bytes(pixels));
    }
    let mut decoder = options.read_info(Cursor::new(bytes)).map_err(refuse)?;
    let (width, height) = (usize::from(decoder.width()), usize::from(decoder.height()));
    let pixels = admission.admit(FORMAT, width as u64, height as u64)?;
    let global = decoder.global_palette().unwrap_or_default().to_vec();
    let background = decoder.bg_color().unwrap_or(0);
    let frame = decoder
        .read_next_frame()
        .map_err(refuse)?
        .ok_or_else(|| DecodeError::corrupt(FORMAT, "it holds no frame"))?;
    let palette = frame.palette.as_deref().unwrap_or(&global);
    let mut rgb = colour(&global, background).repeat(pixels);
    let (left, top) = (usize::from(frame.left), usize::from(frame.top));
    let rows = frame.buffer.chunks_exact(usize::from(frame.width).max(1));
    for (y, row) in rows.enumerate().take(height.saturating_sub(top)) {
        let visible = row.iter().enumerate().take(width.saturating_sub(left));
        for (x, &index) in visible.filter(|&(_, index)| Some(*index) != frame.transparent) {
            let at = ((top + y) * width + left + x) * 3;
            rgb[at..at + 3].copy_from_slice(&colour(palette, usize::from(index)));
        }
    }
    // The trailer, or another frame.
    let missing_end = decoder.next_frame_info().is_err();
    Ok(RawImage {
        width,
        height,
        rgb,
        orientation: Orientation::UPRIGHT,
        missing_end,
    })
}

/// A palette's colour; black where the palette is too short.
fn colour(palette: &[u8], index: usize) -> [u8; 3] {
    let entry = palette.get(index * 3..index * 3 + 3);
    entry.map_or([0; 3], |rgb| [rgb[0], rgb[1], rgb[2]])
}

fn refuse(error: DecodingError) -> DecodeError {
    match error {
        DecodingError::MemoryLimit | DecodingError::OutOfMemory => {
            DecodeError::unsupported(FORMAT, "a frame larger than the limit")
        }
        other => DecodeError::corrupt(FORMAT, other),
    }
}
