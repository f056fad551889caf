//! Placement and scaling against what the reference implementation and OpenCV did with the same
//! sizes and bytes, and properties that hold for any size.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use onelook_types::{BoxXyxy, Frame, LetterboxMode, LetterboxPlacement, LetterboxRecipe};
use onelook_vision::letterbox::{
    fill_input, letterbox, place, place_on_canvas, scale_back, shared_canvas,
};
use proptest::prelude::*;

fn numbers<T: std::str::FromStr>(words: &str) -> Vec<T> {
    let parse = |word: &str| word.parse().ok().expect("a number");
    words.split_whitespace().map(parse).collect()
}

fn recipe(width: usize, height: usize, mode: LetterboxMode) -> LetterboxRecipe {
    LetterboxRecipe {
        height,
        width,
        mode,
        padding: 114,
    }
}

fn bbox(sides: &[f32]) -> BoxXyxy {
    BoxXyxy {
        x1: sides[0],
        y1: sides[1],
        x2: sides[2],
        y2: sides[3],
    }
}

fn random_frame(width: usize, height: usize) -> Frame {
    let mut state = 1u64;
    let pixels = (0..width * height * 3).map(|_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    });
    Frame::new(width, height, pixels.collect()).unwrap()
}

/// A placement that only scales.
fn stretch(source: [usize; 2], target: [usize; 2]) -> LetterboxPlacement {
    LetterboxPlacement {
        width: target[0],
        height: target[1],
        scaled_width: target[0],
        scaled_height: target[1],
        left: 0,
        top: 0,
        source_width: source[0],
        source_height: source[1],
    }
}

#[test]
fn images_land_where_the_reference_puts_them() {
    for line in include_str!("fixtures/placement.txt").lines() {
        if line.starts_with('#') {
            continue;
        }
        let parts: Vec<&str> = line.split(':').collect();
        let (mode, sizes) = parts[0].split_once(' ').unwrap();
        let sizes: Vec<usize> = numbers(sizes);
        let fitted = |mode| place(&recipe(sizes[0], sizes[1], mode), sizes[2], sizes[3]);
        let placement = match mode {
            "rect" => fitted(LetterboxMode::Rect { stride: 32 }),
            "square" => fitted(LetterboxMode::Square),
            _ => place_on_canvas(sizes[0], sizes[1], sizes[2], sizes[3], sizes[4]),
        };
        let expected: Vec<usize> = numbers(parts[1]);
        let actual = [
            placement.width,
            placement.height,
            placement.scaled_width,
            placement.scaled_height,
            placement.left,
            placement.top,
        ];
        assert_eq!(actual, expected[..], "{line}");
        let actual = scale_back(bbox(&numbers::<f32>(parts[2])), &placement);
        let expected = bbox(&numbers::<f32>(parts[3]));
        let close = |a: f32, b: f32| (a - b).abs() <= 0.01;
        assert!(
            close(actual.x1, expected.x1)
                && close(actual.y1, expected.y1)
                && close(actual.x2, expected.x2)
                && close(actual.y2, expected.y2),
            "{line}: {actual:?}"
        );
    }
}

#[test]
fn scaling_equals_opencv_to_the_bit() {
    for line in include_str!("fixtures/bilinear.txt").lines() {
        if line.starts_with('#') {
            continue;
        }
        let (sizes, checksum) = line.rsplit_once(' ').unwrap();
        let sizes: Vec<usize> = numbers(sizes);
        let frame = random_frame(sizes[0], sizes[1]);
        let placement = stretch([sizes[0], sizes[1]], [sizes[2], sizes[3]]);
        let hash = letterbox(&frame, &placement, 0)
            .pixels()
            .iter()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
        assert_eq!(format!("{hash:016x}"), checksum, "{line}");
    }
}

#[test]
fn an_image_of_the_right_size_is_only_padded() {
    let frame = random_frame(4, 2);
    let placement = place(&recipe(4, 4, LetterboxMode::Square), 4, 2);
    let padded = letterbox(&frame, &placement, 9);
    assert_eq!(padded.row(0), [9; 12]);
    assert_eq!(padded.row(1), frame.row(0));
    assert_eq!(padded.row(2), frame.row(1));
    assert_eq!(padded.row(3), [9; 12]);
}

#[test]
fn a_batch_shares_the_canvas_that_the_reference_gives_it() {
    let canvas = |sizes: &[[usize; 2]]| shared_canvas(640, 32, sizes);
    assert_eq!(canvas(&[[640, 480]]), [672, 512]);
    assert_eq!(canvas(&[[640, 427], [640, 360]]), [672, 448]);
    assert_eq!(canvas(&[[375, 500], [333, 500]]), [512, 672]);
    assert_eq!(canvas(&[[640, 480], [480, 640]]), [672, 672]);
    assert_eq!(canvas(&[]), [672, 672]);
}

fn sides() -> impl Strategy<Value = usize> {
    prop_oneof![Just(1usize), 1usize..80, 80usize..300]
}

fn modes() -> impl Strategy<Value = LetterboxMode> {
    prop_oneof![
        Just(LetterboxMode::Square),
        (0usize..70).prop_map(|stride| LetterboxMode::Rect { stride }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_image_fits_any_target(
        target in [0usize..100, 0usize..100],
        source in [sides(), sides()],
        mode in modes(),
    ) {
        let placement = place(&recipe(target[0], target[1], mode), source[0], source[1]);
        prop_assert!(placement.width <= target[0].max(1));
        prop_assert!(placement.height <= target[1].max(1));
        let frame = random_frame(source[0], source[1]);
        let padded = letterbox(&frame, &placement, 114);
        prop_assert_eq!(padded.width(), placement.width);
        prop_assert_eq!(padded.height(), placement.height);
    }

    #[test]
    fn the_input_holds_the_padded_image_in_planes(
        target in [1usize..70, 1usize..70],
        source in [sides(), sides()],
        mode in modes(),
    ) {
        let placement = place(&recipe(target[0], target[1], mode), source[0], source[1]);
        let frame = random_frame(source[0], source[1]);
        let plane = placement.width * placement.height;
        let mut input = vec![f32::NAN; 3 * plane];
        fill_input(&frame, &placement, 114, &mut input);
        let padded = letterbox(&frame, &placement, 114);
        for (index, pixel) in padded.pixels().chunks_exact(3).enumerate() {
            for channel in 0..3 {
                prop_assert_eq!(input[channel * plane + index], f32::from(pixel[channel]) / 255.0);
            }
        }
    }

    #[test]
    fn a_box_comes_back_to_where_it_was(
        source in [1usize..4000, 1usize..4000],
        corners in [0.0f32..1.0, 0.0f32..1.0, 0.0f32..1.0, 0.0f32..1.0],
        mode in modes(),
    ) {
        let placement = place(&recipe(640, 640, mode), source[0], source[1]);
        let gain_x = placement.scaled_width as f32 / source[0] as f32;
        let gain_y = placement.scaled_height as f32 / source[1] as f32;
        let (width, height) = (source[0] as f32, source[1] as f32);
        let original = BoxXyxy {
            x1: corners[0].min(corners[2]) * width,
            y1: corners[1].min(corners[3]) * height,
            x2: corners[0].max(corners[2]) * width,
            y2: corners[1].max(corners[3]) * height,
        };
        let on_input = BoxXyxy {
            x1: original.x1 * gain_x + placement.left as f32,
            y1: original.y1 * gain_y + placement.top as f32,
            x2: original.x2 * gain_x + placement.left as f32,
            y2: original.y2 * gain_y + placement.top as f32,
        };
        let back = scale_back(on_input, &placement);
        let tolerance = 0.001 * width.max(height).max(1.0);
        prop_assert!((back.x1 - original.x1).abs() <= tolerance);
        prop_assert!((back.y1 - original.y1).abs() <= tolerance);
        prop_assert!((back.x2 - original.x2).abs() <= tolerance);
        prop_assert!((back.y2 - original.y2).abs() <= tolerance);
    }
}
