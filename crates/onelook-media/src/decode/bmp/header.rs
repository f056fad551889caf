//! The head of a BMP in, its size, storage and palette out.

use crate::{DecodeError, ImageFormat};

const FILE_HEADER: usize = 14;
const CORE_HEADER: usize = 12;
const INFO_HEADER: usize = 40;
/// From this size on the header holds the channel masks itself.
const MASKS_HEADER: usize = 52;
const MASKS_5_5_5: [u32; 3] = [0x7c00, 0x03e0, 0x001f];
const MASKS_8_8_8: [u32; 3] = [0x00ff_0000, 0x0000_ff00, 0x0000_00ff];

pub(super) struct Header {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) bottom_up: bool,
    /// Bits a pixel.
    pub(super) depth: u16,
    pub(super) storage: Storage,
    pub(super) palette: Vec<[u8; 3]>,
    /// Where the pixels begin.
    pub(super) data_offset: usize,
}

/// How pixels are stored.
pub(super) enum Storage {
    /// Indices into the palette.
    Indices,
    /// Runs of indices of 4 or 8 bits.
    RunLengths { depth: u16 },
    /// Channels under these masks (red, green, blue).
    Masks { masks: [u32; 3] },
}

impl Header {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        let data_offset = long(bytes, 10)? as usize;
        let size = long(bytes, FILE_HEADER)? as usize;
        match size {
            CORE_HEADER => Self::read_core(bytes, data_offset),
            INFO_HEADER..=256 => Self::read_info(bytes, size, data_offset),
            _ => Err(unsupported(format!("a header of {size} bytes"))),
        }
    }

    fn read_core(bytes: &[u8], data_offset: usize) -> Result<Self, DecodeError> {
        let depth = short(bytes, 24)?;
        Ok(Self {
            width: short(bytes, 18)?.into(),
            height: short(bytes, 20)?.into(),
            bottom_up: true,
            depth,
            storage: storage(bytes, CORE_HEADER, depth, 0)?,
            palette: palette(bytes, FILE_HEADER + CORE_HEADER, data_offset, depth, 3),
            data_offset,
        })
    }

    fn read_info(bytes: &[u8], size: usize, data_offset: usize) -> Result<Self, DecodeError> {
        let width = long(bytes, 18)? as i32;
        let height = long(bytes, 22)? as i32;
        let depth = short(bytes, 28)?;
        let compression = long(bytes, 30)?;
        if width < 0 {
            return Err(DecodeError::corrupt(
                ImageFormat::Bmp,
                format!("its width is {width}"),
            ));
        }
        let colours = long(bytes, 46)? as usize;
        let table = FILE_HEADER + size;
        let end = match colours {
            0 => data_offset,
            _ => data_offset.min(table.saturating_add(colours.saturating_mul(4))),
        };
        Ok(Self {
            width: width as usize,
            height: height.unsigned_abs() as usize,
            bottom_up: height > 0,
            depth,
            storage: storage(bytes, size, depth, compression)?,
            palette: palette(bytes, table, end, depth, 4),
            data_offset,
        })
    }
}

fn storage(
    bytes: &[u8],
    size: usize,
    depth: u16,
    compression: u32,
) -> Result<Storage, DecodeError> {
    match (compression, depth) {
        (0, 1 | 2 | 4 | 8) => Ok(Storage::Indices),
        (0, 16) => Ok(Storage::Masks { masks: MASKS_5_5_5 }),
        (0, 24 | 32) => Ok(Storage::Masks { masks: MASKS_8_8_8 }),
        (1, 8) | (2, 4) => Ok(Storage::RunLengths { depth }),
        // Masks follow the short header and are part of the longer ones: the same place.
        (3 | 6, 16 | 32) if size == INFO_HEADER || size >= MASKS_HEADER => {
            let at = FILE_HEADER + INFO_HEADER;
            Ok(Storage::Masks {
                masks: [long(bytes, at)?, long(bytes, at + 4)?, long(bytes, at + 8)?],
            })
        }
        _ => Err(unsupported(format!(
            "compression {compression} with {depth} bits a pixel"
        ))),
    }
}

/// Blue, green, red, and in the newer headers a byte without meaning.
fn palette(bytes: &[u8], start: usize, end: usize, depth: u16, entry: usize) -> Vec<[u8; 3]> {
    if depth > 8 {
        return Vec::new();
    }
    let table = bytes.get(start..end.min(bytes.len())).unwrap_or_default();
    let entries = table.chunks_exact(entry).take(1 << depth);
    entries.map(|bgr| [bgr[2], bgr[1], bgr[0]]).collect()
}

fn short(bytes: &[u8], at: usize) -> Result<u16, DecodeError> {
    let found = bytes
        .get(at..at + 2)
        .and_then(|found| found.try_into().ok());
    found.map(u16::from_le_bytes).ok_or_else(cut_short)
}

fn long(bytes: &[u8], at: usize) -> Result<u32, DecodeError> {
    let found = bytes
        .get(at..at + 4)
        .and_then(|found| found.try_into().ok());
    found.map(u32::from_le_bytes).ok_or_else(cut_short)
}

fn cut_short() -> DecodeError {
    DecodeError::corrupt(ImageFormat::Bmp, "it ends within its header")
}

fn unsupported(what: String) -> DecodeError {
    DecodeError::unsupported(ImageFormat::Bmp, what)
}
