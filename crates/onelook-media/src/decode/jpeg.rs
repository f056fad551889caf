//! JPEG bytes in, RGB pixels out: baseline and progressive, Huffman coded, 8 bits a sample.
//!
//! Format: ITU-T T.81. Detections are compared with a reference to fractions of a pixel, and two
//! decoders that differ by one in 255 already miss that; so the steps that the standard leaves open
//! (inverse transform, interpolation of chroma, colours) are rounded exactly as libjpeg rounds them.
//! A stream that ends before its last pixel is an error, not an image with a grey rest; one that ends
//! between the last scan and the end marker is whole. A single scan that brings all colours is rendered
//! row by row as it comes; others are collected first.
//!
//! Why no library: of those tried, zune-jpeg differs from libjpeg-turbo by up to 4 of 255, which
//! moves boxes by pixels; libjpeg-turbo-rs 0.9 equals it to the bit at several times the speed, but
//! panics on mangled CMYK within a minute of random edits; mozjpeg equals it too, but is C, and the
//! product is to be Rust from bytes to boxes. Without assembler it is no faster than this.

mod bits;
mod colour;
mod error;
mod header;
mod huffman;
mod render;
mod scan;
mod segments;
mod standard;
mod transform;
mod upsample;
mod window;
mod zigzag;

use super::orientation::Orientation;
use super::raw_image::RawImage;
use crate::limits::Admission;
use crate::{DecodeError, ImageFormat};
use error::corrupt;
use header::{Frame, Tables};
use render::Renderer;
use scan::Scan;
use segments::{Segment, Segments};

pub(super) use segments::size;

const FORMAT: ImageFormat = ImageFormat::Jpeg;
/// Each scan visits every block; more than this many serve only to keep the reader busy.
const MAX_SCANS: usize = 100;

pub(super) fn decode(bytes: &[u8], admission: &Admission<'_>) -> Result<RawImage, DecodeError> {
    let mut segments = Segments::new(bytes);
    let mut tables = Tables::default();
    let mut frame: Option<Frame> = None;
    let mut orientation = Orientation::UPRIGHT;
    let mut scans = 0;
    let mut rendered = None;
    let ended = loop {
        let Some(segment) = segments.find() else {
            break false;
        };
        match segment.marker {
            0xc4 => tables.read_huffman(segment.payload)?,
            0xdb => tables.read_quantisation(segment.payload)?,
            0xdd => tables.read_restart_interval(segment.payload)?,
            0xe0 | 0xee => tables.read_application(&segment),
            0xe1 if segment.payload.starts_with(b"Exif\0\0") => {
                orientation = Orientation::from_exif(segment.payload);
            }
            0xc0..=0xcf => {
                if frame.is_some() {
                    return Err(corrupt("it has two frame headers"));
                }
                frame = Some(start_frame(&segment, admission)?);
            }
            0xda => {
                let frame = frame
                    .as_mut()
                    .ok_or_else(|| corrupt("a scan precedes its header"))?;
                scans += 1;
                if scans > MAX_SCANS {
                    return Err(corrupt(format!("it has more than {MAX_SCANS} scans")));
                }
                if !frame.progressive {
                    tables.supply_standard_huffman()?;
                }
                let scan = Scan::read(segment.payload, frame, &tables)?;
                let mut renderer = match scan.streams() {
                    true => Some(Renderer::new(frame, colour::Space::of(frame, &tables)?)),
                    false => None,
                };
                let end = scan.decode(segments.rest(), frame, &tables, renderer.as_mut())?;
                segments.skip(end);
                rendered = renderer.map(Renderer::finish);
                // No pixel can follow, so that damage behind them does no harm.
                if !frame.progressive && frame.is_complete() {
                    break segments.reach_end_marker();
                }
            }
            0xd9 => break true,
            _ => {}
        }
    };
    let frame = frame.ok_or_else(|| corrupt("it has no frame header"))?;
    // A progressive image may end before its finest scans, but only by its own word.
    if !ended && !frame.is_complete() {
        return Err(corrupt("it ends before its last scan"));
    }
    let rgb = match rendered {
        Some(rgb) => rgb,
        None => render(&frame, colour::Space::of(&frame, &tables)?)?,
    };
    Ok(RawImage {
        width: frame.width,
        height: frame.height,
        rgb,
        orientation,
        missing_end: !ended,
    })
}

fn start_frame(segment: &Segment<'_>, admission: &Admission<'_>) -> Result<Frame, DecodeError> {
    let (width, height) = header::frame_size(segment.payload)?;
    admission.admit(FORMAT, width as u64, height as u64)?;
    Frame::read(segment)
}

/// Renders coefficients that have come in several scans.
fn render(frame: &Frame, space: colour::Space) -> Result<Vec<u8>, DecodeError> {
    let mut components = frame.components.iter();
    if components.any(|component| component.quantisation.is_none()) {
        return Err(corrupt("a colour has no scan"));
    }
    let mut renderer = Renderer::new(frame, space);
    for row in 0..frame.units.1 {
        renderer.add(frame, row);
    }
    Ok(renderer.finish())
}
