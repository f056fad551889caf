//! Tiles and merged boxes against what sahi 0.12.8 and ensemble-boxes 1.0.9 recorded; see
//! scripts/tiling_fixture.py.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use onelook_types::{BoxXyxy, Instances};
use onelook_vision::tiling::{MergeMethod, MergeOptions, OverlapMetric, TileOptions, merge, tiles};
use serde_json::Value;

fn fixture() -> Value {
    serde_json::from_str(include_str!("fixtures/tiling.json")).unwrap()
}

fn pair(value: &Value) -> [usize; 2] {
    [0, 1].map(|index| value[index].as_u64().unwrap() as usize)
}

/// Rows of x1, y1, x2, y2, score, class.
fn instances(rows: &Value) -> Instances {
    let rows: Vec<[f64; 6]> = serde_json::from_value(rows.clone()).unwrap();
    let bbox = |row: &[f64; 6]| {
        let [x1, y1, x2, y2, ..] = row.map(|value| value as f32);
        BoxXyxy { x1, y1, x2, y2 }
    };
    Instances::new(
        rows.iter().map(bbox).collect(),
        rows.iter().map(|row| row[5] as usize).collect(),
        rows.iter().map(|row| row[4] as f32).collect(),
    )
}

#[test]
fn tiles_are_those_of_sahi() {
    let fixture = fixture();
    let slices = fixture["slices"].as_array().unwrap();
    assert_eq!(slices.len(), 6);
    for case in slices {
        let options = TileOptions {
            size: pair(&case["tile"]),
            overlap: case["overlap"].as_f64().unwrap(),
            full_frame: false,
        };
        let cut = tiles(pair(&case["image"]), &options).unwrap();
        let cut: Vec<[usize; 4]> = cut
            .iter()
            .map(|it| [it.left, it.top, it.left + it.width, it.top + it.height])
            .collect();
        let recorded: Vec<[usize; 4]> = serde_json::from_value(case["tiles"].clone()).unwrap();
        assert_eq!(cut, recorded, "{}", case["image"]);
    }
}

#[test]
fn merged_boxes_are_those_of_sahi_and_of_ensemble_boxes() {
    let fixture = fixture();
    let mut compared = 0;
    for scene in fixture["scenes"].as_array().unwrap() {
        let candidates = instances(&scene["detections"]);
        for case in scene["cases"].as_array().unwrap() {
            let options = MergeOptions {
                method: match case["method"].as_str().unwrap() {
                    "nms" => MergeMethod::Nms,
                    "nmm" => MergeMethod::Nmm,
                    "greedy_nmm" => MergeMethod::GreedyNmm,
                    _ => MergeMethod::WeightedBoxes,
                },
                metric: match case["metric"].as_str().unwrap() {
                    "IOU" => OverlapMetric::Iou,
                    _ => OverlapMetric::Ios,
                },
                threshold: case["threshold"].as_f64().unwrap() as f32,
                agnostic: case["agnostic"].as_bool().unwrap(),
            };
            let merged = merge(&candidates, &options);
            let recorded = instances(&case["merged"]);
            let what = format!("{options:?}");
            assert_eq!(merged.classes(), recorded.classes(), "{what}");
            let tolerance = match options.method {
                MergeMethod::WeightedBoxes => 1e-3,
                _ => 0.0,
            };
            for (ours, theirs) in merged.iter().zip(&recorded) {
                let sides = |it: BoxXyxy| [it.x1, it.y1, it.x2, it.y2];
                let pairs = sides(ours.bbox).into_iter().zip(sides(theirs.bbox));
                let furthest = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(furthest <= tolerance, "{what}: {ours:?} {theirs:?}");
                assert!((ours.score - theirs.score).abs() < 1e-4, "{what}");
            }
            compared += 1;
        }
    }
    assert_eq!(compared, 78);
}

#[test]
fn the_order_of_tiles_does_not_matter_and_broken_boxes_are_left_out() {
    let fixture = fixture();
    let rows = &fixture["scenes"][2]["detections"];
    let candidates = instances(rows);
    let reversed: Vec<usize> = (0..candidates.len()).rev().collect();
    let options = MergeOptions::default();
    let merged = merge(&candidates, &options);
    assert_eq!(merge(&candidates.select(&reversed), &options), merged);
    let nan = BoxXyxy {
        x1: f32::NAN,
        ..BoxXyxy::default()
    };
    let broken = Instances::new(
        vec![nan, BoxXyxy::default()],
        vec![0, 0],
        vec![0.9, f32::NAN],
    );
    assert!(merge(&broken, &options).is_empty());
}
