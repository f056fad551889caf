//! Real models on real images against what PyTorch recorded.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;
use std::thread;

use onelook::media::{Limits, decode};
use onelook::types::{BoxXyxy, Frame, Instance, Instances, Precision, Tensor};
use onelook::{LoadOptions, Model, Options, Parity, Pipeline, Tolerance, raw_error};
use test_support::{data, npy};

const MODELS: [&str; 3] = ["yolo11n-recon", "yolov8n", "yolo26n"];
const IMAGES: [&str; 2] = ["bus.jpg", "zidane.jpg"];

fn image(root: &std::path::Path, name: &str) -> Frame {
    let bytes = std::fs::read(root.join("images").join(name)).unwrap();
    decode(&bytes, &Limits::default()).unwrap()
}

fn pipeline(root: &std::path::Path, model: &str, threads: usize, options: Options) -> Pipeline {
    let load = LoadOptions {
        threads: Some(threads),
        ..LoadOptions::default()
    };
    let path = root.join("weights").join(format!("{model}.pt"));
    Pipeline::new(Model::load(path, &load).unwrap(), options).unwrap()
}

fn recorded(root: &std::path::Path, model: &str, image: &str) -> Instances {
    let text = std::fs::read_to_string(root.join("reference/detections.json")).unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let found = value["models"][model]["images"][image].as_array().unwrap();
    let number = |value: &serde_json::Value| value.as_f64().unwrap() as f32;
    found
        .iter()
        .map(|found| {
            let xyxy = &found["xyxy"];
            let bbox = BoxXyxy {
                x1: number(&xyxy[0]),
                y1: number(&xyxy[1]),
                x2: number(&xyxy[2]),
                y2: number(&xyxy[3]),
            };
            let class = found["class"].as_u64().unwrap() as usize;
            Instance::new(bbox, class, number(&found["conf"]))
        })
        .collect()
}

#[test]
fn boxes_are_those_that_the_reference_recorded() {
    let Some(root) = data() else { return };
    for model in MODELS {
        let pipeline = pipeline(&root, model, 2, Options::default());
        for name in IMAGES {
            let predictions = pipeline.predict(&[image(&root, name)]).unwrap();
            let parity = Parity::of(predictions[0].instances(), &recorded(&root, model, name));
            eprintln!("{model} {name}: {parity:?}");
            assert!(
                parity.holds(&Tolerance::default()),
                "{model} {name}: {parity:?}"
            );
        }
    }
}

#[test]
fn raw_outputs_are_those_that_the_reference_recorded() {
    let Some(root) = data() else { return };
    let letterboxed = npy(&root.join("reference/bus_letterbox640_rgb_chw_u8.npy")).1;
    let values = letterboxed.iter().map(|value| value / 255.0).collect();
    let input = Tensor::new([1, 3, 640, 640], values).unwrap();
    for model in &MODELS[..2] {
        let expected = npy(&root.join(format!("reference/{model}_bus_output0_f32.npy"))).1;
        let expected = Tensor::new([1, 84, 8400], expected).unwrap();
        let pipeline = pipeline(&root, model, 2, Options::default());
        let error = raw_error(&pipeline.model().output0(&input).unwrap(), &expected).unwrap();
        eprintln!("{model}: raw error {error:e}");
        assert!(error < 1e-3, "{model}: {error:e}");
    }
}

#[test]
fn an_image_has_the_same_boxes_in_any_batch_on_any_number_of_threads() {
    let Some(root) = data() else { return };
    let bus = image(&root, "bus.jpg");
    let zidane = image(&root, "zidane.jpg");
    let wide = Frame::filled(320, 100, [90, 120, 30]).unwrap();
    let others = [&zidane, &wide, &bus, &zidane, &bus, &wide, &bus];
    for model in MODELS {
        let mut seen = Vec::new();
        for threads in [1, 2] {
            for batch in [1, 3, 8] {
                let options = Options {
                    image_size: Some([320, 320]),
                    batch,
                    ..Options::default()
                };
                let pipeline = pipeline(&root, model, threads, options);
                let mut frames = vec![bus.clone()];
                frames.extend(others.iter().take(batch - 1).map(|&frame| frame.clone()));
                let predictions = pipeline.predict(&frames).unwrap();
                seen.push(predictions[0].instances().clone());
                for (frame, prediction) in frames.iter().zip(&predictions) {
                    if *frame == bus {
                        seen.push(prediction.instances().clone());
                    }
                }
            }
        }
        assert!(!seen[0].is_empty());
        assert!(seen.iter().all(|other| *other == seen[0]), "{model}");
    }
}

/// A thousand predictions in all; `ONELOOK_TEST_THOUSAND=1` makes it a thousand for each thread.
#[test]
fn sixty_four_threads_each_get_the_boxes_of_their_own_image() {
    let Some(root) = data() else { return };
    let options = Options {
        image_size: Some([160, 160]),
        ..Options::default()
    };
    let pipeline = Arc::new(pipeline(&root, "yolo11n-recon", 2, options));
    let images: Vec<Frame> = IMAGES.iter().map(|name| image(&root, name)).collect();
    let expected: Vec<_> = images
        .iter()
        .map(|frame| {
            let found = pipeline.predict(std::slice::from_ref(frame)).unwrap();
            found[0].instances().clone()
        })
        .collect();
    assert_ne!(expected[0], expected[1]);
    let rounds = match std::env::var_os("ONELOOK_TEST_THOUSAND") {
        Some(_) => 1000,
        None => 16,
    };
    thread::scope(|scope| {
        for number in 0..64 {
            let (pipeline, images, expected) = (&pipeline, &images, &expected);
            scope.spawn(move || {
                let own = number % 2;
                for round in 0..rounds {
                    let frame = std::slice::from_ref(&images[own]);
                    let found = pipeline.predict(frame).unwrap();
                    assert_eq!(
                        *found[0].instances(),
                        expected[own],
                        "thread {number}, round {round}"
                    );
                }
            });
        }
    });
}

/// Half precision finds the same objects with nearly the same confidence; where it has the same best candidate for each,
/// the boxes are near, too. A CPU without a fast half precision refuses it, and there is nothing to compare.
#[test]
fn half_precision_finds_the_same_objects() {
    let Some(root) = data() else { return };
    let load = LoadOptions {
        threads: Some(2),
        precision: Precision::F16,
        ..LoadOptions::default()
    };
    for model in MODELS {
        let path = root.join("weights").join(format!("{model}.pt"));
        let half = match Model::load(path, &load) {
            Ok(half) => Pipeline::new(half, Options::default()).unwrap(),
            Err(error) => {
                assert!(error.to_string().contains("use f32"), "{error}");
                return;
            }
        };
        let single = pipeline(&root, model, 2, Options::default());
        for name in IMAGES {
            let frame = [image(&root, name)];
            let [half, single] = [&half, &single].map(|route| route.predict(&frame).unwrap());
            let parity = Parity::of(half[0].instances(), single[0].instances());
            eprintln!("{model} {name}: {parity:?}");
            let tolerance = Tolerance {
                pixels: 24.0,
                score: 0.03,
                ..Tolerance::default()
            };
            assert!(parity.holds(&tolerance), "{model} {name}: {parity:?}");
        }
    }
}
