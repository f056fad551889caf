//! Every fixture against what OpenCV read from it (see fixtures/make.py).
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use onelook_media::{DecodeError, Limits, decode, encode_jpeg, encode_png};
use onelook_types::Frame;

/// A fixture, and the largest and mean difference allowed.
struct Case {
    name: &'static str,
    largest: u8,
    mean: f64,
}

const fn exact(name: &'static str) -> Case {
    Case {
        name,
        largest: 0,
        mean: 0.0,
    }
}

const CASES: &[Case] = &[
    exact("adobe-rgb.jpg"),
    exact("cmyk.jpg"),
    exact("grey.jpg"),
    exact("orientation1.jpg"),
    exact("orientation2.jpg"),
    exact("orientation3.jpg"),
    exact("orientation4.jpg"),
    exact("orientation5.jpg"),
    exact("orientation6.jpg"),
    exact("orientation7.jpg"),
    exact("orientation8.jpg"),
    exact("progressive.jpg"),
    exact("restart.jpg"),
    exact("rgb420.jpg"),
    exact("rgb422.jpg"),
    exact("rgb444.jpg"),
    exact("grey-alpha8.png"),
    exact("grey1.png"),
    exact("grey16.png"),
    exact("grey8.png"),
    exact("interlaced.png"),
    exact("orientation6.png"),
    exact("palette2.png"),
    exact("palette4-transparent.png"),
    exact("palette8.png"),
    exact("rgb16.png"),
    exact("rgb8.png"),
    exact("rgba8.png"),
    exact("animated.webp"),
    exact("lossless-alpha.webp"),
    exact("lossless.webp"),
    exact("lossy-alpha.webp"),
    exact("lossy.webp"),
    exact("orientation6.webp"),
    exact("grey8.bmp"),
    exact("palette1.bmp"),
    exact("palette4.bmp"),
    exact("palette8.bmp"),
    exact("rgb24-topdown.bmp"),
    exact("rgb24.bmp"),
    exact("rgb32.bmp"),
    exact("rgb555.bmp"),
    exact("rgb565.bmp"),
    exact("rle8.bmp"),
    exact("cmyk8.tif"),
    exact("grey1.tif"),
    exact("grey16.tif"),
    exact("grey8.tif"),
    exact("pages.tif"),
    exact("palette8.tif"),
    // OpenCV rounds 16 bits of colour to 8, but cuts those of grey.
    Case {
        name: "rgb16.tif",
        largest: 1,
        mean: 0.2,
    },
    exact("rgb8-deflate.tif"),
    // JPEG within TIFF is read by another decoder.
    Case {
        name: "rgb8-jpeg.tif",
        largest: 1,
        mean: 0.02,
    },
    exact("rgb8-lzw.tif"),
    exact("rgb8-packbits.tif"),
    exact("rgb8.tif"),
    exact("rgba8.tif"),
    exact("animated.gif"),
    exact("grey.gif"),
    exact("interlaced.gif"),
    exact("palette.gif"),
];

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn decode_file(name: &str) -> Frame {
    let bytes = fs::read(fixtures().join(name)).unwrap();
    decode(&bytes, &Limits::default()).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Largest and mean difference.
fn difference(left: &Frame, right: &Frame) -> (u8, f64) {
    assert_eq!(
        (left.width(), left.height()),
        (right.width(), right.height())
    );
    let pairs = left.pixels().iter().zip(right.pixels());
    let differences: Vec<u8> = pairs.map(|(a, b)| a.abs_diff(*b)).collect();
    let sum: f64 = differences.iter().copied().map(f64::from).sum();
    let largest = differences.iter().copied().max().unwrap();
    (largest, sum / differences.len() as f64)
}

#[test]
fn images_decode_as_opencv_decodes_them() {
    for case in CASES {
        let ours = decode_file(case.name);
        let reference = decode_file(&format!("reference/{}.png", case.name));
        let (largest, mean) = difference(&ours, &reference);
        assert!(
            largest <= case.largest && mean <= case.mean,
            "{}: differs by up to {largest}, {mean:.3} on average",
            case.name
        );
    }
}

#[test]
fn every_fixture_is_a_case() {
    let files: BTreeSet<String> = fs::read_dir(fixtures().join("reference"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .map(|name| name.strip_suffix(".png").unwrap().to_owned())
        .collect();
    let cases: BTreeSet<String> = CASES.iter().map(|case| case.name.to_owned()).collect();
    assert_eq!(files, cases);
}

#[test]
fn a_tiff_is_turned_upright() {
    let (largest, _) = difference(
        &decode_file("orientation6.tif"),
        &decode_file("orientation6.png"),
    );
    assert_eq!(largest, 0);
}

#[test]
fn an_image_with_too_many_pixels_is_refused_by_its_header() {
    let cases = [
        ("huge/rgb420.jpg", 65_500),
        ("huge/rgb8.png", 100_000),
        ("huge/lossy-alpha.webp", 100_000),
        ("huge/rgb24.bmp", 100_000),
        ("huge/rgb8.tif", 100_000),
        ("huge/palette.gif", 65_535),
    ];
    for (name, side) in cases {
        let bytes = fs::read(fixtures().join(name)).unwrap();
        match decode(&bytes, &Limits::default()) {
            Err(DecodeError::TooManyPixels { width, height, .. }) => {
                assert_eq!((width, height), (side, side), "{name}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn limits_hold_to_the_pixel_and_to_the_byte() {
    for case in CASES {
        let bytes = fs::read(fixtures().join(case.name)).unwrap();
        let enough = Limits {
            max_pixels: 45 * 31,
            max_bytes: bytes.len() as u64,
        };
        assert!(decode(&bytes, &enough).is_ok(), "{}", case.name);
        let few_pixels = Limits {
            max_pixels: 45 * 31 - 1,
            ..enough
        };
        let refused = decode(&bytes, &few_pixels);
        assert!(
            matches!(refused, Err(DecodeError::TooManyPixels { .. })),
            "{}: {refused:?}",
            case.name
        );
        let few_bytes = Limits {
            max_bytes: bytes.len() as u64 - 1,
            ..enough
        };
        let refused = decode(&bytes, &few_bytes);
        assert!(
            matches!(refused, Err(DecodeError::TooManyBytes { .. })),
            "{}: {refused:?}",
            case.name
        );
    }
}

#[test]
fn what_is_no_image_is_named() {
    let cases: [(&[u8], &str); 6] = [
        (b"", "empty"),
        (b"\0\0\0\x18ftypheic\0\0", "HEIC"),
        (b"\0\0\0\x18ftypisom\0\0", "video"),
        (b"<!DOCTYPE html>", "HTML"),
        (b"PK\x03\x04", "ZIP"),
        (b"hello world", "68, 65, 6c"),
    ];
    for (bytes, word) in cases {
        let message = decode(bytes, &Limits::default()).unwrap_err().to_string();
        assert!(message.contains(word), "{message}");
    }
}

#[test]
fn what_is_encoded_decodes_again() {
    let frame = decode_file("rgb8.png");
    let png = encode_png(&frame).unwrap();
    assert_eq!(decode(&png, &Limits::default()).unwrap(), frame);
    for (quality, most) in [(0, 60.0), (75, 12.0), (90, 2.0), (100, 1.0)] {
        let jpeg = encode_jpeg(&frame, quality).unwrap();
        let (_, mean) = difference(&decode(&jpeg, &Limits::default()).unwrap(), &frame);
        assert!(mean < most, "quality {quality}: {mean}");
    }
}

#[test]
fn a_side_too_long_for_jpeg_is_refused() {
    let frame = Frame::filled(70_000, 1, [1, 2, 3]).unwrap();
    let message = encode_jpeg(&frame, 90).unwrap_err().to_string();
    assert!(
        message.contains("70000x1") && message.contains("PNG"),
        "{message}"
    );
}
