//! `onelook predict` and `verify` with real models and images.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use test_support::data;

fn onelook(words: &[&str], directory: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_onelook"))
        .args(words)
        .current_dir(directory)
        .output()
        .unwrap()
}

fn scratch(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("onelook-real-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&path).unwrap();
    path
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn five_corrupt_images_among_five_hundred_are_named_and_the_rest_goes_on() {
    let Some(root) = data() else { return };
    let root = root.canonicalize().unwrap();
    let place = scratch("corrupt");
    let images = place.join("images");
    std::fs::create_dir_all(&images).unwrap();
    let mut originals: Vec<PathBuf> = std::fs::read_dir(root.join("coco-val-subset/images"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    originals.sort();
    let corrupt = [3, 77, 250, 251, 499];
    for number in 0..500 {
        let path = images.join(format!("{number:03}.jpg"));
        let original = &originals[number % originals.len()];
        if corrupt.contains(&number) {
            let bytes = std::fs::read(original).unwrap();
            std::fs::write(&path, &bytes[..bytes.len() / 3]).unwrap();
        } else {
            std::fs::copy(original, &path).unwrap();
        }
    }
    let model = format!("model={}", root.join("weights/yolo11n-recon.pt").display());
    let words = [
        "predict",
        &model,
        "source=images",
        "imgsz=160",
        "batch=4",
        "--json",
        "--no-save",
    ];
    let output = onelook(&words, &place);
    assert_eq!(output.status.code(), Some(1));
    let sources = |text: &str| -> Vec<String> {
        text.lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .filter_map(|value| Some(value["source"].as_str()?.to_owned()))
            .collect()
    };
    let name = |number: usize| format!("images/{number:03}.jpg");
    let (bad, good): (Vec<usize>, Vec<usize>) = (0..500).partition(|n| corrupt.contains(n));
    let expected = |numbers: Vec<usize>| numbers.into_iter().map(name).collect::<Vec<_>>();
    assert_eq!(sources(&text(&output.stdout)), expected(good));
    assert_eq!(sources(&text(&output.stderr)), expected(bad));
    assert!(text(&output.stderr).contains("5 of 500 images"));
    assert!(!place.join("runs").exists());
    std::fs::remove_dir_all(&place).unwrap();
}

#[test]
fn a_run_leaves_images_labels_crops_and_tables() {
    let Some(root) = data() else { return };
    let root = root.canonicalize().unwrap();
    let place = scratch("outputs");
    let model = root.join("weights/yolo11n-recon.pt");
    let bus = root.join("images/bus.jpg");
    let words = [
        "detect",
        "predict",
        "--model",
        model.to_str().unwrap(),
        "--source",
        bus.to_str().unwrap(),
        "save_txt",
        "save_conf=True",
        "--save_crop",
        "--save-csv",
        "save_json",
        "classes=bus,0",
    ];
    for run in ["predict", "predict-2"] {
        let output = onelook(&words, &place);
        let said = text(&output.stdout);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let line = format!("image 1/1 {}: 640x480 4 persons, 1 bus, ", bus.display());
        assert!(said.starts_with(&line), "{said}");
        assert!(
            said.contains("per image at shape (1, 3, 640, 480)"),
            "{said}"
        );
        assert!(
            said.contains(&format!("Results saved to runs/detect/{run}")),
            "{said}"
        );
        let kept = place.join("runs/detect").join(run);
        let labels = std::fs::read_to_string(kept.join("labels/bus.txt")).unwrap();
        assert_eq!(labels.lines().count(), 5);
        assert_eq!(labels.lines().next().unwrap().split(' ').count(), 6);
        assert_eq!(
            std::fs::read_dir(kept.join("crops/person"))
                .unwrap()
                .count(),
            4
        );
        let rows = std::fs::read_to_string(kept.join("predictions.csv")).unwrap();
        assert_eq!(rows.lines().count(), 6);
        assert!(kept.join("bus.jpg").is_file());
        assert!(kept.join("predictions.jsonl").is_file());
    }
    std::fs::remove_dir_all(&place).unwrap();
}

#[test]
fn a_segmentation_model_draws_masks_and_writes_polygons() {
    let Some(root) = data() else { return };
    let root = root.canonicalize().unwrap();
    let place = scratch("segment");
    let model = format!("model={}", root.join("weights/yolo26n-seg.pt").display());
    let source = format!("source={}", root.join("images/bus.jpg").display());
    let words = [
        "segment",
        "predict",
        &model,
        &source,
        "save_txt",
        "save_conf",
        "retina_masks=True",
        "--json",
    ];
    let output = onelook(&words, &place);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let lines = text(&output.stdout);
    let record: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!(record["task"], "segment");
    let found = record["detections"].as_array().unwrap();
    assert_eq!(found.len(), 5);
    for object in found {
        let [x, y] = ["x", "y"].map(|axis| object["segments"][axis].as_array().unwrap().len());
        assert!(x == y && x >= 3, "{object}");
    }
    let saved = place.join("runs/segment/predict");
    let labels = std::fs::read_to_string(saved.join("labels/bus.txt")).unwrap();
    assert_eq!(labels.lines().count(), 5);
    for line in labels.lines() {
        let values: Vec<f32> = line.split(' ').map(|word| word.parse().unwrap()).collect();
        // The class, pairs of coordinates, the confidence.
        assert!(
            values.len() >= 8 && values.len().is_multiple_of(2),
            "{line}"
        );
        assert!(values[1..].iter().all(|value| (0.0..=1.0).contains(value)));
    }
    assert!(saved.join("bus.jpg").is_file());
    std::fs::remove_dir_all(&place).unwrap();
}

#[test]
fn a_pose_model_writes_key_points_and_verify_holds_them_to_the_recorded_ones() {
    let Some(root) = data() else { return };
    let root = root.canonicalize().unwrap();
    let place = scratch("pose");
    let reference = std::fs::read_to_string(root.join("reference/tasks.json")).unwrap();
    let reference: Value = serde_json::from_str(&reference).unwrap();
    for name in ["yolo11n-pose-figures", "yolo26n-pose-figures"] {
        let model = root.join(format!("weights/tasks/{name}.pt"));
        let model = format!("model={}", model.display());
        let source = |path: &str| format!("source={}", root.join("tasks").join(path).display());
        let expected = &reference[name]["images"];
        let count = expected["pose/images/0000.jpg"].as_array().unwrap().len();
        let image = source("pose/images/0000.jpg");
        let mut words = vec!["pose", "predict", &model, &image, "save_txt", "save_conf"];
        let run = format!("name={name}");
        words.extend([&run, "--json"]);
        let output = onelook(&words, &place);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let lines = text(&output.stdout);
        let record: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
        assert_eq!(record["task"], "pose");
        let found = record["detections"].as_array().unwrap();
        assert_eq!(found.len(), count);
        for values in ["x", "y", "visible"] {
            let values = found[0]["keypoints"][values].as_array().unwrap();
            assert_eq!(values.len(), 5);
        }
        let saved = place.join("runs/pose").join(name);
        let labels = std::fs::read_to_string(saved.join("labels/0000.txt")).unwrap();
        assert_eq!(labels.lines().count(), count);
        for line in labels.lines() {
            let values: Vec<f32> = line.split(' ').map(|word| word.parse().unwrap()).collect();
            // The class, the box, five points of three values, the confidence.
            assert_eq!(values.len(), 1 + 4 + 15 + 1, "{line}");
            assert!(values[1..].iter().all(|value| (0.0..=1.0).contains(value)));
        }
        assert!(saved.join("0000.jpg").is_file());

        // What the reference recorded as lines of predict --json, and the same with a point moved.
        let mut lines = recorded_lines(expected);
        for (moved, figure) in [(0.0, true), (0.75, false)] {
            let x = &mut lines[0]["detections"][0]["keypoints"]["x"][4];
            *x = json!(x.as_f64().unwrap() + moved);
            let recording = place.join("recorded.jsonl");
            let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
            std::fs::write(&recording, lines.join("\n")).unwrap();
            let images = source("pose/images");
            let output = onelook(
                &[
                    "verify",
                    &model,
                    &images,
                    "against=recorded.jsonl",
                    "--json",
                ],
                &place,
            );
            assert_eq!(output.status.success(), figure, "{}", text(&output.stderr));
            let report: Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(report["same"], figure, "{report}");
            assert_eq!(report["only_first"], 0, "{report}");
            assert_eq!(report["compared_by_boxes_only"], 0, "{report}");
            let worst = report["worst_pixels"].as_f64().unwrap();
            assert!((worst - moved).abs() < 0.002, "{report}");
        }
    }
    std::fs::remove_dir_all(&place).unwrap();
}

/// A line of predict --json per image of the reference's record.
fn recorded_lines(images: &Value) -> Vec<Value> {
    let line = |(name, rows): (&String, &Value)| {
        let object = |row: &Value| {
            let axis = |axis: usize| -> Vec<&Value> {
                let points = row["keypoints"].as_array().unwrap();
                points.iter().map(|point| &point[axis]).collect()
            };
            let [x1, y1, x2, y2] = [0, 1, 2, 3].map(|side| &row["xyxy"][side]);
            json!({
                "name": "figure",
                "class": row["cls"],
                "confidence": row["conf"],
                "box": {"x1": x1, "y1": y1, "x2": x2, "y2": y2},
                "keypoints": {"x": axis(0), "y": axis(1), "visible": axis(2)},
            })
        };
        let objects: Vec<Value> = rows.as_array().unwrap().iter().map(object).collect();
        json!({"source": name, "detections": objects})
    };
    images.as_object().unwrap().iter().map(line).collect()
}

#[test]
fn verify_holds_against_the_recorded_reference_and_the_export() {
    let Some(root) = data() else { return };
    let root = root.canonicalize().unwrap();
    let place = scratch("verify");
    let model = root.join("weights/yolo11n-recon.pt");
    let images = root.join("images");
    for against in ["reference/detections.json", "onnx/yolo11n-recon.onnx"] {
        let against = root.join(against);
        let words = [
            "verify",
            "--model",
            model.to_str().unwrap(),
            "--against",
            against.to_str().unwrap(),
            "--source",
            images.to_str().unwrap(),
            "--json",
            "--html",
            "report.html",
        ];
        let output = onelook(&words, &place);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["matched"], 8, "{report}");
        assert_eq!(report["same"], true, "{report}");
        let page = std::fs::read_to_string(place.join("report.html")).unwrap();
        assert!(page.contains("data:image/jpeg;base64,"));
    }
    std::fs::remove_dir_all(&place).unwrap();
}
