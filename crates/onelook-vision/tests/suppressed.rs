//! Boxes that suppression dropped and a tracker may still take.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use onelook_types::{
    DetectHead, Head, LetterboxMode, LetterboxRecipe, OutputEncoding, Tensor, Thresholds,
};
use onelook_vision::letterbox::place;
use onelook_vision::postprocess::postprocess;
use onelook_vision::suppressed::suppressed;

/// Centre x and score of boxes of 100 by 100 pixels in one row.
const BOXES: [(f32, f32); 6] = [
    (100.0, 0.9),
    // The kept box again, but for a pixel: an IoU of 0.98.
    (101.0, 0.8),
    // Dropped and another box.
    (110.0, 0.7),
    // As the one above: an IoU of 0.98.
    (111.0, 0.65),
    // Not confident enough.
    (115.0, 0.5),
    // Kept.
    (400.0, 0.7),
];

#[test]
fn what_was_dropped_comes_once_without_what_was_kept() {
    let head = Head::Detect(DetectHead {
        classes: 1,
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
    let columns = [
        |(x, _)| x,
        |_| 300.0,
        |_| 100.0,
        |_| 100.0,
        |(_, score)| score,
    ] as [fn((f32, f32)) -> f32; 5];
    let values = columns.iter().flat_map(|column| BOXES.map(column));
    let values: Vec<f32> = values.collect();
    let outputs = [Tensor::new([1, 5, BOXES.len()], values).unwrap()];
    let thresholds = Thresholds::default();
    let kept = postprocess(&outputs, 0, &head, &thresholds, &placement).unwrap();
    assert_eq!(kept.instances().scores(), [0.9, 0.7]);
    let dropped = suppressed(
        &outputs,
        0,
        &head,
        &thresholds,
        &placement,
        kept.instances(),
    )
    .unwrap();
    assert_eq!(dropped.scores(), [0.7]);
    assert_eq!(dropped.boxes()[0].x1, 60.0);
}
