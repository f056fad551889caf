//! Real network outputs (bus.jpg, 640x640) through the suppression, against what the reference
//! implementation (torch 2.15, torchvision's nms) kept of the same outputs.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use onelook_types::{
    DetectHead, Head, Instances, LetterboxMode, LetterboxRecipe, OutputEncoding, Tensor, Thresholds,
};
use onelook_vision::letterbox::place;
use onelook_vision::postprocess::postprocess;
use test_support::{data, npy};

/// x1, y1, x2, y2, confidence, class.
type Row = [f32; 6];

struct Case {
    model: &'static str,
    predicted: [Row; 5],
    /// Number kept and their summed confidence and class at confidence 0.001, every class counting.
    validated: (usize, f32, usize),
    /// The same with the best class only.
    best_only: (usize, f32, usize),
}

const CASES: [Case; 2] = [
    Case {
        model: "yolo11n-recon",
        predicted: [
            [87.476, 135.78, 554.1079, 435.8438, 0.9383, 5.0],
            [108.8515, 235.6978, 224.0303, 535.8171, 0.9003, 0.0],
            [477.189, 232.2429, 560.0127, 521.5511, 0.8511, 0.0],
            [212.2432, 240.3686, 284.5805, 509.4384, 0.8342, 0.0],
            [80.1014, 325.4119, 118.8455, 516.8607, 0.4031, 0.0],
        ],
        validated: (300, 5.74657, 6054),
        best_only: (252, 5.602_118, 5137),
    },
    Case {
        model: "yolov8n",
        predicted: [
            [477.3032, 225.5157, 559.9519, 521.2747, 0.8902, 0.0],
            [211.3638, 241.434, 283.7237, 507.3693, 0.8833, 0.0],
            [110.0335, 235.4363, 224.8282, 536.519, 0.8784, 0.0],
            [98.66, 136.7369, 554.9121, 459.7213, 0.8434, 5.0],
            [80.2664, 325.83, 114.2338, 514.5482, 0.4363, 0.0],
        ],
        validated: (284, 5.437_415, 5208),
        best_only: (233, 5.314_159, 4088),
    },
];

fn read(output: &Tensor, thresholds: &Thresholds) -> Instances {
    let head = Head::Detect(DetectHead {
        classes: 80,
        reg_max: 16,
        strides: vec![8, 16, 32],
        end_to_end: false,
        encoding: OutputEncoding::Decoded,
    });
    let recipe = LetterboxRecipe {
        height: 640,
        width: 640,
        mode: LetterboxMode::Square,
        padding: 114,
    };
    let placement = place(&recipe, 640, 640);
    let outputs = std::slice::from_ref(output);
    let read = postprocess(outputs, 0, &head, thresholds, &placement);
    read.unwrap().instances().clone()
}

fn assert_sums(found: &Instances, expected: (usize, f32, usize), model: &str) {
    let confidence: f32 = found.iter().map(|found| found.score).sum();
    let classes: usize = found.iter().map(|found| found.class).sum();
    assert_eq!((found.len(), classes), (expected.0, expected.2), "{model}");
    assert!(
        (confidence - expected.1).abs() < 1e-4,
        "{model}: {confidence}"
    );
}

#[test]
fn real_outputs_keep_what_the_reference_keeps() {
    let Some(data) = data() else { return };
    for case in CASES {
        let file = format!("reference/{}_bus_output0_f32.npy", case.model);
        let output = Tensor::new([1, 84, 8400], npy(&data.join(file)).1).unwrap();
        let found = read(&output, &Thresholds::default());
        assert_eq!(found.len(), case.predicted.len(), "{}", case.model);
        for (found, [x1, y1, x2, y2, confidence, class]) in found.iter().zip(case.predicted) {
            let close = |a: f32, b: f32| (a - b).abs() < 1e-3;
            assert!(
                close(found.bbox.x1, x1)
                    && close(found.bbox.y1, y1)
                    && close(found.bbox.x2, x2)
                    && close(found.bbox.y2, y2)
                    && close(found.score, confidence)
                    && found.class == class as usize,
                "{}: {found:?}",
                case.model
            );
        }
        let everything = |multi_label| Thresholds {
            confidence: 0.001,
            multi_label,
            ..Thresholds::default()
        };
        assert_sums(
            &read(&output, &everything(true)),
            case.validated,
            case.model,
        );
        assert_sums(
            &read(&output, &everything(false)),
            case.best_only,
            case.model,
        );
    }
}
