//! PNG bytes in, RGB pixels out; palettes and low depths are expanded, 16 bits are cut to 8.

use std::io::{Cursor, ErrorKind};

use png::{
    ColorType, Decoder, DecodingError, InterlaceInfo, Reader, Transformations,
    expand_interlaced_row,
};

use super::orientation::Orientation;
use super::raw_image::{RawImage, drop_alpha, rgb_from_grey};
use crate::limits::Admission;
use crate::{DecodeError, ImageFormat};

const FORMAT: ImageFormat = ImageFormat::Png;

pub(super) fn decode(bytes: &[u8], admission: &Admission<'_>) -> Result<RawImage, DecodeError> {
    let mut decoder = Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let header = decoder.read_header_info().map_err(refuse)?;
    admission.admit(FORMAT, header.width.into(), header.height.into())?;
    let mut reader = decoder.read_info().map_err(refuse)?;
    let length = reader
        .output_buffer_size()
        .ok_or_else(|| DecodeError::unsupported(FORMAT, "its size"))?;
    let (width, height) = reader.info().size();
    let mut pixels = vec![0; length];
    read_rows(&mut reader, &mut pixels)?;
    // The orientation may stand behind the pixels; damage there harms no pixel.
    let missing_end = matches!(
        reader.finish(),
        Err(DecodingError::IoError(error)) if error.kind() == ErrorKind::UnexpectedEof
    );
    let orientation = reader
        .info()
        .exif_metadata
        .as_deref()
        .map_or(Orientation::UPRIGHT, Orientation::from_exif);
    let rgb = match reader.output_color_type().0 {
        ColorType::Rgb => pixels,
        ColorType::Rgba => drop_alpha(pixels),
        ColorType::Grayscale => rgb_from_grey(pixels.into_iter()),
        ColorType::GrayscaleAlpha => rgb_from_grey(pixels.chunks_exact(2).map(|pixel| pixel[0])),
        ColorType::Indexed => {
            return Err(DecodeError::unsupported(FORMAT, "an unexpanded palette"));
        }
    };
    Ok(RawImage {
        width: width as usize,
        height: height as usize,
        rgb,
        orientation,
        missing_end,
    })
}

/// Reads all rows and nothing behind them, where the file may end.
fn read_rows(reader: &mut Reader<Cursor<&[u8]>>, pixels: &mut [u8]) -> Result<(), DecodeError> {
    let missing = || DecodeError::corrupt(FORMAT, "rows are missing");
    let (width, height) = reader.info().size();
    let stride = pixels.len() / height as usize;
    if !reader.info().interlaced {
        for row in pixels.chunks_exact_mut(stride) {
            reader.read_row(row).map_err(refuse)?.ok_or_else(missing)?;
        }
        return Ok(());
    }
    let (colour, depth) = reader.output_color_type();
    let bits = colour.samples() as u8 * depth as u8;
    for _ in 0..interlaced_rows(width, height) {
        let row = reader.next_interlaced_row().map_err(refuse)?;
        let row = row.ok_or_else(missing)?;
        if let InterlaceInfo::Adam7(pass) = row.interlace() {
            expand_interlaced_row(pixels, stride, row.data(), pass, bits);
        }
    }
    Ok(())
}

/// Rows of all passes. Of each: its first pixel across and down, and the step from row to row.
fn interlaced_rows(width: u32, height: u32) -> u32 {
    const PASSES: [[u32; 3]; 7] = [
        [0, 0, 8],
        [4, 0, 8],
        [0, 4, 8],
        [2, 0, 4],
        [0, 2, 4],
        [1, 0, 2],
        [0, 1, 2],
    ];
    let passes = PASSES.iter().filter(|[x, ..]| *x < width);
    let rows = passes.map(|&[_, y, step]| height.saturating_sub(y).div_ceil(step));
    rows.sum()
}

fn refuse(error: DecodingError) -> DecodeError {
    match error {
        DecodingError::LimitsExceeded => {
            DecodeError::unsupported(FORMAT, "its rows or its metadata are too large")
        }
        other => DecodeError::corrupt(FORMAT, other),
    }
}
