//! Suppression, head decoding and post-processing: small cases by hand, and properties of random
//! ones.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use onelook_types::{
    BoxXyxy, DetectHead, Head, Instance, Instances, LetterboxMode, LetterboxPlacement,
    LetterboxRecipe, OutputEncoding, Prediction, Tensor, Thresholds,
};
use onelook_vision::VisionError;
use onelook_vision::letterbox::place;
use onelook_vision::nms::{nms, nms_limited};
use onelook_vision::output0;
use onelook_vision::postprocess;
use proptest::prelude::*;

fn candidate(x: f32, class: usize, score: f32) -> Instance<'static> {
    let bbox = BoxXyxy {
        x1: x,
        y1: 0.0,
        x2: x + 10.0,
        y2: 10.0,
    };
    Instance::new(bbox, class, score)
}

/// The objects on one image of the batch.
fn postprocess(
    outputs: &[Tensor],
    image: usize,
    head: &DetectHead,
    thresholds: &Thresholds,
    placement: &LetterboxPlacement,
) -> Result<Instances, VisionError> {
    let head = Head::Detect(head.clone());
    match postprocess::postprocess(outputs, image, &head, thresholds, placement)? {
        Prediction::Instances(instances) => Ok(instances),
        other => panic!("{other:?}"),
    }
}

fn decode_output0(
    outputs: &[Tensor],
    head: &DetectHead,
    height: usize,
    width: usize,
) -> Result<Tensor, VisionError> {
    output0::decode_output0(outputs, &Head::Detect(head.clone()), height, width)
}

fn detect(encoding: OutputEncoding) -> DetectHead {
    DetectHead {
        classes: 2,
        reg_max: 4,
        strides: vec![8, 16],
        end_to_end: false,
        encoding,
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
fn of_overlapping_boxes_the_one_of_the_highest_score_stays() {
    let candidates: Instances = [
        candidate(1.0, 0, 0.5),
        candidate(0.0, 0, 0.9),
        candidate(40.0, 0, 0.3),
    ]
    .into_iter()
    .collect();
    assert_eq!(nms(&candidates, 0.5, false), [1, 2]);
}

#[test]
fn classes_suppress_each_other_only_when_asked() {
    let candidates: Instances = [candidate(0.0, 0, 0.9), candidate(0.0, 1, 0.8)]
        .into_iter()
        .collect();
    assert_eq!(nms(&candidates, 0.5, false), [0, 1]);
    assert_eq!(nms(&candidates, 0.5, true), [0]);
}

#[test]
fn of_equals_the_first_stays() {
    let candidates: Instances = [candidate(0.0, 0, 0.9), candidate(0.0, 0, 0.9)]
        .into_iter()
        .collect();
    assert_eq!(nms(&candidates, 0.5, false), [0]);
}

#[test]
fn an_overlap_of_exactly_the_threshold_is_allowed() {
    let candidates: Instances = [candidate(0.0, 0, 0.9), candidate(5.0, 0, 0.8)]
        .into_iter()
        .collect();
    assert_eq!(nms(&candidates, 1.0 / 3.0, false), [0, 1]);
    assert_eq!(nms(&candidates, 0.33, false), [0]);
}

#[test]
fn a_distribution_is_read_as_its_mean() {
    let head = DetectHead {
        strides: vec![32],
        ..detect(OutputEncoding::Maps)
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
            let from_maps = detect(OutputEncoding::Maps);
            let outputs = maps(&from_maps, 2, 7);
            let decoded = [decode_output0(&outputs, &from_maps, 32, 32).unwrap()];
            let from_decoded = detect(OutputEncoding::Decoded);
            for image in 0..2 {
                let read = |outputs: &[Tensor], head| {
                    postprocess(outputs, image, head, &thresholds, &no_scaling()).unwrap()
                };
                let (a, b) = (read(&outputs, &from_maps), read(&decoded, &from_decoded));
                assert!(a.len() > 3);
                assert_eq!(a.len(), b.len());
                for (a, b) in a.iter().zip(&b) {
                    assert_eq!((a.class, a.score), (b.class, b.score));
                    assert!((a.bbox.x1 - b.bbox.x1).abs() < 1e-3);
                    assert!((a.bbox.y2 - b.bbox.y2).abs() < 1e-3);
                }
            }
        }
    }
}

#[test]
fn end_to_end_maps_and_their_rows_give_the_same_detections() {
    let mut from_maps = detect(OutputEncoding::Maps);
    from_maps.end_to_end = true;
    from_maps.reg_max = 1;
    let outputs = maps(&from_maps, 2, 3);
    let rows = [decode_output0(&outputs, &from_maps, 32, 32).unwrap()];
    assert_eq!(rows[0].shape()[..], [2, 20, 6]);
    let mut from_rows = from_maps.clone();
    from_rows.encoding = OutputEncoding::DecodedEndToEnd;
    for image in 0..2 {
        let thresholds = Thresholds {
            max_detections: 15,
            ..Thresholds::default()
        };
        let a = postprocess(&outputs, image, &from_maps, &thresholds, &no_scaling()).unwrap();
        let b = postprocess(&rows, image, &from_rows, &thresholds, &no_scaling()).unwrap();
        assert!(!a.is_empty());
        assert_eq!(a, b);
    }
}

#[test]
fn an_image_is_read_alike_alone_and_in_a_batch() {
    let head = detect(OutputEncoding::Maps);
    let thresholds = Thresholds::default();
    let batch = maps(&head, 3, 11);
    for image in 0..3 {
        let alone: Vec<Tensor> = batch
            .iter()
            .map(|map| {
                let values = map.data().len() / 3;
                let mut shape = map.shape().to_vec();
                shape[0] = 1;
                Tensor::new(shape, map.data()[image * values..][..values].to_vec()).unwrap()
            })
            .collect();
        assert_eq!(
            postprocess(&batch, image, &head, &thresholds, &no_scaling()),
            postprocess(&alone, 0, &head, &thresholds, &no_scaling())
        );
    }
}

#[test]
fn only_wanted_classes_and_only_so_many_come_out() {
    let head = detect(OutputEncoding::Maps);
    let outputs = maps(&head, 1, 5);
    let mut thresholds = Thresholds {
        classes: Some(vec![1]),
        ..Thresholds::default()
    };
    let found = postprocess(&outputs, 0, &head, &thresholds, &no_scaling()).unwrap();
    assert!(found.len() > 2 && found.iter().all(|found| found.class == 1));
    thresholds.max_detections = 2;
    let fewer = postprocess(&outputs, 0, &head, &thresholds, &no_scaling()).unwrap();
    assert_eq!(fewer, found.select(&[0, 1]));
}

#[test]
fn nan_is_no_object() {
    let head = detect(OutputEncoding::Maps);
    let mut outputs = maps(&head, 1, 5);
    outputs[0].data_mut().fill(f32::NAN);
    outputs[3].data_mut().fill(f32::NAN);
    let found = postprocess(&outputs, 0, &head, &Thresholds::default(), &no_scaling()).unwrap();
    assert!(found.is_empty());
}

#[test]
fn outputs_that_do_not_fit_the_head_are_errors() {
    let head = detect(OutputEncoding::Maps);
    let good = maps(&head, 1, 5);
    let read = |outputs: &[Tensor], image, head: &DetectHead| {
        postprocess(outputs, image, head, &Thresholds::default(), &no_scaling()).unwrap_err()
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

fn candidates() -> impl Strategy<Value = Instances> {
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
        let make = |(x1, y1, width, height, class, score)| {
            let bbox = BoxXyxy {
                x1,
                y1,
                x2: x1 + width,
                y2: y1 + height,
            };
            Instance::new(bbox, class, score)
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
        let candidates: Vec<Instance> = candidates.iter().collect();
        for (place, &a) in kept.iter().enumerate() {
            for &b in &kept[..place] {
                let rivals = agnostic || candidates[a].class == candidates[b].class;
                let overlap = candidates[a].bbox.iou(&candidates[b].bbox);
                prop_assert!(!rivals || overlap <= threshold + 1e-6);
                prop_assert!(candidates[a].score <= candidates[b].score);
            }
        }
    }

    #[test]
    fn what_is_dropped_overlaps_something_higher_that_stays(
        candidates in candidates(), threshold in 0.0f32..1.0,
    ) {
        let kept = nms(&candidates, threshold, false);
        let candidates: Vec<Instance> = candidates.iter().collect();
        for (index, gone) in candidates.iter().enumerate() {
            let reason = kept.iter().any(|&other| {
                candidates[other].class == gone.class
                    && candidates[other].score >= gone.score
                    && candidates[other].bbox.iou(&gone.bbox) > threshold - 1e-6
            });
            prop_assert!(kept.contains(&index) || reason);
        }
    }

    #[test]
    fn the_order_of_different_candidates_does_not_matter(
        candidates in candidates(), threshold in 0.0f32..1.0, turn in 0usize..120,
    ) {
        let mut unequal: Vec<Instance> = candidates.iter().collect();
        unequal.sort_by(|a, b| a.score.total_cmp(&b.score));
        unequal.dedup_by(|a, b| a.score == b.score);
        let mut turned = unequal.clone();
        turned.rotate_left(turn.min(unequal.len()));
        turned.reverse();
        let pick = |from: &[Instance]| {
            let from: Instances = from.iter().copied().collect();
            from.select(&nms(&from, threshold, false))
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
