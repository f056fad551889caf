//! Which files are videos, by their first bytes.
//!
//! Playlists and lists of other files are none: ffmpeg would open what they name. What begins like a video may
//! still look like a list further on, so ffmpeg is told the container.

/// Bytes that are needed to tell.
pub const NEEDED: usize = 400;

/// ffmpeg's name of the container of a file that begins like this: one that names no other file.
pub fn container(start: &[u8]) -> Option<&'static str> {
    let at = |offset: usize, text: &[u8]| start.get(offset..offset + text.len()) == Some(text);
    let is_box = ["ftyp", "moov", "mdat", "wide", "free", "skip"]
        .iter()
        .any(|kind| at(4, kind.as_bytes()));
    // Packets of 188 bytes, or of 192 with their time.
    let is_ts = |first: usize, size: usize| (0..2).all(|index| at(first + index * size, b"G"));
    if is_box {
        Some("mov")
    } else if at(0, &[0x1a, 0x45, 0xdf, 0xa3]) {
        Some("matroska")
    } else if at(0, b"RIFF") && at(8, b"AVI ") {
        Some("avi")
    } else if at(0, b"FLV\x01") {
        Some("flv")
    } else if at(0, &[0, 0, 1, 0xba]) {
        Some("mpeg")
    } else if is_ts(0, 188) || is_ts(4, 192) {
        Some("mpegts")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn videos_are_known_by_their_start_and_lists_of_files_are_none() {
        let mut packets = vec![0; NEEDED];
        (packets[0], packets[188]) = (b'G', b'G');
        for (start, expected) in [
            (b"\0\0\0\x20ftypisom".as_slice(), Some("mov")),
            (b"\x1aE\xdf\xa3\x01", Some("matroska")),
            (b"RIFF\0\0\0\0AVI LIST", Some("avi")),
            (b"RIFF\0\0\0\0WEBPVP8 ", None),
            (&packets, Some("mpegts")),
            (b"#EXTM3U\nfile:///etc/passwd", None),
            (b"ffconcat version 1.0\nfile /etc/passwd", None),
            (b"v=0\r\nc=IN IP4 10.0.0.1", None),
            (b"G", None),
            (b"", None),
        ] {
            assert_eq!(container(start), expected, "{start:?}");
        }
    }
}
