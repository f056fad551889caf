//! A NUT stream of uncompressed video in, its frames with their times out.
//!
//! NUT carries each image together with its presentation time, which a raw pipe cannot. Read here is what
//! ffmpeg writes for one video stream, by the format's description (<https://ffmpeg.org/~michael/nut.txt>).
//! Every length is bounded before it is believed; what is not asked for (info, index) is passed over.

mod bits;
mod error;
mod format;
mod write;

use std::io::Read;

use bits::{Checked, crc};
pub use error::NutError;
use format::{FILE_ID, MAIN, STREAM, SYNC_POINT, VIDEO, flag};
pub use format::{NutVideo, TimeBase};
pub use write::NutWriter;

/// A checksum of bytes.
pub(super) fn checksum(bytes: &[u8]) -> u32 {
    crc(0, bytes)
}

const INFO: u64 = 0x4E49_AB68_B596_BA78;
const INDEX: u64 = 0x4E58_DD67_2F23_E64E;

/// Frames are told from packets by their first byte.
const PACKET: u8 = b'N';
/// Headers take a few hundred bytes.
const MAX_PACKET_BYTES: u64 = 1 << 16;
/// An index has an entry per sync point.
const MAX_INDEX_BYTES: u64 = 1 << 28;
/// Larger frames leave nothing out.
const MAX_SMALL_FRAME: u64 = 4096;

#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct FrameCode {
    flags: u64,
    stream: u64,
    size_factor: u64,
    size_rest: u64,
    pts_delta: i64,
    reserved: u64,
    header: u64,
}

#[derive(Debug, PartialEq)]
struct MainHeader {
    time_bases: Vec<TimeBase>,
    codes: Vec<FrameCode>,
    /// What small frames may leave out at their start; the first is empty.
    headers: Vec<Vec<u8>>,
    broadcast: bool,
}

#[derive(Debug, PartialEq)]
struct StreamHeader {
    video: NutVideo,
    /// How many low bits of a time stand for all of it.
    msb_shift: u32,
}

/// Reads frames from a NUT stream.
pub struct NutReader<R> {
    input: R,
    main: MainHeader,
    stream: StreamHeader,
    last_pts: i64,
    /// Whether a sync point was read whose frame is still to come.
    frame_is_due: bool,
}

impl<R: Read> NutReader<R> {
    /// Reads the headers, up to the first sync point.
    ///
    /// # Errors
    /// The stream breaks off, is no NUT, or holds anything but one video.
    pub fn new(mut input: R) -> Result<Self, NutError> {
        let mut id = [0; FILE_ID.len()];
        input.read_exact(&mut id)?;
        if id != *FILE_ID {
            return Err(NutError::NotNut);
        }
        let (mut main, mut stream) = (None, None);
        loop {
            let mut first = [0];
            input.read_exact(&mut first)?;
            if first[0] != PACKET {
                return Err(NutError::Order);
            }
            let (code, body) = packet(&mut input)?;
            match code {
                MAIN if main.is_none() => main = Some(main_header(&body)?),
                STREAM if stream.is_none() => {
                    stream = Some(stream_header(&body, main.as_ref().ok_or(NutError::Order)?)?);
                }
                SYNC_POINT => {
                    let mut reader = Self {
                        input,
                        main: main.ok_or(NutError::Order)?,
                        stream: stream.ok_or(NutError::Order)?,
                        last_pts: 0,
                        frame_is_due: false,
                    };
                    reader.sync(&body)?;
                    return Ok(reader);
                }
                INFO | INDEX => {}
                _ => return Err(NutError::Order),
            }
        }
    }

    /// What the headers say.
    pub fn video(&self) -> NutVideo {
        self.stream.video
    }

    /// What it is read from.
    pub fn get_mut(&mut self) -> &mut R {
        &mut self.input
    }

    /// Appends the next frame, of `bytes` bytes, to `pixels`; its time in ticks, or `None` where the stream
    /// ends between frames.
    ///
    /// # Errors
    /// The stream breaks off within a frame, or lies.
    pub fn read_frame(
        &mut self,
        bytes: u64,
        pixels: &mut Vec<u8>,
    ) -> Result<Option<i64>, NutError> {
        let code = loop {
            let mut first = [0];
            loop {
                match self.input.read(&mut first) {
                    Ok(0) if self.frame_is_due => return Err(NutError::BrokenOff),
                    Ok(0) => return Ok(None),
                    Ok(_) => break,
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error.into()),
                }
            }
            if first[0] != PACKET {
                break first[0];
            }
            let (code, body) = packet(&mut self.input)?;
            match code {
                SYNC_POINT => self.sync(&body)?,
                // Headers are repeated, for whoever joins late.
                MAIN if main_header(&body)? == self.main => {}
                STREAM if stream_header(&body, &self.main)? == self.stream => {}
                INFO | INDEX => {}
                MAIN | STREAM => return Err(NutError::Changed),
                _ => return Err(NutError::Order),
            }
        };
        self.frame_is_due = false;
        let (size, start) = self.frame_header(code)?;
        if size != bytes {
            return Err(NutError::FrameSize {
                expected: bytes,
                actual: size,
            });
        }
        let before = pixels.len();
        let start = self.main.headers.get(start).ok_or(NutError::Number)?;
        pixels.extend_from_slice(start);
        let rest = size
            .checked_sub(start.len() as u64)
            .ok_or(NutError::Number)?;
        self.input.by_ref().take(rest).read_to_end(pixels)?;
        match (pixels.len() - before) as u64 == size {
            true => Ok(Some(self.last_pts)),
            false => Err(NutError::BrokenOff),
        }
    }

    /// Reads what precedes a frame's bytes and sets its time; the number of bytes, and which header they
    /// begin with.
    fn frame_header(&mut self, code: u8) -> Result<(u64, usize), NutError> {
        let of_code = self.main.codes[usize::from(code)];
        let mut header = Checked::new(&mut self.input, crc(0, &[code]));
        let mut flags = of_code.flags;
        if flags & flag::CODED != 0 {
            flags ^= header.number()?;
        }
        if flags & flag::INVALID != 0 {
            return Err(NutError::FrameCode(code));
        }
        let mut stream = of_code.stream;
        if flags & flag::STREAM_ID != 0 {
            stream = header.number()?;
        }
        if stream != 0 || flags & flag::SIDE_DATA != 0 {
            return Err(NutError::NotOneVideo);
        }
        let mut pts = self.last_pts.checked_add(of_code.pts_delta);
        if flags & flag::CODED_PTS != 0 {
            pts = full_pts(header.number()?, self.last_pts, self.stream.msb_shift);
        }
        let mut size = of_code.size_rest;
        if flags & flag::SIZE_MSB != 0 {
            let factor = header.number()?.checked_mul(of_code.size_factor);
            size = factor
                .and_then(|factor| factor.checked_add(size))
                .ok_or(NutError::Number)?;
        }
        if flags & flag::MATCH_TIME != 0 {
            header.signed()?;
        }
        let start = match flags & flag::HEADER_IDX {
            0 => of_code.header,
            _ => header.number()?,
        };
        let reserved = match flags & flag::RESERVED {
            0 => of_code.reserved,
            _ => header.number()?,
        };
        if reserved > 256 {
            return Err(NutError::Number);
        }
        for _ in 0..reserved {
            header.number()?;
        }
        if flags & flag::CHECKSUM != 0 {
            header.checksum()?;
        }
        self.last_pts = pts.ok_or(NutError::Number)?;
        let start = if size > MAX_SMALL_FRAME { 0 } else { start };
        Ok((size, usize::try_from(start).map_err(|_| NutError::Number)?))
    }

    /// A sync point sets the time that the following ones are relative to.
    fn sync(&mut self, body: &[u8]) -> Result<(), NutError> {
        let mut fields = Checked::new(body, 0);
        let coded = fields.number()?;
        let count = self.main.time_bases.len() as u64;
        let base = self.main.time_bases[(coded % count) as usize];
        let own = self.stream.video.time_base;
        let ticks =
            i128::from(coded / count) * i128::from(base.numerator) * i128::from(own.denominator)
                / (i128::from(base.denominator) * i128::from(own.numerator));
        self.last_pts = i64::try_from(ticks).map_err(|_| NutError::Number)?;
        self.frame_is_due = true;
        fields.number()?;
        if self.main.broadcast {
            fields.number()?;
        }
        Ok(())
    }
}

/// A time from its low bits near the last one, or in full.
fn full_pts(coded: u64, last: i64, shift: u32) -> Option<i64> {
    let full = 1_u64 << shift;
    if coded >= full {
        return i64::try_from(coded - full).ok();
    }
    let mask = i64::try_from(full - 1).ok()?;
    let delta = last.checked_sub(mask / 2)?;
    let distance = i64::try_from(coded).ok()?.wrapping_sub(delta) & mask;
    delta.checked_add(distance)
}

/// Reads a packet after its first byte: its start code and its body, checked.
fn packet(input: &mut impl Read) -> Result<(u64, Vec<u8>), NutError> {
    let mut code = [PACKET, 0, 0, 0, 0, 0, 0, 0];
    input.read_exact(&mut code[1..])?;
    let mut header = Checked::new(&mut *input, crc(0, &code));
    let code = u64::from_be_bytes(code);
    let length = header.number()?;
    if length > 4096 {
        header.checksum()?;
    }
    let most = match code {
        INDEX => MAX_INDEX_BYTES,
        _ => MAX_PACKET_BYTES,
    };
    if length > most {
        return Err(NutError::PacketSize(length));
    }
    if code == INDEX {
        // Of no use to who reads from the start.
        let passed = std::io::copy(&mut input.take(length), &mut std::io::sink())?;
        return match passed == length {
            true => Ok((code, Vec::new())),
            false => Err(NutError::BrokenOff),
        };
    }
    let mut body = Vec::new();
    input.take(length).read_to_end(&mut body)?;
    if body.len() as u64 != length {
        return Err(NutError::BrokenOff);
    }
    let (content, sum) = body
        .split_last_chunk::<4>()
        .ok_or(NutError::PacketSize(length))?;
    if crc(0, content) != u32::from_be_bytes(*sum) {
        return Err(NutError::Checksum);
    }
    body.truncate(body.len() - 4);
    Ok((code, body))
}

fn main_header(body: &[u8]) -> Result<MainHeader, NutError> {
    let mut fields = Checked::new(body, 0);
    let version = fields.number()?;
    match version {
        2 | 3 => {}
        4 => {
            fields.number()?;
        }
        _ => return Err(NutError::Version(version)),
    }
    if fields.number()? != 1 {
        return Err(NutError::NotOneVideo);
    }
    let _max_distance = fields.number()?;
    let count = fields.number()?;
    if !(1..=16).contains(&count) {
        return Err(NutError::Number);
    }
    let mut time_bases = Vec::new();
    for _ in 0..count {
        let part = |number| u32::try_from(number).ok().filter(|&number| number > 0);
        time_bases.push(TimeBase {
            numerator: part(fields.number()?).ok_or(NutError::TimeBase)?,
            denominator: part(fields.number()?).ok_or(NutError::TimeBase)?,
        });
    }
    let codes = frame_codes(&mut fields)?;
    let count = fields.number()?;
    if count > 127 {
        return Err(NutError::Number);
    }
    let mut headers = vec![Vec::new()];
    for _ in 0..count {
        headers.push(fields.bytes(256)?);
    }
    let broadcast = version > 3 && fields.number()? & 1 != 0;
    Ok(MainHeader {
        time_bases,
        codes,
        headers,
        broadcast,
    })
}

/// The table of what each first byte of a frame stands for, in runs.
fn frame_codes(fields: &mut Checked<&[u8]>) -> Result<Vec<FrameCode>, NutError> {
    let mut codes: Vec<FrameCode> = Vec::with_capacity(256);
    let mut run = FrameCode {
        size_factor: 1,
        ..FrameCode::default()
    };
    while codes.len() < 256 {
        run.flags = fields.number()?;
        let count = fields.number()?;
        (run.size_rest, run.reserved, run.header) = (0, 0, 0);
        let mut length = None;
        for field in 0..count.min(64) {
            match field {
                0 => run.pts_delta = fields.signed()?,
                1 => run.size_factor = fields.number()?,
                2 => run.stream = fields.number()?,
                3 => run.size_rest = fields.number()?,
                4 => run.reserved = fields.number()?,
                5 => length = Some(fields.number()?),
                6 => drop(fields.signed()?),
                7 => run.header = fields.number()?,
                _ => drop(fields.number()?),
            }
        }
        let length = length.or_else(|| run.size_factor.checked_sub(run.size_rest));
        let length = length.filter(|&length| (1..=256).contains(&length));
        for rest in 0..length.ok_or(NutError::FrameTable)? {
            if codes.len() == usize::from(PACKET) {
                codes.push(FrameCode {
                    flags: flag::INVALID,
                    ..run
                });
            }
            if codes.len() == 256 {
                return Err(NutError::FrameTable);
            }
            let size_rest = run.size_rest.checked_add(rest).ok_or(NutError::Number)?;
            codes.push(FrameCode { size_rest, ..run });
        }
    }
    Ok(codes)
}

fn stream_header(body: &[u8], main: &MainHeader) -> Result<StreamHeader, NutError> {
    let mut fields = Checked::new(body, 0);
    if fields.number()? != 0 || fields.number()? != VIDEO {
        return Err(NutError::NotOneVideo);
    }
    let fourcc = fields.bytes(4)?;
    let fourcc: [u8; 4] = fourcc.try_into().map_err(|_| NutError::NotOneVideo)?;
    let base = usize::try_from(fields.number()?).ok();
    let base = base.and_then(|base| main.time_bases.get(base));
    let msb_shift = fields.number()?;
    if msb_shift >= 32 {
        return Err(NutError::Number);
    }
    let _max_pts_distance = fields.number()?;
    let _decode_delay = fields.number()?;
    let _stream_flags = fields.number()?;
    fields.bytes(4096)?;
    let side = |number| u32::try_from(number).ok().filter(|&side| side > 0);
    Ok(StreamHeader {
        video: NutVideo {
            fourcc,
            width: side(fields.number()?).ok_or(NutError::ImageSize)?,
            height: side(fields.number()?).ok_or(NutError::ImageSize)?,
            time_base: *base.ok_or(NutError::TimeBase)?,
        },
        msb_shift: msb_shift as u32,
    })
}

#[cfg(test)]
mod tests;
