//! TIFF bytes in, the first page's RGB pixels out: grey, palette, RGB(A), CMYK; up to 8 or 16 bits.

use std::borrow::Cow;
use std::io::Cursor;

use tiff::decoder::{
    BufferLayoutPreference, ChunkType, Decoder, DecodingResult, Limits as TiffLimits,
};
use tiff::tags::Tag;
use tiff::{ColorType, TiffError};

use super::jpeg;
use super::orientation::{Orientation, find_short};
use super::raw_image::RawImage;
use crate::limits::Admission;
use crate::{DecodeError, ImageFormat};

const FORMAT: ImageFormat = ImageFormat::Tiff;
/// Five channels (CMYK and alpha) of 16 bits.
const MAX_BYTES_PER_PIXEL: usize = 10;
/// Tables of strips and colours count against the same budget.
const MIN_BUDGET: usize = 16 << 20;
const PHOTOMETRIC_TAG: u16 = 262;
const JPEG_COMPRESSION: u16 = 7;
const PALETTE: u16 = 3;
const BLACK_IS_ZERO: u8 = 1;

pub(super) fn decode(bytes: &[u8], admission: &Admission<'_>) -> Result<RawImage, DecodeError> {
    let (bytes, indexed) = relabel_palette(bytes);
    let mut decoder = Decoder::new(Cursor::new(&*bytes)).map_err(refuse)?;
    let (width, height) = decoder.dimensions().map_err(refuse)?;
    let pixels = admission.admit(FORMAT, width.into(), height.into())?;
    let mut decoder = decoder.with_limits(budget(pixels));
    check_streams_within(&mut decoder, &bytes)?;
    let colour = decoder.colortype().map_err(refuse)?;
    let number = decoder.find_tag_unsigned::<u16>(Tag::Orientation);
    let orientation = number
        .ok()
        .flatten()
        .map_or(Orientation::UPRIGHT, Orientation::from_number);
    let palette = match indexed {
        true => Some(decoder.get_tag_u16_vec(Tag::ColorMap).map_err(refuse)?),
        false => None,
    };
    let mut samples = DecodingResult::U8(Vec::new());
    let layout = decoder.read_image_to_buffer(&mut samples).map_err(refuse)?;
    let (width, height) = (width as usize, height as usize);
    let samples = unpack(
        high_bytes(samples)?,
        colour.bit_depth(),
        width,
        palette.is_some(),
    );
    let samples = interleave(samples, &layout, pixels);
    let rgb = to_rgb(colour, &samples, palette.as_deref())?;
    if rgb.len() != pixels * 3 {
        return Err(DecodeError::corrupt(
            FORMAT,
            "its strips do not fill the image",
        ));
    }
    Ok(RawImage {
        width,
        height,
        rgb,
        orientation,
        // Its parts may lie anywhere in the file: there is no end to miss.
        missing_end: false,
    })
}

/// The decoder refuses palettes but reads grey of any depth, and indices are just that.
fn relabel_palette(bytes: &[u8]) -> (Cow<'_, [u8]>, bool) {
    match find_short(bytes, PHOTOMETRIC_TAG) {
        Some((at, PALETTE)) => {
            let mut relabelled = bytes.to_vec();
            let low_byte = if bytes.starts_with(b"MM") { at + 1 } else { at };
            relabelled[low_byte] = BLACK_IS_ZERO;
            (Cow::Owned(relabelled), true)
        }
        _ => (Cow::Borrowed(bytes), false),
    }
}

/// A JPEG stream within a TIFF has a size of its own, which the decoder believes.
fn check_streams_within(
    decoder: &mut Decoder<Cursor<&[u8]>>,
    bytes: &[u8],
) -> Result<(), DecodeError> {
    let compression = decoder.find_tag_unsigned::<u16>(Tag::Compression);
    if !matches!(compression, Ok(Some(JPEG_COMPRESSION))) {
        return Ok(());
    }
    let place = match decoder.get_chunk_type() {
        ChunkType::Strip => Tag::StripOffsets,
        ChunkType::Tile => Tag::TileOffsets,
    };
    let (width, height) = decoder.chunk_dimensions();
    for offset in decoder.get_tag_u64_vec(place).map_err(refuse)? {
        let stream = usize::try_from(offset)
            .ok()
            .and_then(|offset| bytes.get(offset..));
        match stream.and_then(jpeg::size) {
            Some((w, h)) if w <= width && h <= height => {}
            _ => {
                return Err(DecodeError::corrupt(
                    FORMAT,
                    "a JPEG within is of another size",
                ));
            }
        }
    }
    Ok(())
}

fn budget(pixels: usize) -> TiffLimits {
    let mut budget = TiffLimits::default();
    budget.decoding_buffer_size = pixels.saturating_mul(MAX_BYTES_PER_PIXEL).max(MIN_BUDGET);
    budget.intermediate_buffer_size = budget.decoding_buffer_size;
    budget
}

/// Samples of 8 bits stay, of those of 16 the upper byte.
fn high_bytes(samples: DecodingResult) -> Result<Vec<u8>, DecodeError> {
    match samples {
        DecodingResult::U8(bytes) => Ok(bytes),
        DecodingResult::U16(words) => Ok(words.into_iter().map(|word| (word >> 8) as u8).collect()),
        _ => Err(DecodeError::unsupported(
            FORMAT,
            "samples that are neither 8 nor 16 bits without sign",
        )),
    }
}

/// One byte per sample from rows that pack several into a byte; grey is spread over 0 to 255.
fn unpack(samples: Vec<u8>, depth: u8, width: usize, indexed: bool) -> Vec<u8> {
    if depth >= 8 {
        return samples;
    }
    let depth = usize::from(depth.max(1));
    let largest = (1u16 << depth) - 1;
    let row_bytes = (width * depth).div_ceil(8).max(1);
    let value = |row: &[u8], x: usize| {
        let bit = x * depth;
        let pair = u16::from_be_bytes([row[bit / 8], row.get(bit / 8 + 1).copied().unwrap_or(0)]);
        let value = (pair >> (16 - depth - bit % 8)) & largest;
        if indexed {
            value as u8
        } else {
            (value * 255 / largest) as u8
        }
    };
    samples
        .chunks_exact(row_bytes)
        .flat_map(|row| (0..width).map(move |x| value(row, x)))
        .collect()
}

/// Planes that lie one after the other become pixels.
fn interleave(samples: Vec<u8>, layout: &BufferLayoutPreference, pixels: usize) -> Vec<u8> {
    let planes = layout.planes;
    if planes <= 1 || samples.len() != planes * pixels {
        return samples;
    }
    (0..pixels)
        .flat_map(|pixel| (0..planes).map(move |plane| plane * pixels + pixel))
        .map(|at| samples[at])
        .collect()
}

fn to_rgb(
    colour: ColorType,
    samples: &[u8],
    palette: Option<&[u16]>,
) -> Result<Vec<u8>, DecodeError> {
    let rgb = |channels: usize, convert: &dyn Fn(&[u8]) -> [u8; 3]| {
        let mut rgb = Vec::with_capacity(samples.len() / channels * 3);
        for pixel in samples.chunks_exact(channels) {
            rgb.extend_from_slice(&convert(pixel));
        }
        rgb
    };
    if let Some(palette) = palette {
        return Ok(rgb(1, &|pixel| lookup(palette, usize::from(pixel[0]))));
    }
    match colour {
        ColorType::Gray(_) => Ok(rgb(1, &|pixel| [pixel[0]; 3])),
        ColorType::GrayA(_) | ColorType::Multiband { num_samples: 2, .. } => {
            Ok(rgb(2, &|pixel| [pixel[0]; 3]))
        }
        ColorType::RGB(_) | ColorType::YCbCr(_) => {
            Ok(rgb(3, &|pixel| [pixel[0], pixel[1], pixel[2]]))
        }
        ColorType::RGBA(_) => Ok(rgb(4, &|pixel| [pixel[0], pixel[1], pixel[2]])),
        ColorType::CMYK(_) => Ok(rgb(4, &cmyk)),
        ColorType::CMYKA(_) => Ok(rgb(5, &cmyk)),
        other => Err(DecodeError::unsupported(
            FORMAT,
            format!("colours {other:?}"),
        )),
    }
}

fn cmyk(pixel: &[u8]) -> [u8; 3] {
    let light = u16::from(255 - pixel[3]);
    [0, 1, 2].map(|channel| (u16::from(255 - pixel[channel]) * light / 255) as u8)
}

/// The colour map holds all reds, then all greens, then all blues, 16 bits each.
fn lookup(palette: &[u16], index: usize) -> [u8; 3] {
    let colours = palette.len() / 3;
    if index >= colours {
        return [0; 3];
    }
    [0, 1, 2].map(|channel| (palette[channel * colours + index] >> 8) as u8)
}

fn refuse(error: TiffError) -> DecodeError {
    match error {
        TiffError::UnsupportedError(what) => DecodeError::unsupported(FORMAT, what),
        TiffError::LimitsExceeded => {
            DecodeError::corrupt(FORMAT, "its strips are larger than the image")
        }
        other => DecodeError::corrupt(FORMAT, other),
    }
}
