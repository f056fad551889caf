//! A NUT stream as ffmpeg writes it to the pipe: headers, frame codes, times, sizes. Checksums of the packets
//! before the first frame are made right, so that changed fields reach the parser.
#![no_main]

use libfuzzer_sys::fuzz_target;
use onelook_media::video::NutReader;

/// Larger frames are not asked for.
const MAX_FRAME_BYTES: u64 = 1 << 16;
const ID_BYTES: usize = 25;
const CODE_BYTES: usize = 8;

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = bytes.to_vec();
    let mut start = ID_BYTES;
    while let Some(end) = mend(&mut bytes, start) {
        start = end;
    }
    let Ok(mut reader) = NutReader::new(&bytes[..]) else {
        return;
    };
    let video = reader.video();
    let size = u64::from(video.width) * u64::from(video.height) * 3;
    let mut pixels = Vec::new();
    while size <= MAX_FRAME_BYTES {
        pixels.clear();
        match reader.read_frame(size, &mut pixels) {
            Ok(Some(_)) => assert_eq!(pixels.len() as u64, size),
            Ok(None) | Err(_) => break,
        }
    }
});

/// Makes the checksum of the packet at `start` right; where the next one begins.
fn mend(bytes: &mut [u8], start: usize) -> Option<usize> {
    let length_at = start.checked_add(CODE_BYTES)?;
    if *bytes.get(start)? != b'N' {
        return None;
    }
    let (mut length, mut body) = (0_usize, length_at);
    loop {
        let byte = *bytes.get(body)?;
        length = length
            .checked_mul(128)?
            .checked_add(usize::from(byte & 127))?;
        body += 1;
        if byte & 128 == 0 {
            break;
        }
    }
    // Longer ones have a second checksum.
    let end = body
        .checked_add(length)
        .filter(|_| (4..=4096).contains(&length))?;
    let sum = crc(bytes.get(body..end - 4)?);
    bytes
        .get_mut(end - 4..end)?
        .copy_from_slice(&sum.to_be_bytes());
    Some(end)
}

fn crc(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |sum, &byte| {
        (0..8).fold(sum ^ u32::from(byte) << 24, |sum, _| {
            sum << 1 ^ (sum >> 31) * 0x04C1_1DB7
        })
    })
}
