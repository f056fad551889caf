//! BMP bytes in, RGB pixels out: 1 to 32 bits a pixel, palettes, channel masks, run lengths.
//!
//! Format: BITMAPFILEHEADER, BITMAPCOREHEADER and BITMAPINFOHEADER (with its V2 to V5 extensions)
//! of the Windows GDI documentation.
//!
//! Why no library: zune-bmp misreads 1, 4 and 16 bits a pixel; image rounds 16 bits a pixel unlike
//! OpenCV (by up to 7 of 255) and brings a colour management stack with it.

mod header;
mod runs;

use super::orientation::Orientation;
use super::raw_image::RawImage;
use crate::limits::Admission;
use crate::{DecodeError, ImageFormat};
use header::{Header, Storage};

const FORMAT: ImageFormat = ImageFormat::Bmp;

pub(super) fn decode(bytes: &[u8], admission: &Admission<'_>) -> Result<RawImage, DecodeError> {
    let header = Header::read(bytes)?;
    let pixels = admission.admit(FORMAT, header.width as u64, header.height as u64)?;
    let data = bytes.get(header.data_offset..).unwrap_or_default();
    let mut missing_end = false;
    let mut rgb = match &header.storage {
        Storage::RunLengths { depth } => {
            let (indices, ended) = runs::expand(data, *depth, header.width, header.height)?;
            missing_end = !ended;
            let palette = &header.palette;
            indices
                .into_iter()
                .flat_map(|index| colour(palette, usize::from(index)))
                .collect()
        }
        storage => {
            let mut rgb = Vec::with_capacity(pixels * 3);
            for row in rows(data, &header)? {
                match storage {
                    Storage::Masks { masks } => masked(row, &header, *masks, &mut rgb),
                    _ => indexed(row, &header, &mut rgb),
                }
            }
            rgb
        }
    };
    if header.bottom_up {
        flip(&mut rgb, header.width * 3);
    }
    Ok(RawImage {
        width: header.width,
        height: header.height,
        rgb,
        orientation: Orientation::UPRIGHT,
        missing_end,
    })
}

/// The rows as they lie in the file, each without its padding to four bytes.
fn rows<'a>(
    data: &'a [u8],
    header: &Header,
) -> Result<impl Iterator<Item = &'a [u8]>, DecodeError> {
    let bits = header.width as u64 * u64::from(header.depth);
    let used = bits.div_ceil(8) as usize;
    let stride = bits.div_ceil(32) as usize * 4;
    // Some writers leave out the last row's padding.
    let least = stride * (header.height - 1) + used;
    if data.len() < least {
        return Err(DecodeError::corrupt(
            FORMAT,
            format!("{} bytes of pixels where {least} belong", data.len()),
        ));
    }
    Ok(data
        .chunks(stride)
        .take(header.height)
        .map(move |row| &row[..used]))
}

fn indexed(row: &[u8], header: &Header, rgb: &mut Vec<u8>) {
    let depth = usize::from(header.depth);
    let mask = (1u16 << depth) - 1;
    for x in 0..header.width {
        let bit = x * depth;
        let index = (u16::from(row[bit / 8]) >> (8 - depth - bit % 8)) & mask;
        rgb.extend_from_slice(&colour(&header.palette, usize::from(index)));
    }
}

fn masked(row: &[u8], header: &Header, masks: [u32; 3], rgb: &mut Vec<u8>) {
    for pixel in row.chunks_exact(usize::from(header.depth) / 8) {
        let value = pixel
            .iter()
            .rev()
            .fold(0, |value, &byte| value << 8 | u32::from(byte));
        rgb.extend_from_slice(&masks.map(|mask| channel(value, mask)));
    }
}

/// The bits under `mask`: the upper 8 of wider channels; narrower ones are shifted up, as the
/// usual readers do, so that the brightest is not quite 255.
fn channel(value: u32, mask: u32) -> u8 {
    if mask == 0 {
        return 0;
    }
    let bits = (value & mask) >> mask.trailing_zeros();
    let width = 32 - (mask >> mask.trailing_zeros()).leading_zeros();
    if width >= 8 {
        (bits >> (width - 8)) as u8
    } else {
        (bits << (8 - width)) as u8
    }
}

/// A palette's colour; black where the palette is too short.
fn colour(palette: &[[u8; 3]], index: usize) -> [u8; 3] {
    palette.get(index).copied().unwrap_or_default()
}

fn flip(rgb: &mut [u8], stride: usize) {
    let half = rgb.len() / stride / 2 * stride;
    let (upper, lower) = rgb.split_at_mut(half);
    for (above, below) in upper
        .chunks_exact_mut(stride)
        .zip(lower.rchunks_exact_mut(stride))
    {
        above.swap_with_slice(below);
    }
}
