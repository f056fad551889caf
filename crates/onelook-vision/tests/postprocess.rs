//! Suppression, head decoding and post-processing: small cases by hand, and properties of random
//! ones.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use onelook_types::{
    BoxXyxy, DetectHead, Detection, HeadOutputs, LetterboxMode, LetterboxPlacement,
    LetterboxRecipe, Tensor, Thresholds,
};
use onelook_vision::VisionError;
use onelook_vision::head::decode_output0;
use onelook_vision::letterbox::place;
use onelook_vision::nms::{nms, nms_limited};
use onelook_vision::postprocess::postprocess;
use proptest::prelude::*;

fn detection(x: f32, class: usize, confidence: f32) -> Detection {
    let bbox = BoxXyxy {
        x1: x,
        y1: 0.0,
        x2: x + 10.0,
        y2: 10.0,
    };
    Detection {
        bbox,
        class,
        confidence,
    }
}

fn head(outputs: HeadOutputs) -> DetectHead {
    DetectHead {
        classes: 2,
        reg_max: 4,
        strides: vec![8, 16],
        end_to_end: false,
        outputs,
    }
}

fn no_scaling() -> LetterboxPlacement {
    let recipe = LetterboxRecipe {
        height: 32,
        width: 32,
        mode: LetterboxMode::Square,
        padding: 114,
    };
    place(&recipe, 32, 32)
}

/// Maps of a 32x32 input for a batch, with values that look random but depend on the position.
fn maps(head: &DetectHead, batch: usize, seed: usize) -> Vec<Tensor> {
    let value = |index: usize| {
        let mixed = (index + 1).wrapping_mul(seed * 2 + 2_654_435_761) % 10_007;
        mixed as f32 / 1_000.0 - 5.0
    };
    let planes = [4 * head.reg_max, head.classes];
    let shapes = head.strides.iter().flat_map(|stride| {
        let side = 32 / stride;
        planes.map(|planes| [batch, planes, side, side])
    });
    shapes.map(|shape| Tensor::from_fn(shape, value)).collect()
}

#[test]
fn of_overlapping_boxes_the_surest_stays() {
    let candidates = [
        detection(1.0, 0, 0.5),
        detection(0.0, 0, 0.9),
        detection(40.0, 0, 0.3),
    ];
    assert_eq!(nms(&candidates, 0.5, false), [1, 2]);
}

#[test]
fn classes_suppress_each_other_only_when_asked() {
    let candidates = [detection(0.0, 0, 0.9), detection(0.0, 1, 0.8)];
    assert_eq!(nms(&candidates, 0.5, false), [0, 1]);
    assert_eq!(nms(&candidates, 0.5, true), [0]);
}

#[test]
fn of_equals_the_first_stays() {
    let candidates = [detection(0.0, 0, 0.9), detection(0.0, 0, 0.9)];
    assert_eq!(nms(&candidates, 0.5, false), [0]);
}

#[test]
fn an_overlap_of_exactly_the_threshold_is_allowed() {
    let candidates = [detection(0.0, 0, 0.9), detection(5.0, 0, 0.8)];
    assert_eq!(nms(&candidates, 1.0 / 3.0, false), [0, 1]);
    assert_eq!(nms(&candidates, 0.33, false), [0]);
}

#[test]
fn a_distribution_is_read_as_its_mean() {
    let head = DetectHead {
        strides: vec![32],
        ..head(HeadOutputs::Maps)
    };
    // Bins 0..4 per side; left is certainly 1, the others are even: 1.5.
    let mut sides = vec![0.0; 16];
    sides[1] = 100.0;
    let outputs = [
        Tensor::new([1, 16, 1, 1], sides).unwrap(),
        Tensor::new([1, 2, 1, 1], vec![0.0, f32::NEG_INFINITY]).unwrap(),
    ];
    let decoded = decode_output0(&outputs, &head, 32, 32).unwrap();
    assert_eq!(decoded.shape()[..], [1, 6, 1]);
    // From (0.5 - 1) to (0.5 + 1.5) cells of 32 pixels, and from (0.5 - 1.5) to (0.5 + 1.5).
    assert_eq!(decoded.data(), [24.0, 16.0, 80.0, 96.0, 0.5, 0.0]);
}

#[test]
fn maps_and_their_decoded_form_give_the_same_detections() {
    for multi_label in [false, true] {
        for agnostic in [false, true] {
            let thresholds = Thresholds {
                multi_label,
                agnostic,
                ..Thresholds::default()
            };
            let from_maps = head(HeadOutputs::Maps);
            let outputs = maps(&from_maps, 2, 7);
            let decoded = [decode_output0(&outputs, &from_maps, 32, 32).unwrap()];
            let from_decoded = head(HeadOutputs::Decoded);
            for picture in 0..2 {
                let read = |outputs: &[Tensor], head| {
                    postprocess(outputs, picture, head, &thresholds, &no_scaling()).unwrap()
                };
                let (a, b) = (read(&outputs, &from_maps), read(&decoded, &from_decoded));
                assert!(a.len() > 3);
                assert_eq!(a.len(), b.len());
                for (a, b) in a.iter().zip(&b) {
                    assert_eq!((a.class, a.confidence), (b.class, b.confidence));
                    assert!((a.bbox.x1 - b.bbox.x1).abs() < 1e-3);
                    assert!((a.bbox.y2 - b.bbox.y2).abs() < 1e-3);
                }
            }
        }
    }
}

#[test]
fn end_to_end_maps_and_their_rows_give_the_same_detections() {
    let mut from_maps = head(HeadOutputs::Maps);
    from_maps.end_to_end = true;
    from_maps.reg_max = 1;
    let outputs = maps(&from_maps, 2, 3);
    let rows = [decode_output0(&outputs, &from_maps, 32, 32).unwrap()];
    assert_eq!(rows[0].shape()[..], [2, 20, 6]);
    let mut from_rows = from_maps.clone();
    from_rows.outputs = HeadOutputs::DecodedEndToEnd;
    for picture in 0..2 {
        let thresholds = Thresholds {
            max_detections: 15,
            ..Thresholds::default()
        };
        let a = postprocess(&outputs, picture, &from_maps, &thresholds, &no_scaling()).unwrap();
        let b = postprocess(&rows, picture, &from_rows, &thresholds, &no_scaling()).unwrap();
        assert!(!a.is_empty());
        assert_eq!(a, b);
    }
}

#[test]
fn a_picture_is_read_alike_alone_and_in_a_batch() {
    let head = head(HeadOutputs::Maps);
    let thresholds = Thresholds::default();
    let batch = maps(&head, 3, 11);
    for picture in 0..3 {
        let alone: Vec<Tensor> = batch
            .iter()
            .map(|map| {
                let values = map.data().len() / 3;
                let mut shape = map.shape().to_vec();
                shape[0] = 1;
                Tensor::new(shape, map.data()[picture * values..][..values].to_vec()).unwrap()
            })
            .collect();
        assert_eq!(
            postprocess(&batch, picture, &head, &thresholds, &no_scaling()),
            postprocess(&alone, 0, &head, &thresholds, &no_scaling())
        );
    }
}

#[test]
fn only_wanted_classes_and_only_so_many_come_out() {
    let head = head(HeadOutputs::Maps);
    let outputs = maps(&head, 1, 5);
    let mut thresholds = Thresholds {
        classes: Some(vec![1]),
        ..Thresholds::default()
    };
    let found = postprocess(&outputs, 0, &head, &thresholds, &no_scaling()).unwrap();
    assert!(found.len() > 2 && found.iter().all(|found| found.class == 1));
    thresholds.max_detections = 2;
    let fewer = postprocess(&outputs, 0, &head, &thresholds, &no_scaling()).unwrap();
    assert_eq!(fewer.items, found.items[..2]);
}

#[test]
fn values_that_are_no_numbers_are_no_detections() {
    let head = head(HeadOutputs::Maps);
    let mut outputs = maps(&head, 1, 5);
    outputs[0].data_mut().fill(f32::NAN);
    outputs[3].data_mut().fill(f32::NAN);
    let found = postprocess(&outputs, 0, &head, &Thresholds::default(), &no_scaling()).unwrap();
    assert!(found.is_empty());
}

#[test]
fn outputs_that_do_not_fit_the_head_are_errors() {
    let head = head(HeadOutputs::Maps);
    let good = maps(&head, 1, 5);
    let read = |outputs: &[Tensor], picture, head: &DetectHead| {
        postprocess(
            outputs,
            picture,
            head,
            &Thresholds::default(),
            &no_scaling(),
        )
        .unwrap_err()
    };
    assert!(matches!(
        read(&good[..3], 0, &head),
        VisionError::OutputCount {
            expected: 4,
            actual: 3
        }
    ));
    assert!(matches!(
        read(&good, 1, &head),
        VisionError::BatchIndex { index: 1, batch: 1 }
    ));
    let mut swapped = good.clone();
    swapped.swap(0, 1);
    assert!(matches!(
        read(&swapped, 0, &head),
        VisionError::OutputShape { output: 0, .. }
    ));
    let mut flat = good.clone();
    flat[1] = Tensor::zeros([1, 32]);
    assert!(matches!(
        read(&flat, 0, &head),
        VisionError::OutputShape { output: 1, .. }
    ));
    let classless = DetectHead {
        classes: 0,
        ..head.clone()
    };
    assert!(matches!(
        read(&good, 0, &classless),
        VisionError::Head { .. }
    ));
    assert!(matches!(
        decode_output0(&good, &head, 64, 32).unwrap_err(),
        VisionError::OutputShape { output: 0, .. }
    ));
}

fn candidates() -> impl Strategy<Value = Vec<Detection>> {
    let side = 1.0f32..30.0;
    let one = (
        0.0f32..60.0,
        0.0f32..60.0,
        side.clone(),
        side,
        0usize..3,
        0.0f32..1.0,
    );
    prop::collection::vec(one, 0..120).prop_map(|all| {
        let make = |(x1, y1, width, height, class, confidence)| Detection {
            bbox: BoxXyxy {
                x1,
                y1,
                x2: x1 + width,
                y2: y1 + height,
            },
            class,
            confidence,
        };
        all.into_iter().map(make).collect()
    })
}

proptest! {
    #[test]
    fn kept_boxes_overlap_at_most_by_the_threshold(
        candidates in candidates(), threshold in 0.0f32..1.0, agnostic: bool,
    ) {
        let kept = nms(&candidates, threshold, agnostic);
        for (place, &a) in kept.iter().enumerate() {
            for &b in &kept[..place] {
                let rivals = agnostic || candidates[a].class == candidates[b].class;
                let overlap = candidates[a].bbox.iou(&candidates[b].bbox);
                prop_assert!(!rivals || overlap <= threshold + 1e-6);
                prop_assert!(candidates[a].confidence <= candidates[b].confidence);
            }
        }
    }

    #[test]
    fn what_goes_overlaps_something_surer_that_stays(
        candidates in candidates(), threshold in 0.0f32..1.0,
    ) {
        let kept = nms(&candidates, threshold, false);
        for (index, gone) in candidates.iter().enumerate() {
            let reason = kept.iter().any(|&other| {
                candidates[other].class == gone.class
                    && candidates[other].confidence >= gone.confidence
                    && candidates[other].bbox.iou(&gone.bbox) > threshold - 1e-6
            });
            prop_assert!(kept.contains(&index) || reason);
        }
    }

    #[test]
    fn the_order_of_different_candidates_does_not_matter(
        candidates in candidates(), threshold in 0.0f32..1.0, turn in 0usize..120,
    ) {
        let mut unequal = candidates;
        unequal.sort_by(|a, b| a.confidence.total_cmp(&b.confidence));
        unequal.dedup_by(|a, b| a.confidence == b.confidence);
        let mut turned = unequal.clone();
        turned.rotate_left(turn.min(unequal.len()));
        turned.reverse();
        let pick = |from: &[Detection]| -> Vec<Detection> {
            nms(from, threshold, false).into_iter().map(|index| from[index]).collect()
        };
        prop_assert_eq!(pick(&unequal), pick(&turned));
    }

    #[test]
    fn a_limit_only_cuts_the_end_off(candidates in candidates(), limit in 0usize..10) {
        let all = nms(&candidates, 0.5, false);
        let few = nms_limited(&candidates, 0.5, false, limit);
        prop_assert_eq!(&few[..], &all[..limit.min(all.len())]);
    }
}
