//! Suppression against the textbook, to the bit.

use super::*;
use crate::kernels::KernelSpec;
use crate::settings::Settings;
use crate::verify::conformance::nms::case;
use crate::verify::conformance::{Random, assert_passes};

fn check(shape: &NmsShape, settings: &Settings, counts: &[u32]) {
    let case = case(shape, settings, counts, &mut Random(1));
    let batch = counts.len() as u32;
    assert_passes(&case, &KernelSpec::Nms(*shape), Target::Sm90a, batch);
}

const SHAPE: NmsShape = NmsShape {
    capacity: 500,
    classes: 4,
    rows: 300,
    end_to_end: false,
};

#[test]
fn overlapping_boxes_of_a_class_go() {
    check(
        &SHAPE,
        &Settings::default(),
        &[0, 1, 2, 5, 33, 128, 129, 500, 501],
    );
}

#[test]
fn classes_and_limits_are_those_of_the_settings() {
    let agnostic = Settings {
        agnostic: true,
        iou: 0.4,
        ..Settings::default()
    };
    check(&SHAPE, &agnostic, &[200, 7]);
    for max_detections in [0, 3, 40] {
        let few = Settings {
            max_detections,
            iou: 0.9,
            ..Settings::default()
        };
        check(&SHAPE, &few, &[300]);
    }
}

#[test]
fn end_to_end_heads_keep_the_highest_confidence() {
    let shape = NmsShape {
        end_to_end: true,
        rows: 200,
        ..SHAPE
    };
    let some = Settings {
        classes: Some(vec![1, 3]),
        ..Settings::default()
    };
    check(&shape, &some, &[0, 9, 150, 400]);
    check(&shape, &Settings::default(), &[9, 400]);
}

#[test]
fn more_candidates_than_shared_memory_holds_are_sorted_in_memory() {
    let shape = NmsShape {
        capacity: 5000,
        ..SHAPE
    };
    check(&shape, &Settings::default(), &[1024, 1025, 5000]);
}
