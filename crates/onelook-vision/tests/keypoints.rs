//! Key points from the outputs of a network, in every form that these have.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use onelook_types::{
    DetectHead, Head, Instances, LetterboxMode, LetterboxPlacement, LetterboxRecipe,
    OutputEncoding, PoseHead, Tensor, Thresholds,
};
use onelook_vision::letterbox::place;
use onelook_vision::output0::decode_output0;
use onelook_vision::postprocess::postprocess;

const COUNT: usize = 3;

/// Two images of 64 x 64 pixels: maps of 8 x 8 and 4 x 4 cells.
const SIDES: [usize; 2] = [8, 4];

fn placement(width: usize, height: usize) -> LetterboxPlacement {
    let recipe = LetterboxRecipe {
        height: 64,
        width: 64,
        mode: LetterboxMode::Square,
        padding: 114,
    };
    place(&recipe, width, height)
}

fn pose(encoding: OutputEncoding, end_to_end: bool, visibility: bool) -> Head {
    Head::Pose(PoseHead {
        detect: DetectHead {
            classes: 1,
            reg_max: 1,
            strides: vec![8, 16],
            end_to_end,
            encoding,
        },
        keypoints: COUNT,
        visibility,
    })
}

/// Maps of boxes of a cell's size around cells of which every third is an object.
fn maps(values: usize) -> Vec<Tensor> {
    let level = |side: usize| {
        let cells = side * side;
        let boxes = Tensor::from_fn([2, 4, side, side], |_| 0.5);
        let scores = Tensor::from_fn([2, 1, side, side], |index| match index % 3 {
            0 => 1.0 + index as f32 / 100.0,
            _ => -5.0,
        });
        let extra = Tensor::from_fn([2, COUNT * values, side, side], |index| {
            (index / cells) as f32 / 4.0 - 1.0 + (index % cells) as f32 / 64.0
        });
        [boxes, scores, extra]
    };
    SIDES.into_iter().flat_map(level).collect()
}

fn read(
    outputs: &[Tensor],
    index: usize,
    head: &Head,
    placement: &LetterboxPlacement,
) -> Instances {
    let read = postprocess(outputs, index, head, &Thresholds::default(), placement);
    read.unwrap().instances().clone()
}

#[test]
fn key_points_are_offsets_from_the_cells_corner_and_visibilities_logits() {
    for values in [2, 3] {
        let head = pose(OutputEncoding::Maps, false, values == 3);
        let found = read(&maps(values), 1, &head, &placement(64, 64));
        assert!(found.len() > 20);
        for object in &found {
            let side = if object.bbox.width() < 12.0 { 8 } else { 4 };
            let stride = 64.0 / side as f32;
            let [column, row] = [object.bbox.x1, object.bbox.y1].map(|edge| edge / stride);
            let cell = row as usize * side + column as usize;
            let value = |index: usize| {
                let channel = COUNT * values + index;
                channel as f32 / 4.0 - 1.0 + cell as f32 / 64.0
            };
            let points = object.keypoints.unwrap();
            assert_eq!(points.len(), COUNT);
            for (index, point) in points.iter().enumerate() {
                let x = (column + value(index * values)) * stride;
                let y = (row + value(index * values + 1)) * stride;
                assert_eq!((point.x, point.y), (x.clamp(0.0, 64.0), y.clamp(0.0, 64.0)));
                let score = |logit: f32| 1.0 / (1.0 + (-logit).exp());
                let score = (values == 3).then(|| score(value(index * 3 + 2)));
                assert_eq!(point.score, score);
            }
        }
    }
}

#[test]
fn every_form_of_the_outputs_gives_the_same_key_points() {
    let placement = placement(100, 60);
    for values in [2, 3] {
        let maps = maps(values);
        for (end_to_end, exported) in [
            (false, OutputEncoding::Decoded),
            (true, OutputEncoding::DecodedEndToEnd),
        ] {
            let head = pose(OutputEncoding::Maps, end_to_end, values == 3);
            let first = decode_output0(&maps, &head, 64, 64).unwrap();
            let extra = COUNT * values;
            let extents = match end_to_end {
                true => [2, 80, 6 + extra],
                false => [2, 5 + extra, 80],
            };
            assert_eq!(first.shape()[..], extents);
            for index in 0..2 {
                let found = read(&maps, index, &head, &placement);
                let exported = pose(exported, end_to_end, values == 3);
                let other = read(std::slice::from_ref(&first), index, &exported, &placement);
                assert!(found.len() > 20 && found.len() == other.len());
                let points = |it: &Instances| -> Vec<f32> {
                    let points = it
                        .iter()
                        .flat_map(|object| object.keypoints.unwrap().to_vec());
                    let values = points.flat_map(|it| [it.x, it.y, it.score.unwrap_or(0.0)]);
                    values.collect()
                };
                assert_eq!(points(&found), points(&other));
                let inside = |it: &[f32]| it[0] <= 100.0 && it[1] <= 60.0;
                assert!(points(&found).chunks(3).all(inside));
            }
        }
    }
}

#[test]
fn an_object_with_a_key_point_that_is_no_number_is_dropped() {
    let head = pose(OutputEncoding::DecodedEndToEnd, true, true);
    let row = |place: f32, x: f32, score: f32| {
        let mut row = vec![place, place, place + 9.0, place + 9.0, 0.9, 0.0];
        row.extend([x, 20.0, score].repeat(COUNT));
        row
    };
    let values = [
        row(0.0, 30.0, 0.5),
        row(15.0, f32::NAN, 0.5),
        row(30.0, 30.0, f32::NAN),
        row(45.0, f32::INFINITY, 0.5),
    ]
    .concat();
    let rows = Tensor::new([1, 4, 6 + 3 * COUNT], values).unwrap();
    let found = read(&[rows], 0, &head, &placement(64, 64));
    let first = |object: usize| found.get(object).unwrap().keypoints.unwrap()[0].x;
    assert_eq!((found.len(), first(0), first(1)), (2, 30.0, 64.0));
}

#[test]
fn outputs_with_other_key_points_than_the_head_has_are_refused() {
    let head = pose(OutputEncoding::Maps, false, true);
    let read = postprocess(
        &maps(2),
        0,
        &head,
        &Thresholds::default(),
        &placement(64, 64),
    );
    assert!(read.is_err(), "{read:?}");
}
