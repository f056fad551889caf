//! Files whose pixels are whole but whose end is missing, and other oddities that cheap cameras and
//! cut transfers leave.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use onelook_media::{DecodeError, DecodeWarning, DecodedImage, ImageFormat, Limits, decode_image};
use onelook_types::Frame;

const JPEG_END: [u8; 2] = [0xff, 0xd9];

fn fixture(name: &str) -> Vec<u8> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    fs::read(directory.join(name)).unwrap()
}

fn without_end(name: &str, bytes: usize) -> Vec<u8> {
    let mut file = fixture(name);
    file.truncate(file.len() - bytes);
    file
}

fn decode(bytes: &[u8]) -> Result<DecodedImage, DecodeError> {
    decode_image(bytes, &Limits::default())
}

fn whole(name: &str) -> Frame {
    let image = decode(&fixture(name)).unwrap();
    assert_eq!(image.warnings, [], "{name}");
    image.frame
}

fn assert_warned(bytes: &[u8], name: &str, format: ImageFormat) {
    let image = decode(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(
        image.warnings,
        [DecodeWarning::MissingEnd { format }],
        "{name}"
    );
    assert!(
        image.warnings[0]
            .to_string()
            .contains(&format!("this {format} lacks its end"))
    );
    assert!(image.frame == whole(name), "{name}: other pixels");
}

fn assert_silent(bytes: &[u8], name: &str) {
    let image = decode(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(image.warnings, [], "{name}");
    assert!(image.frame == whole(name), "{name}: other pixels");
}

fn reason(bytes: &[u8]) -> String {
    decode(bytes).unwrap_err().to_string()
}

/// Where the segments of a JPEG begin, and their markers.
fn segments(jpeg: &[u8]) -> Vec<(usize, u8)> {
    let mut found = Vec::new();
    let mut at = 2;
    while at + 4 <= jpeg.len() {
        match (jpeg[at], jpeg[at + 1]) {
            (0xff, marker) if !matches!(marker, 0 | 0xff | 0xd0..=0xd7) => {
                found.push((at, marker));
                at += 2 + usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
            }
            _ => at += 1,
        }
    }
    found
}

#[test]
fn a_jpeg_without_its_end_marker_is_whole_with_a_warning() {
    for name in [
        "rgb420.jpg",
        "rgb422.jpg",
        "grey.jpg",
        "restart.jpg",
        "progressive.jpg",
        "cmyk.jpg",
    ] {
        assert_warned(&without_end(name, 2), name, ImageFormat::Jpeg);
        assert_warned(&without_end(name, 1), name, ImageFormat::Jpeg);
        let bare = without_end(name, 2);
        assert_warned(&[&bare[..], &[0; 100]].concat(), name, ImageFormat::Jpeg);
        // A segment that was cut.
        assert_warned(
            &[&bare[..], b"\xff\xe1\0\x10abc"].concat(),
            name,
            ImageFormat::Jpeg,
        );
    }
}

#[test]
fn what_follows_the_end_of_a_jpeg_is_left_alone() {
    for name in ["rgb420.jpg", "restart.jpg", "progressive.jpg"] {
        let file = fixture(name);
        assert_silent(&[&file[..], b"\xff\xc4hello\0\0"].concat(), name);
        assert_silent(&[&file[..], &file[..]].concat(), name);
    }
    // Frames of a stream, one after the other, the first without its end.
    let file = fixture("rgb420.jpg");
    assert_silent(
        &[&without_end("rgb420.jpg", 2)[..], &file[..]].concat(),
        "rgb420.jpg",
    );
}

#[test]
fn a_jpeg_that_lacks_pixels_stays_an_error() {
    for name in ["rgb420.jpg", "restart.jpg", "progressive.jpg"] {
        let length = fixture(name).len();
        assert!(reason(&without_end(name, length / 3)).contains("damaged or cut short"));
    }
    // Also where it had its end marker.
    let cut = [&without_end("rgb420.jpg", 60)[..], &JPEG_END].concat();
    assert!(reason(&cut).contains("a scan ends early"));
}

/// After whole scans a progressive image is there, but coarse: no image that a result may rest on.
/// One that says so itself, by its end marker, is taken at its word.
#[test]
fn a_progressive_jpeg_cut_between_scans_is_an_error() {
    let file = fixture("progressive.jpg");
    let starts: Vec<usize> = segments(&file)
        .into_iter()
        .filter_map(|(at, marker)| (marker == 0xda).then_some(at))
        .collect();
    assert!(starts.len() > 3);
    for &start in &starts[1..] {
        assert!(reason(&file[..start]).contains("it ends before its last scan"));
        let ended = [&file[..start], &JPEG_END].concat();
        let image = decode(&ended).unwrap();
        assert_eq!(image.warnings, []);
        assert!(image.frame != whole("progressive.jpg"));
    }
}

/// OpenCV and Pillow refuse it too: what precedes an image is no business of a decoder.
#[test]
fn bytes_ahead_of_a_jpeg_are_an_error() {
    let file = [b"\r\n", &fixture("rgb420.jpg")[..]].concat();
    assert!(reason(&file).contains("not an image of a known format"));
}

#[test]
fn a_frame_of_motion_jpeg_needs_no_huffman_tables() {
    let frame = Frame::filled(33, 17, [200, 30, 90]).unwrap();
    // This encoder writes the tables of the standard.
    let file = onelook_media::encode_jpeg(&frame, 90).unwrap();
    let mut stripped = file[..2].to_vec();
    let parts = segments(&file);
    let ends = parts.iter().skip(1).map(|&(at, _)| at).chain([file.len()]);
    for (&(at, marker), end) in parts.iter().zip(ends) {
        if marker != 0xc4 {
            stripped.extend_from_slice(&file[at..end]);
        }
    }
    assert!(stripped.len() + 400 < file.len());
    assert_eq!(decode(&stripped).unwrap(), decode(&file).unwrap());
}

#[test]
fn other_formats_without_their_end_are_whole_with_a_warning() {
    let cases = [
        ("rgb8.png", 12, ImageFormat::Png),
        ("rgb8.png", 14, ImageFormat::Png),
        ("interlaced.png", 12, ImageFormat::Png),
        ("palette8.png", 5, ImageFormat::Png),
        ("palette.gif", 1, ImageFormat::Gif),
        ("interlaced.gif", 1, ImageFormat::Gif),
        // The end of its last row, and that of the image.
        ("rle8.bmp", 4, ImageFormat::Bmp),
        // Within its second frame.
        ("animated.webp", 8, ImageFormat::WebP),
    ];
    for (name, bytes, format) in cases {
        assert_warned(&without_end(name, bytes), name, format);
    }
}

#[test]
fn what_follows_other_formats_is_left_alone() {
    for name in [
        "rgb8.png",
        "palette.gif",
        "lossy.webp",
        "rgb24.bmp",
        "rle8.bmp",
        "rgb8.tif",
    ] {
        assert_silent(&[&fixture(name)[..], b"\r\nmore"].concat(), name);
    }
}

#[test]
fn other_formats_that_lack_pixels_stay_an_error() {
    for (name, bytes) in [
        ("rgb8.png", 40),
        ("palette.gif", 20),
        ("rle8.bmp", 20),
        ("rgb24.bmp", 2),
        ("lossy.webp", 8),
        ("lossless.webp", 8),
        // Its orientation is cut off: nobody knows which way is up.
        ("orientation6.webp", 8),
    ] {
        let message = reason(&without_end(name, bytes));
        assert!(
            message.contains("damaged or cut short"),
            "{name}: {message}"
        );
    }
}
