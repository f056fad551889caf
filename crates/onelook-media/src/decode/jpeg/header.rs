//! Segments ahead of the scans in; frame layout and tables out.

use super::error::{corrupt, unsupported};
use super::huffman::Huffman;
use super::segments::{Segment, is_frame};
use super::standard;
use super::zigzag::ZIGZAG;
use crate::DecodeError;

/// What scans refer to by number; later definitions replace earlier ones.
#[derive(Default)]
pub(super) struct Tables {
    pub(super) quantisation: [Option<[u16; 64]>; 4],
    pub(super) dc: [Option<Huffman>; 4],
    pub(super) ac: [Option<Huffman>; 4],
    /// Minimum coded units between restart markers; 0 for none.
    pub(super) restart_interval: usize,
    /// Whether a JFIF segment was seen.
    pub(super) jfif: bool,
    /// The colour transform that an Adobe segment tells.
    pub(super) adobe: Option<u8>,
}

impl Tables {
    pub(super) fn read_quantisation(&mut self, mut payload: &[u8]) -> Result<(), DecodeError> {
        while let [head, rest @ ..] = payload {
            let bytes = if head >> 4 == 0 { 1 } else { 2 };
            let slot = self.quantisation.get_mut(usize::from(head & 15));
            let (Some(slot), Some(values)) = (slot, rest.get(..64 * bytes)) else {
                return Err(corrupt("a quantisation table is broken"));
            };
            let mut table = [0; 64];
            for (value, &at) in values.chunks_exact(bytes).zip(&ZIGZAG) {
                table[at] = value
                    .iter()
                    .fold(0, |value, &byte| value << 8 | u16::from(byte));
            }
            *slot = Some(table);
            payload = &rest[64 * bytes..];
        }
        Ok(())
    }

    pub(super) fn read_huffman(&mut self, mut payload: &[u8]) -> Result<(), DecodeError> {
        while let [head, rest @ ..] = payload {
            let (table, used) = Huffman::read(rest)?;
            let tables = if head >> 4 == 0 {
                &mut self.dc
            } else {
                &mut self.ac
            };
            let slot = tables.get_mut(usize::from(head & 15));
            *slot.ok_or_else(|| corrupt("a Huffman table has a number above 3"))? = Some(table);
            payload = &rest[used..];
        }
        Ok(())
    }

    /// Frames of Motion JPEG leave out the tables that T.81, annex K.3 suggests.
    pub(super) fn supply_standard_huffman(&mut self) -> Result<(), DecodeError> {
        let dc = self.dc.iter_mut().zip(standard::DC);
        let ac = self.ac.iter_mut().zip(standard::AC);
        for (slot, definition) in dc.chain(ac) {
            if slot.is_none() {
                *slot = Some(Huffman::read(definition)?.0);
            }
        }
        Ok(())
    }

    pub(super) fn read_restart_interval(&mut self, payload: &[u8]) -> Result<(), DecodeError> {
        let [high, low, ..] = payload else {
            return Err(corrupt("its restart interval is cut short"));
        };
        self.restart_interval = u16::from_be_bytes([*high, *low]).into();
        Ok(())
    }

    pub(super) fn read_application(&mut self, segment: &Segment<'_>) {
        let payload = segment.payload;
        match segment.marker {
            0xe0 if payload.starts_with(b"JFIF\0") => self.jfif = true,
            0xee if payload.starts_with(b"Adobe") => self.adobe = payload.get(11).copied(),
            _ => {}
        }
    }
}

/// One colour of the image.
pub(super) struct Component {
    pub(super) id: u8,
    /// Samples across per minimum coded unit, in blocks.
    pub(super) h: usize,
    /// Samples down per minimum coded unit, in blocks.
    pub(super) v: usize,
    /// Number of its quantisation table.
    pub(super) table: usize,
    /// That table as it stood when the first scan began.
    pub(super) quantisation: Option<[u16; 64]>,
    /// Samples across that belong to the image.
    pub(super) width: usize,
    /// Samples down that belong to the image.
    pub(super) height: usize,
    /// Blocks across, whole coded units.
    pub(super) blocks_wide: usize,
    /// 64 a block in the order of rows, block after block; empty before the first scan, and one row of
    /// coded units where the rows are rendered as they come.
    pub(super) coefficients: Vec<i16>,
    /// By coefficient, in the order of the stream: how many of its lowest bits no scan has brought.
    pub(super) bits_to_come: [u8; 64],
}

impl Component {
    /// Samples, or coefficients, in one row of minimum coded units.
    pub(super) fn unit_row(&self) -> usize {
        self.blocks_wide * self.v * 64
    }
}

/// The image's layout.
pub(super) struct Frame {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) progressive: bool,
    pub(super) h_max: usize,
    pub(super) v_max: usize,
    /// Minimum coded units across and down.
    pub(super) units: (usize, usize),
    pub(super) components: Vec<Component>,
}

/// Width and height, before anything else is looked at.
pub(super) fn frame_size(payload: &[u8]) -> Result<(usize, usize), DecodeError> {
    let sides = payload
        .get(1..5)
        .ok_or_else(|| corrupt("its frame header is cut short"))?;
    let side = |high, low| usize::from(u16::from_be_bytes([high, low]));
    Ok((side(sides[2], sides[3]), side(sides[0], sides[1])))
}

impl Frame {
    /// Whether the scans so far have brought every bit of every coefficient.
    pub(super) fn is_complete(&self) -> bool {
        let mut components = self.components.iter();
        components.all(|component| component.bits_to_come == [0; 64])
    }

    /// Reads a frame header whose size has been checked.
    pub(super) fn read(segment: &Segment<'_>) -> Result<Self, DecodeError> {
        let progressive = match segment.marker {
            0xc0 | 0xc1 => false,
            0xc2 => true,
            0xc3 => return Err(unsupported("lossless coding")),
            marker if is_frame(marker) && marker < 0xc8 => {
                return Err(unsupported("hierarchical coding"));
            }
            _ => return Err(unsupported("arithmetic coding")),
        };
        let payload = segment.payload;
        let (width, height) = frame_size(payload)?;
        if payload[0] != 8 {
            return Err(unsupported(format!("{} bits a sample", payload[0])));
        }
        let count = usize::from(
            *payload
                .get(5)
                .ok_or_else(|| corrupt("its frame header is cut short"))?,
        );
        if !matches!(count, 1 | 3 | 4) {
            return Err(unsupported(format!("{count} colour components")));
        }
        let heads = payload
            .get(6..6 + count * 3)
            .ok_or_else(|| corrupt("its frame header is cut short"))?;
        let factors = |head: &[u8]| (usize::from(head[1] >> 4), usize::from(head[1] & 15));
        let heads: Vec<&[u8]> = heads.chunks_exact(3).collect();
        let h_max = heads.iter().map(|head| factors(head).0).max().unwrap_or(1);
        let v_max = heads.iter().map(|head| factors(head).1).max().unwrap_or(1);
        for head in &heads {
            let (h, v) = factors(head);
            if !(1..=4).contains(&h) || !(1..=4).contains(&v) || head[2] > 3 {
                return Err(corrupt("its frame header is broken"));
            }
            if h_max % h != 0 || v_max % v != 0 {
                return Err(unsupported("fractional chroma sampling"));
            }
        }
        let units = (width.div_ceil(8 * h_max), height.div_ceil(8 * v_max));
        let components = heads.iter().map(|head| {
            let (h, v) = factors(head);
            Component {
                id: head[0],
                h,
                v,
                table: head[2].into(),
                quantisation: None,
                width: (width * h).div_ceil(h_max),
                height: (height * v).div_ceil(v_max),
                blocks_wide: units.0 * h,
                coefficients: Vec::new(),
                bits_to_come: [u8::MAX; 64],
            }
        });
        Ok(Self {
            width,
            height,
            progressive,
            h_max,
            v_max,
            units,
            components: components.collect(),
        })
    }
}
