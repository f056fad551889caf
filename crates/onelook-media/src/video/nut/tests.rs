//! What was written is read; each lie is an error of its own.

use proptest::prelude::*;

use super::bits::push_number;
use super::*;

const VIDEO_HEADER: NutVideo = NutVideo {
    fourcc: *b"RGB\x18",
    width: 3,
    height: 2,
    time_base: TimeBase {
        numerator: 1,
        denominator: 90_000,
    },
};

fn written(frames: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let mut writer = NutWriter::new(Vec::new(), VIDEO_HEADER).unwrap();
    for (pts, pixels) in frames {
        writer.write_frame(*pts, pixels).unwrap();
    }
    writer.into_inner()
}

type Frames = Vec<(u64, Vec<u8>)>;

fn read(bytes: &[u8]) -> Result<Frames, NutError> {
    let mut reader = NutReader::new(bytes)?;
    assert_eq!(reader.video(), VIDEO_HEADER);
    let mut frames = Vec::new();
    loop {
        let mut pixels = Vec::new();
        match reader.read_frame(18, &mut pixels)? {
            Some(pts) => frames.push((pts as u64, pixels)),
            None => return Ok(frames),
        }
    }
}

proptest! {
    #[test]
    fn what_was_written_is_read(
        frames in prop::collection::vec((0..1_u64 << 60, prop::collection::vec(any::<u8>(), 18)), 1..6)
    ) {
        prop_assert_eq!(read(&written(&frames)), Ok(frames));
    }

    #[test]
    fn bytes_that_change_or_end_never_panic(
        place in 0..200_usize, value in any::<u8>(), length in 0..220_usize
    ) {
        let mut bytes = written(&[(0, vec![1; 18]), (90_000, vec![2; 18])]);
        let length = length.min(bytes.len());
        let place = place.min(bytes.len() - 1);
        bytes[place] = value;
        let _ = read(&bytes);
        let _ = read(&bytes[..length]);
    }
}

#[test]
fn a_stream_may_end_only_between_frames() {
    let bytes = written(&[(0, vec![1; 18]), (9, vec![2; 18])]);
    let one = written(&[(0, vec![1; 18])]).len();
    for length in 0..bytes.len() {
        let frames = read(&bytes[..length]);
        match length == one {
            true => assert_eq!(frames.map(|frames| frames.len()), Ok(1)),
            false => assert_eq!(frames, Err(NutError::BrokenOff), "{length}"),
        }
    }
}

/// A packet whose checksums are right.
fn packet_of(code: u64, fields: &[u64]) -> Vec<u8> {
    let mut body = Vec::new();
    for &field in fields {
        push_number(&mut body, field);
    }
    body.extend(crc(0, &body).to_be_bytes());
    let mut packet = code.to_be_bytes().to_vec();
    push_number(&mut packet, body.len() as u64);
    packet.extend(body);
    packet
}

fn stream_of(packets: &[Vec<u8>]) -> Vec<u8> {
    [FILE_ID.to_vec(), packets.concat()].concat()
}

#[test]
fn each_lie_is_an_error_of_its_own() {
    let good = written(&[(0, vec![1; 18])]);
    assert_eq!(
        read(b"RIFF....WAVEfmt and so on, no NUT"),
        Err(NutError::NotNut)
    );
    let frame_at = good.len() - 18;
    let mut damaged = good.clone();
    damaged[FILE_ID.len() + 12] ^= 1;
    assert_eq!(read(&damaged), Err(NutError::Checksum));
    let mut damaged = good.clone();
    damaged[frame_at - 1] ^= 1;
    assert_eq!(read(&damaged), Err(NutError::Checksum));

    let codes = [0, 6, 0, 1, 0, 0, 0, 255, 0];
    let main = |head: &[u64]| packet_of(MAIN, &[head, &codes].concat());
    let one = [3, 1, 9, 1, 1, 90_000];
    let stream = |fields: &[u64]| packet_of(STREAM, fields);
    let raw = [0, 0, 4, 82, 71, 66, 24, 0, 7, 9, 0, 0, 0, 3, 2, 0, 0, 0];
    let with = |place: usize, value: u64| {
        let mut fields = raw;
        fields[place] = value;
        stream_of(&[main(&one), stream(&fields)])
    };
    let sync = packet_of(SYNC_POINT, &[0, 0]);
    let cases = [
        (
            stream_of(&[main(&[9, 1, 9, 1, 1, 90_000])]),
            NutError::Version(9),
        ),
        (
            stream_of(&[main(&[3, 2, 9, 1, 1, 90_000])]),
            NutError::NotOneVideo,
        ),
        (
            stream_of(&[main(&[3, 1, 9, 1, 0, 90_000])]),
            NutError::TimeBase,
        ),
        (stream_of(&[main(&[3, 1, 9, 99, 1, 1])]), NutError::Number),
        (
            stream_of(&[packet_of(
                MAIN,
                &[3, 1, 9, 1, 1, 9, 0, 6, 0, 1, 0, 0, 0, 900],
            )]),
            NutError::FrameTable,
        ),
        (stream_of(&[stream(&raw)]), NutError::Order),
        (stream_of(std::slice::from_ref(&sync)), NutError::Order),
        (stream_of(&[b"x".to_vec()]), NutError::Order),
        (with(1, 1), NutError::NotOneVideo),
        (with(7, 4), NutError::TimeBase),
        (with(8, 64), NutError::Number),
        (with(13, 0), NutError::ImageSize),
        (
            stream_of(&[
                main(&one),
                stream(&raw),
                sync.clone(),
                stream(&with_side(raw)),
            ]),
            NutError::Changed,
        ),
    ];
    for (bytes, expected) in cases {
        let error = match NutReader::new(&bytes[..]) {
            Ok(mut reader) => reader.read_frame(18, &mut Vec::new()).unwrap_err(),
            Err(error) => error,
        };
        assert_eq!(error, expected);
    }
    let mut huge = FILE_ID.to_vec();
    huge.extend(MAIN.to_be_bytes());
    let start = FILE_ID.len();
    push_number(&mut huge, 1 << 40);
    huge.extend(crc(0, &huge[start..]).to_be_bytes());
    assert_eq!(read(&huge), Err(NutError::PacketSize(1 << 40)));
    let mut reader = NutReader::new(&good[..]).unwrap();
    let size = reader.read_frame(17, &mut Vec::new());
    let (expected, actual) = (17, 18);
    assert_eq!(size, Err(NutError::FrameSize { expected, actual }));
    let unused = [&good[..frame_at - 30], &[]].concat();
    assert!(read(&unused).is_err());
    let mut unknown = written(&[]);
    unknown.extend(packet_of(SYNC_POINT, &[0, 0]));
    unknown.push(200);
    assert_eq!(read(&unknown), Err(NutError::FrameCode(200)));
}

fn with_side(mut fields: [u64; 18]) -> [u64; 18] {
    fields[13] = 4;
    fields
}

#[test]
fn short_times_are_near_the_last_one() {
    assert_eq!(full_pts(5, 1000, 7), Some(1029));
    assert_eq!(full_pts(127, 1000, 7), Some(1023));
    assert_eq!(full_pts(128 + 77, 1000, 7), Some(77));
    assert_eq!(full_pts(0, i64::MIN, 7), None);
}
