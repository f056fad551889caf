//! Masks from prototypes, and their outlines: against the plain definition, for random cases.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use onelook_types::{
    BoxXyxy, DetectHead, Frame, Head, Instance, Instances, LetterboxMode, LetterboxPlacement,
    LetterboxRecipe, Mask, OutputEncoding, PixelRect, SegmentHead, Tensor, Thresholds,
};
use onelook_vision::draw::{DrawStyle, draw};
use onelook_vision::letterbox::place;
use onelook_vision::masks::{Prototypes, polygon};
use onelook_vision::output0::decode_output0;
use onelook_vision::postprocess::postprocess;
use proptest::prelude::*;

const COUNT: usize = 3;

fn placement(width: usize, height: usize) -> LetterboxPlacement {
    let recipe = LetterboxRecipe {
        height: 64,
        width: 64,
        mode: LetterboxMode::Square,
        padding: 114,
    };
    place(&recipe, width, height)
}

fn random(length: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..length).map(|_| next()).collect()
}

/// The sum of all prototypes at a place between values.
fn value(prototypes: &[f32], side: usize, coefficients: &[f32], [x, y]: [f64; 2]) -> f64 {
    let tap = |place: f64| {
        let place = place.max(0.0);
        let first = (place as usize).min(side - 1);
        (
            first,
            (first + 1).min(side - 1),
            (place - first as f64).min(1.0),
        )
    };
    let ((x0, x1, right), (y0, y1, down)) = (tap(x), tap(y));
    let sum = |x: usize, y: usize| -> f64 {
        let plane = |index: usize| prototypes[(index * side + y) * side + x];
        (0..COUNT)
            .map(|index| f64::from(coefficients[index] * plane(index)))
            .sum()
    };
    (sum(x0, y0) * (1.0 - right) + sum(x1, y0) * right) * (1.0 - down)
        + (sum(x0, y1) * (1.0 - right) + sum(x1, y1) * right) * down
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_mask_is_the_enlarged_sum_inside_the_box(
        seed in 1u64..1_000_000,
        corners in prop::array::uniform4(-20f32..90.0),
        (width, height) in (1usize..200, 1usize..200),
    ) {
        const SIDE: usize = 16;
        let values = random(COUNT * SIDE * SIDE, seed);
        let coefficients = random(COUNT, seed + 1);
        let placement = placement(width, height);
        let [x1, y1, x2, y2] = corners;
        let bbox = BoxXyxy { x1, y1, x2, y2 };
        let prototypes = Prototypes::new(&values, SIDE, SIDE).unwrap();
        let mask = prototypes.mask(&coefficients, bbox, &placement, false);
        prop_assert_eq!(mask.size(), [placement.scaled_width, placement.scaled_height]);
        for y in 0..placement.scaled_height {
            for x in 0..placement.scaled_width {
                let (column, row) = (x + placement.left, y + placement.top);
                let inside = (x1..x2).contains(&(column as f32)) && (y1..y2).contains(&(row as f32));
                let at = [column, row].map(|it| (it as f64 + 0.5) / 4.0 - 0.5);
                let sum = value(&values, SIDE, &coefficients, at);
                if !inside || sum.abs() > 1e-4 {
                    prop_assert_eq!(mask.contains(x, y), inside && sum > 0.0);
                }
            }
        }
        let large = prototypes.mask(&coefficients, bbox, &placement, true);
        prop_assert_eq!(large.size(), [width, height]);
        let region = large.region();
        prop_assert!(region.left + region.width <= width && region.top + region.height <= height);
    }

    #[test]
    fn whatever_the_numbers_no_mask_panics(
        corners in prop::array::uniform4(prop::num::f32::ANY),
        coefficients in prop::collection::vec(prop::num::f32::ANY, 0..5),
        (width, height) in (1usize..3000, 1usize..3),
    ) {
        let values = random(COUNT, 5);
        let prototypes = Prototypes::new(&values, 1, 1).unwrap();
        let [x1, y1, x2, y2] = corners;
        for image_size in [false, true] {
            let bbox = BoxXyxy { x1, y1, x2, y2 };
            let mask = prototypes.mask(&coefficients, bbox, &placement(width, height), image_size);
            polygon(&mask, [width, height]);
        }
    }

    /// Every point is a set pixel at the border, and the points bound the part.
    #[test]
    fn an_outline_runs_along_the_border_of_its_part(bits in prop::collection::vec(any::<bool>(), 120)) {
        let region = PixelRect { left: 1, top: 1, width: 12, height: 10 };
        let mask = Mask::from_fn([14, 12], region, |x, y| bits[(y - 1) * 12 + x - 1]);
        let points = polygon(&mask, [14, 12]);
        prop_assert_eq!(points.is_empty(), mask.area() == 0);
        for [x, y] in points {
            let (x, y) = (x as usize, y as usize);
            prop_assert!(mask.contains(x, y));
            let around = [(x - 1, y), (x + 1, y), (x, y - 1), (x, y + 1)];
            prop_assert!(around.iter().any(|&(x, y)| !mask.contains(x, y)));
        }
    }
}

#[test]
fn prototypes_are_whole_planes() {
    assert!(Prototypes::new(&[1.0; 6], 2, 2).is_none());
    assert!(Prototypes::new(&[], 2, 2).is_none());
    assert!(Prototypes::new(&[1.0], 0, 1).is_none());
    assert!(Prototypes::new(&[1.0; 8], 2, 2).is_some());
}

fn segment(encoding: OutputEncoding, end_to_end: bool) -> Head {
    Head::Segment(SegmentHead {
        detect: DetectHead {
            classes: 2,
            reg_max: 1,
            strides: vec![8, 16],
            end_to_end,
            encoding,
        },
        prototypes: COUNT,
    })
}

/// The maps, the exported form and the rows of one run say the same, image by image.
#[test]
fn every_form_of_the_outputs_gives_the_same_masks() {
    let placement = placement(100, 60);
    let maps: Vec<Tensor> = [8, 4]
        .into_iter()
        .flat_map(|side| [(4, side), (2, side), (COUNT, side)])
        .chain([(COUNT, 16)])
        .enumerate()
        .map(|(index, (channels, side))| {
            let mut values = random(2 * channels * side * side, 11 + index as u64);
            // Distances are positive.
            if channels == 4 {
                values
                    .iter_mut()
                    .for_each(|value| *value = value.abs() * 2.0 + 0.5);
            }
            Tensor::new([2, channels, side, side], values).unwrap()
        })
        .collect();
    for (end_to_end, decoded) in [
        (false, OutputEncoding::Decoded),
        (true, OutputEncoding::DecodedEndToEnd),
    ] {
        let head = segment(OutputEncoding::Maps, end_to_end);
        let first = decode_output0(&maps, &head, 64, 64).unwrap();
        let exported = [first, maps[6].clone()];
        for index in 0..2 {
            let thresholds = Thresholds {
                confidence: 0.5,
                ..Thresholds::default()
            };
            let read = |outputs: &[Tensor], head: &Head| {
                let read = postprocess(outputs, index, head, &thresholds, &placement).unwrap();
                read.instances().clone()
            };
            let found = read(&maps, &head);
            assert!(found.len() > 3 && found.masks().unwrap().iter().any(|mask| mask.area() > 0));
            let other = read(&exported, &segment(decoded, end_to_end));
            assert_eq!(found.len(), other.len());
            for (a, b) in found.iter().zip(&other) {
                let (a, b) = (a.mask.unwrap(), b.mask.unwrap());
                assert!(a == b || a.iou(b) > 0.95, "{a:?} {b:?}");
            }
        }
    }
}

#[test]
fn outputs_with_other_prototypes_than_the_head_has_are_refused() {
    let head = segment(OutputEncoding::Decoded, false);
    let anchors = Tensor::zeros([1, 4 + 2 + COUNT, 80]);
    for prototypes in [[1, COUNT + 1, 16, 16], [1, COUNT, 0, 16]] {
        let outputs = [anchors.clone(), Tensor::zeros(prototypes)];
        let read = postprocess(
            &outputs,
            0,
            &head,
            &Thresholds::default(),
            &placement(64, 64),
        );
        assert!(read.is_err(), "{read:?}");
    }
}

#[test]
fn masks_of_more_pixels_than_memory_should_hold_are_refused() {
    let head = segment(OutputEncoding::DecodedEndToEnd, true);
    let rows = 10;
    let row = |_| {
        [0.0, 0.0, 64.0, 64.0, 0.9, 0.0]
            .into_iter()
            .chain([1.0; COUNT])
    };
    let values: Vec<f32> = (0..rows).flat_map(row).collect();
    let outputs = [
        Tensor::new([1, rows, 6 + COUNT], values).unwrap(),
        Tensor::zeros([1, COUNT, 16, 16]),
    ];
    for (side, is_refused) in [(100, false), (30_000, true)] {
        let thresholds = Thresholds {
            retina_masks: true,
            ..Thresholds::default()
        };
        let read = postprocess(&outputs, 0, &head, &thresholds, &placement(side, side));
        assert_eq!(read.is_err(), is_refused, "{side}");
        if let Err(error) = read {
            assert!(error.to_string().contains("9000 megapixels"), "{error}");
        }
    }
}

#[test]
fn a_mask_tints_its_pixels_of_a_larger_image() {
    let region = PixelRect {
        left: 1,
        top: 0,
        width: 1,
        height: 1,
    };
    let mask = Mask::from_fn([2, 2], region, |_, _| true);
    let object = Instance {
        mask: Some(&mask),
        ..Instance::new(BoxXyxy::default(), 0, 0.9)
    };
    let mut frame = Frame::filled(8, 6, [0; 3]).unwrap();
    let style = DrawStyle {
        boxes: false,
        labels: false,
        confidence: false,
        ..DrawStyle::default()
    };
    draw(&mut frame, &Instances::from_iter([object]), &[], &style);
    let tinted = |x: usize, y: usize| frame.pixels()[(y * 8 + x) * 3..][..3] != [0; 3];
    for y in 0..6 {
        for x in 0..8 {
            assert_eq!(tinted(x, y), x >= 4 && y < 3, "{x} {y}");
        }
    }
}
