//! Undoes the content encoding of a request's body: compressed bytes in, a reader of the body out.
//!
//! How much comes out is for the caller to bound. zstd's window is bounded here, and so is the number of
//! gzip's members: each takes time, also one that gives nothing.

use std::io::{self, Read};

use axum::http::{HeaderMap, header};
use flate2::bufread::{GzDecoder, ZlibDecoder};
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use crate::problem::{ACCEPTED_ENCODINGS, Problem, ProblemKind};

/// Largest window of zstd that an encoder may use over HTTP (RFC 9659).
const MAX_WINDOW: u64 = 8 << 20;

/// Most members of gzip, and most frames of zstd. Encoders write one, parallel ones some for each megabyte.
const MAX_MEMBERS: usize = 1 << 16;

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentEncoding {
    /// Not at all.
    Identity,
    /// RFC 1952, any number of members.
    Gzip,
    /// RFC 1950.
    Deflate,
    /// RFC 8878, any number of frames.
    Zstd,
}

impl ContentEncoding {
    /// The encoding by the headers: one at most.
    pub fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let values = headers.get_all(header::CONTENT_ENCODING).iter();
        let names = values.flat_map(|value| value.to_str().unwrap_or("?").split(','));
        let names = names.map(|name| name.trim().to_ascii_lowercase());
        let mut names = names.filter(|name| !matches!(name.as_str(), "" | "identity"));
        let encoding = match names.next().as_deref() {
            None => Some(Self::Identity),
            Some("gzip" | "x-gzip") => Some(Self::Gzip),
            Some("deflate") => Some(Self::Deflate),
            Some("zstd") => Some(Self::Zstd),
            Some(_) => None,
        };
        encoding.filter(|_| names.next().is_none()).ok_or_else(|| {
            let detail =
                format!("the content encoding must be one of {ACCEPTED_ENCODINGS}, or none");
            Problem::new(ProblemKind::UnsupportedEncoding, detail)
        })
    }

    /// Undoes it, piece by piece. `reserve` is asked before memory of some size is taken for a window.
    pub fn reader<'a>(
        self,
        body: &'a [u8],
        reserve: &'a dyn Fn(usize) -> bool,
    ) -> Box<dyn Read + 'a> {
        match self {
            Self::Identity => Box::new(body),
            Self::Gzip => Box::new(GzipReader {
                member: GzDecoder::new(body),
                members: 1,
            }),
            Self::Deflate => Box::new(ZlibDecoder::new(body)),
            Self::Zstd => Box::new(ZstdReader::new(body, reserve)),
        }
    }
}

/// Reads the members of gzip one after the other.
struct GzipReader<'a> {
    member: GzDecoder<&'a [u8]>,
    members: usize,
}

impl Read for GzipReader<'_> {
    fn read(&mut self, piece: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.member.read(piece)?;
            let rest = *self.member.get_ref();
            if read > 0 || piece.is_empty() || rest.is_empty() {
                return Ok(read);
            }
            self.members += 1;
            if self.members > MAX_MEMBERS {
                return Err(invalid(format!("it has more than {MAX_MEMBERS} members")));
            }
            self.member = GzDecoder::new(rest);
        }
    }
}

/// Reads the frames of zstd one after the other.
struct ZstdReader<'a> {
    rest: &'a [u8],
    reserve: &'a dyn Fn(usize) -> bool,
    /// What was reserved.
    window: u64,
    decoder: FrameDecoder,
    frames: usize,
    /// What the frame says that comes out of it, and what has come.
    announced: u64,
    decoded: u64,
    is_within: bool,
    is_empty: bool,
}

impl<'a> ZstdReader<'a> {
    fn new(body: &'a [u8], reserve: &'a dyn Fn(usize) -> bool) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(MAX_WINDOW);
        Self {
            rest: body,
            reserve,
            window: 0,
            decoder,
            frames: 0,
            announced: 0,
            decoded: 0,
            is_within: false,
            is_empty: body.is_empty(),
        }
    }

    fn begin_frame(&mut self) -> io::Result<()> {
        self.frames += 1;
        if self.frames > MAX_MEMBERS {
            return Err(invalid(format!("it has more than {MAX_MEMBERS} frames")));
        }
        let window = window_size(self.rest);
        if window > MAX_WINDOW {
            return Err(invalid(format!(
                "it needs a zstd window of {window} bytes, over HTTP at most {MAX_WINDOW} are allowed (RFC \
                 9659): compress it with level 19 or less, without --ultra and --long"
            )));
        }
        if let Some(more @ 1..) = window.checked_sub(self.window) {
            if !(self.reserve)(more as usize) {
                return Err(io::ErrorKind::OutOfMemory.into());
            }
            self.window = window;
        }
        use FrameDecoderError::ReadFrameHeaderError as Header;
        match self.decoder.init(&mut self.rest) {
            Ok(()) => {
                self.is_within = true;
                (self.announced, self.decoded) = (self.decoder.content_size(), 0);
            }
            Err(Header(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                let rest = self.rest.get(length as usize..);
                self.rest = rest.ok_or_else(|| invalid("a frame is cut off"))?;
            }
            Err(error) => return Err(invalid(error)),
        }
        Ok(())
    }

    fn end_frame(&mut self) -> io::Result<()> {
        self.is_within = false;
        // Without a size in its head, 0 is announced.
        if self.announced > 0 && self.announced != self.decoded {
            return Err(invalid("a frame does not have the size that it announces"));
        }
        let announced = self.decoder.get_checksum_from_data();
        match announced.is_none() || announced == self.decoder.get_calculated_checksum() {
            true => Ok(()),
            false => Err(invalid("its checksum is wrong")),
        }
    }
}

impl Read for ZstdReader<'_> {
    fn read(&mut self, piece: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.is_within {
                match self.rest {
                    [] if self.is_empty => return Err(io::ErrorKind::UnexpectedEof.into()),
                    [] => return Ok(0),
                    _ => self.begin_frame()?,
                }
            } else if self.decoder.can_collect() > 0 {
                let read = self.decoder.read(piece)?;
                self.decoded += read as u64;
                return Ok(read);
            } else if self.decoder.is_finished() {
                self.end_frame()?;
            } else {
                let one = BlockDecodingStrategy::UptoBlocks(1);
                let decoded = self.decoder.decode_blocks(&mut self.rest, one);
                decoded.map_err(invalid)?;
            }
        }
    }
}

/// What the frame at the start of `body` needs as a window; 0 if there is none.
fn window_size(mut body: &[u8]) -> u64 {
    let mut probe = FrameDecoder::new();
    probe.set_max_window_size(0);
    match probe.init(&mut body) {
        Err(FrameDecoderError::WindowSizeTooBig { requested, .. }) => requested,
        _ => 0,
    }
}

fn invalid(reason: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.to_string())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::io::Write;

    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    /// What comes out, and what was reserved for windows.
    fn decode(encoding: ContentEncoding, body: &[u8]) -> io::Result<(Vec<u8>, usize)> {
        let (mut decoded, reserved) = (Vec::new(), Cell::new(0));
        let reserve = |bytes: usize| {
            reserved.set(reserved.get() + bytes);
            true
        };
        encoding.reader(body, &reserve).read_to_end(&mut decoded)?;
        Ok((decoded, reserved.get()))
    }

    fn unpacked(body: &[u8]) -> Vec<u8> {
        decode(ContentEncoding::Zstd, body).unwrap().0
    }

    fn refusal(body: &[u8]) -> String {
        decode(ContentEncoding::Zstd, body).unwrap_err().to_string()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        compress_to_vec(bytes, CompressionLevel::Fastest)
    }

    /// A frame with a window of 2^`log` bytes and one block: `length` times the same byte.
    fn repeated(log: u8, length: u32) -> Vec<u8> {
        let block = (length << 3 | 0b011).to_le_bytes();
        let head = [b"\x28\xb5\x2f\xfd\x00", &[(log - 10) << 3][..]].concat();
        [&head, &block[..3], b"z"].concat()
    }

    fn of(values: &[&str]) -> Result<ContentEncoding, Problem> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::CONTENT_ENCODING, value.parse().unwrap());
        }
        ContentEncoding::of(&headers)
    }

    #[test]
    fn one_encoding_is_taken_and_no_other() {
        for (values, encoding) in [
            (&[][..], ContentEncoding::Identity),
            (&["identity"], ContentEncoding::Identity),
            (&["GZIP"], ContentEncoding::Gzip),
            (&["x-gzip, identity"], ContentEncoding::Gzip),
            (&["deflate"], ContentEncoding::Deflate),
            (&["", "zstd"], ContentEncoding::Zstd),
        ] {
            assert_eq!(of(values), Ok(encoding), "{values:?}");
        }
        for values in [
            &["br"][..],
            &["gzip, gzip"],
            &["gzip", "zstd"],
            &["gzip;q=1"],
        ] {
            let refused = of(values).unwrap_err();
            assert_eq!(refused.kind, ProblemKind::UnsupportedEncoding, "{values:?}");
        }
    }

    #[test]
    fn frames_and_members_are_joined() {
        let gzip = |bytes: &[u8]| {
            let mut writer = flate2::write::GzEncoder::new(Vec::new(), Default::default());
            writer.write_all(bytes).unwrap();
            writer.finish().unwrap()
        };
        let skippable = b"\x50\x2a\x4d\x18\x03\0\0\0abc";
        let text = b"one two ".repeat(50_000);
        let (first, second) = text.split_at(123_456);
        let frames = [skippable, &zstd(first)[..], &zstd(second), skippable].concat();
        assert!(unpacked(&frames) == text);
        let members = [gzip(first), gzip(second)].concat();
        assert!(decode(ContentEncoding::Gzip, &members).unwrap().0 == text);
        assert_eq!(unpacked(&zstd(b"")), b"");
    }

    #[test]
    fn the_window_is_bounded_and_reserved_once() {
        let frames = [repeated(12, 9), repeated(23, 9), repeated(20, 9)].concat();
        let (decoded, reserved) = decode(ContentEncoding::Zstd, &frames).unwrap();
        assert_eq!((decoded.len(), reserved), (27, 8 << 20));
        let mut poor = ContentEncoding::Zstd.reader(&frames, &|bytes| bytes < 1 << 20);
        let refused = poor.read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::OutOfMemory);
        assert!(refusal(&repeated(24, 9)).contains("RFC 9659"));
    }

    #[test]
    fn empty_members_have_an_end() {
        let empty = flate2::write::GzEncoder::new(Vec::new(), Default::default());
        let empty = empty.finish().unwrap();
        let decode = |count| decode(ContentEncoding::Gzip, &empty.repeat(count));
        assert_eq!(decode(MAX_MEMBERS).unwrap().0, b"");
        let refused = decode(MAX_MEMBERS + 1).unwrap_err();
        assert!(refused.to_string().contains("members"), "{refused}");
    }

    #[test]
    fn a_frame_has_the_size_that_it_announces() {
        // A single segment with a one-byte size, and one block of five times the same byte.
        let frame = |size: u8| {
            let block = (5_u32 << 3 | 0b011).to_le_bytes();
            [b"\x28\xb5\x2f\xfd\x20", &[size][..], &block[..3], b"z"].concat()
        };
        assert_eq!(unpacked(&frame(5)), b"zzzzz");
        assert!(refusal(&frame(9)).contains("announces"));
        let many = frame(5).repeat(MAX_MEMBERS + 1);
        assert!(refusal(&many).contains("frames"));
    }

    #[test]
    fn what_is_broken_is_refused() {
        let whole = zstd(&b"one two three ".repeat(100));
        let mut wrong = whole.clone();
        *wrong.last_mut().unwrap() ^= 1;
        assert!(refusal(&wrong).contains("checksum"));
        for body in [
            &whole[..whole.len() - 1],
            b"",
            b"not zstd at all",
            b"\x50\x2a\x4d\x18\xff\xff\xff\xff",
            &[&whole[..], b"x"].concat(),
            // It names a dictionary.
            b"\x28\xb5\x2f\xfd\x01\x00\x07\x01\x00\x00",
        ] {
            assert!(!refusal(body).is_empty(), "{body:?}");
        }
    }
}
