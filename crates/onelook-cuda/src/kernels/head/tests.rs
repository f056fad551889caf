//! The end of a head against the textbook.

use onelook_ptx::interpreter::Schedule;

use super::*;
use crate::kernels::KernelSpec;
use crate::settings::Settings;
use crate::verify::conformance::candidates::decode;
use crate::verify::conformance::head::case;
use crate::verify::conformance::{
    KernelArg, KernelTestCase, Random, Results, assert_conforms, assert_passes,
};

fn check(shape: &HeadShape, settings: &Settings, batch: u32) {
    let target = Target::Sm90a;
    let case = case(shape, target, batch, settings, &mut Random(1));
    assert_passes(&case, &KernelSpec::Head(shape.clone()), target, batch);
}

fn shape(element: Element, depths: [u32; 2], reg_max: u32, classes: u32) -> HeadShape {
    let level = |height: u32, width: u32, stride: u32| {
        let map = |channels: u32| Map {
            height,
            width,
            channels,
            pitch: channels + stride,
        };
        HeadLevel {
            boxes: map(depths[0]),
            classes: map(depths[1]),
            stride,
        }
    };
    HeadShape {
        element,
        levels: vec![level(5, 7, 8), level(3, 4, 16), level(1, 3, 32)],
        reg_max,
        classes,
        capacity: 8 * 50,
        filter: true,
        raw: true,
    }
}

#[test]
fn sure_anchors_become_candidates() {
    let best = Settings::default();
    for element in [Element::F16, Element::F32] {
        check(&shape(element, [16, 24], 16, 20), &best, 2);
        check(&shape(element, [64, 80], 4, 7), &best, 1);
        check(&shape(element, [16, 200], 1, 80), &best, 1);
        assert_conforms(
            &KernelSpec::Head(shape(element, [16, 24], 16, 20)),
            Target::Sm90a,
            2,
        );
    }
}

#[test]
fn every_class_counts_if_so_asked() {
    for element in [Element::F16, Element::F32] {
        let every = Settings {
            every_class: true,
            classes: Some(vec![0, 3, 18, 40]),
            ..Settings::default()
        };
        check(&shape(element, [16, 16], 16, 20), &every, 2);
    }
}

#[test]
fn more_classes_than_fit_are_gone_through_in_rounds() {
    for element in [Element::F16, Element::F32] {
        let shape = HeadShape {
            filter: false,
            ..shape(element, [16, 16], 16, 425)
        };
        for every_class in [false, true] {
            let settings = Settings {
                every_class,
                ..Settings::default()
            };
            check(&shape, &settings, 1);
        }
    }
}

#[test]
fn many_anchors_are_taken_by_larger_tiles() {
    let mut shape = shape(Element::F16, [16, 16], 1, 8);
    let level = &mut shape.levels[0];
    for map in [&mut level.boxes, &mut level.classes] {
        (map.height, map.width) = (92, 96);
    }
    shape.capacity = shape.anchors();
    assert_eq!(shape.choose(Target::Sm90a, 1).anchors, 32);
    assert_eq!(shape.choose(Target::Sm90a, 2).anchors, 64);
    check(&shape, &Settings::default(), 2);
}

#[test]
fn what_finds_no_room_is_counted_and_lost() {
    let shape = HeadShape {
        capacity: 5,
        raw: false,
        levels: vec![shape(Element::F16, [16, 16], 1, 8).levels[0]],
        ..shape(Element::F16, [16, 16], 1, 8)
    };
    let args = vec![
        KernelArg::Bytes(vec![0; 35 * (16 + 8) * 2]),
        KernelArg::Bytes(vec![0; 35 * (16 + 8) * 2]),
        KernelArg::Bytes(vec![0; 4096]),
        KernelArg::Bytes(vec![0; 4096]),
        KernelArg::Bytes(Settings::default().encode(8).unwrap()),
        KernelArg::Output(5 * CANDIDATE_BYTES as usize),
        KernelArg::ZeroedOutput(4),
    ];
    let tiled = head(Target::Sm90a, "head", &shape, 1);
    let results = Results::Rows(Vec::new());
    let case = KernelTestCase { args, results };
    for seed in 1..=5 {
        let schedule = Schedule::adversarial(seed);
        let outputs = case.interpret(&tiled, &schedule).unwrap();
        assert_eq!(outputs[1], 35u32.to_le_bytes());
        for found in decode(&outputs[0], 5) {
            assert_eq!((found.score, found.class), (0.5, 0));
        }
    }
}
