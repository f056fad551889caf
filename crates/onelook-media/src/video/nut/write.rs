//! Frames with their times in, a NUT stream out, as small a one as the format allows: every frame is a key
//! frame behind a sync point and says its time in full.

use std::io::{self, Write};

use super::bits::{crc, push_number};
use super::format::{FILE_ID, MAIN, NutVideo, STREAM, SYNC_POINT, VIDEO, flag};

/// What the one frame code in use stands for.
const FLAGS: u64 = flag::KEY | flag::CODED_PTS | flag::SIZE_MSB | flag::CHECKSUM;
const CODE: u8 = 0;
/// Times are written in full, so that the low bits stand for themselves only.
const MSB_SHIFT: u32 = 1;

/// Writes frames of raw video.
pub struct NutWriter<W> {
    output: W,
}

impl<W: Write> NutWriter<W> {
    /// Writes the headers.
    ///
    /// # Errors
    /// Of the output.
    pub fn new(mut output: W, video: NutVideo) -> io::Result<Self> {
        output.write_all(FILE_ID)?;
        let (base, mut main) = (video.time_base, Vec::new());
        // Version, streams, furthest sync point, time bases.
        let numbers = [
            3,
            1,
            1 << 15,
            1,
            base.numerator.into(),
            base.denominator.into(),
        ];
        // Flags, fields: time, size factor, stream, size, reserved, codes.
        let used = [FLAGS, 6, 0, 1, 0, 0, 0, 1];
        let others = [flag::INVALID, 6, 0, 1, 0, 0, 0, 254];
        for number in numbers.into_iter().chain(used).chain(others).chain([0]) {
            push_number(&mut main, number);
        }
        write_packet(&mut output, MAIN, main)?;
        let mut stream = Vec::new();
        push_number(&mut stream, 0);
        push_number(&mut stream, VIDEO);
        push_number(&mut stream, 4);
        stream.extend(video.fourcc);
        let sides = [video.width.into(), video.height.into()];
        // Time base, shift, furthest time, delay, flags, private bytes; sides, shape of pixels, colours.
        let numbers = [0, u64::from(MSB_SHIFT), u64::from(u32::MAX), 0, 0, 0];
        for number in numbers.into_iter().chain(sides).chain([0, 0, 0]) {
            push_number(&mut stream, number);
        }
        write_packet(&mut output, STREAM, stream)?;
        Ok(Self { output })
    }

    /// Writes a frame that is shown at `pts` ticks.
    ///
    /// # Errors
    /// Of the output.
    pub fn write_frame(&mut self, pts: u64, pixels: &[u8]) -> io::Result<()> {
        let mut sync = Vec::new();
        push_number(&mut sync, pts);
        push_number(&mut sync, 0);
        write_packet(&mut self.output, SYNC_POINT, sync)?;
        let mut header = vec![CODE];
        push_number(&mut header, pts.saturating_add(1 << MSB_SHIFT));
        push_number(&mut header, pixels.len() as u64);
        header.extend(crc(0, &header).to_be_bytes());
        self.output.write_all(&header)?;
        self.output.write_all(pixels)
    }

    /// Gives the output back.
    pub fn into_inner(self) -> W {
        self.output
    }
}

fn write_packet(output: &mut impl Write, code: u64, mut body: Vec<u8>) -> io::Result<()> {
    body.extend(crc(0, &body).to_be_bytes());
    let mut header = code.to_be_bytes().to_vec();
    push_number(&mut header, body.len() as u64);
    output.write_all(&header)?;
    output.write_all(&body)
}
