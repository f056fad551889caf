//! What a judge of lists must notice: planted faults in what a right kernel wrote.

use super::*;
use crate::kernels::Map;
use crate::kernels::head::{CANDIDATE_BYTES, HeadLevel, HeadShape};
use crate::kernels::nms::{NmsShape, OUTPUT_HEADER_BYTES};

const TARGET: Target = Target::Sm90a;

/// A case, and the outputs as a right kernel leaves them.
fn tried(spec: &KernelSpec) -> (KernelTestCase, Vec<Vec<u8>>) {
    let case = KernelTestCase::new(spec, TARGET, 1, 1);
    let tiled = spec.tiled(TARGET, "case", 1);
    let outputs = case.interpret(&tiled, &Schedule::in_order()).unwrap();
    assert!(case.results.deviation(&outputs).unwrap() <= tolerance(spec.element()));
    let itself = case.results.replaced(&outputs).unwrap();
    assert_eq!(itself.deviation(&outputs), Ok(0.0));
    (case, outputs)
}

/// What the judge says once this has been done to the outputs.
fn judged(
    (case, outputs): &(KernelTestCase, Vec<Vec<u8>>),
    fault: impl Fn(&mut [Vec<u8>]),
) -> Result<f64, String> {
    let mut outputs = outputs.clone();
    fault(&mut outputs);
    case.results.deviation(&outputs)
}

fn head() -> KernelSpec {
    let map = Map {
        height: 6,
        width: 6,
        channels: 16,
        pitch: 16,
    };
    KernelSpec::Head(HeadShape {
        element: Element::F16,
        levels: vec![HeadLevel {
            boxes: map,
            classes: map,
            stride: 8,
        }],
        reg_max: 1,
        classes: 6,
        capacity: 4 * 36,
        filter: false,
        raw: false,
    })
}

#[test]
fn candidates_missing_strange_or_there_twice_are_noticed() {
    let tried = tried(&head());
    let size = CANDIDATE_BYTES as usize;
    let missing = judged(&tried, |outputs| outputs[1][0] -= 1).unwrap_err();
    assert!(missing.contains("is missing"), "{missing}");
    let strange = judged(&tried, |outputs| outputs[0][20] = 77).unwrap_err();
    assert!(strange.contains("is no candidate"), "{strange}");
    let twice = judged(&tried, |outputs| outputs[0].copy_within(..size, size)).unwrap_err();
    assert!(twice.contains("there twice"), "{twice}");
    let many = judged(&tried, |outputs| outputs[1].fill(0xff)).unwrap_err();
    assert!(many.contains("capacity of 144"), "{many}");
}

#[test]
fn candidates_that_are_off_are_measured() {
    let tried = tried(&head());
    for value in 0..5 {
        let place = 4 * value..4 * value + 4;
        let off = judged(&tried, |outputs| {
            outputs[0][place.clone()].copy_from_slice(&1e3f32.to_le_bytes());
        });
        assert!(off.unwrap() > 0.1);
        let off = judged(&tried, |outputs| outputs[0][place.clone()].fill(0xff));
        assert!(off.unwrap().is_nan());
    }
}

#[test]
fn detections_must_be_those_of_the_textbook_to_the_bit() {
    let tried = tried(&KernelSpec::Nms(NmsShape {
        capacity: 200,
        classes: 3,
        rows: 200,
        end_to_end: false,
    }));
    let row = OUTPUT_HEADER_BYTES as usize;
    for (byte, words) in [(0, "detections of"), (4, "detections of"), (row, "not Row")] {
        let failure = judged(&tried, |outputs| outputs[1][byte] ^= 1).unwrap_err();
        assert!(failure.contains(words), "{failure}");
    }
}
