//! Real pose models on real images against the key points that the reference recorded.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::sync::Arc;

use onelook::media::{Limits, decode};
use onelook::types::{BoxXyxy, Frame, Instance, Instances, Keypoint, Task};
use onelook::{Device, LoadOptions, Model, Options, Parity, Pipeline, Tolerance};
use serde_json::Value;
use test_support::data;

const MODELS: [&str; 2] = ["yolo11n-pose-figures", "yolo26n-pose-figures"];

/// The record has three decimals; what is read must be as near as these tell.
const TOLERANCE: Tolerance = Tolerance {
    pixels: 0.002,
    score: 0.001,
    mask_iou: 1.0,
};

fn image(root: &Path, name: &str) -> Frame {
    let bytes = std::fs::read(root.join("tasks").join(name)).unwrap();
    decode(&bytes, &Limits::default()).unwrap()
}

fn load(root: &Path, model: &str, options: &LoadOptions) -> Model {
    Model::load(root.join(format!("weights/tasks/{model}.pt")), options).unwrap()
}

/// The images that the reference recorded with what it found.
fn recorded(root: &Path, model: &str) -> Vec<(String, Instances)> {
    let text = std::fs::read_to_string(root.join("reference/tasks.json")).unwrap();
    let value: Value = serde_json::from_str(&text).unwrap();
    let images = value[model]["images"].as_object().unwrap().iter();
    let images = images.map(|(name, rows)| (name.clone(), instances(rows)));
    images.collect()
}

fn instances(rows: &Value) -> Instances {
    let number = |value: &Value| value.as_f64().unwrap() as f32;
    let rows = rows.as_array().unwrap();
    let keypoints = rows.iter().map(|row| {
        let points = row["keypoints"].as_array().unwrap().iter();
        let point = |point: &Value| Keypoint {
            x: number(&point[0]),
            y: number(&point[1]),
            score: Some(number(&point[2])),
        };
        points.map(point).collect()
    });
    let boxes = rows.iter().map(|row| {
        let [x1, y1, x2, y2] = [0, 1, 2, 3].map(|side| number(&row["xyxy"][side]));
        let class = row["cls"].as_u64().unwrap() as usize;
        Instance::new(BoxXyxy { x1, y1, x2, y2 }, class, number(&row["conf"]))
    });
    let boxes: Instances = boxes.collect();
    boxes.with_keypoints(keypoints.collect())
}

/// What a model says of the first `count` recorded images, compared.
fn compared(root: &Path, model: &str, device: Device, count: usize) -> (usize, Parity) {
    let load_options = LoadOptions {
        device,
        ..LoadOptions::default()
    };
    let model_file = load(root, model, &load_options);
    assert_eq!(model_file.metadata().task(), Task::Pose);
    let pipeline = Pipeline::new(model_file, Options::default()).unwrap();
    let (mut expected, mut parity) = (0, Parity::default());
    for (name, objects) in recorded(root, model).into_iter().take(count) {
        let found = pipeline.predict(&[image(root, &name)]).unwrap().remove(0);
        expected += objects.len();
        parity.add(&Parity::of(found.instances(), &objects));
    }
    (expected, parity)
}

#[test]
fn key_points_are_those_that_the_reference_recorded() {
    let Some(root) = data() else { return };
    for (model, objects) in MODELS.into_iter().zip([74, 108]) {
        let (expected, parity) = compared(&root, model, Device::Cpu, usize::MAX);
        eprintln!("{model}: {parity:?}");
        assert_eq!((expected, parity.matched), (objects, objects));
        assert_eq!(parity.not_compared, 0);
        assert!(parity.holds(&TOLERANCE), "{model}: {parity:?}");
    }
}

#[test]
fn the_reference_executor_finds_the_same_key_points() {
    let Some(root) = data() else { return };
    for model in MODELS {
        let (expected, parity) = compared(&root, model, Device::Reference, 2);
        eprintln!("{model}: {parity:?}");
        assert!(expected > 0 && parity.matched == expected);
        assert_eq!(parity.not_compared, 0);
        assert!(parity.holds(&TOLERANCE), "{model}: {parity:?}");
    }
}

#[test]
fn an_image_has_the_same_key_points_in_any_batch_from_either_head() {
    let Some(root) = data() else { return };
    let frames = ["0000", "0001", "0000"].map(|it| image(&root, &format!("pose/images/{it}.jpg")));
    for end_to_end in [false, true] {
        let load_options = LoadOptions {
            end_to_end: Some(end_to_end),
            ..LoadOptions::default()
        };
        let model = Arc::new(load(&root, MODELS[1], &load_options));
        let found = [1, 3].map(|batch| {
            let options = Options {
                batch,
                ..Options::default()
            };
            let pipeline = Pipeline::new(model.clone(), options).unwrap();
            let results = pipeline.predict(&frames).unwrap();
            let instances = results.iter().map(|it| it.instances().clone());
            instances.collect::<Vec<_>>()
        });
        let first = found[0][0].get(0).unwrap();
        assert_eq!(first.keypoints.unwrap().len(), 5);
        assert_eq!(found[0][0], found[0][2]);
        assert_eq!(found[0], found[1]);
    }
}
