//! `onelook val` on real images against the figures that the reference recorded.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::process::Command;

use serde_json::Value;
use test_support::data;

/// Model, whether squares, mAP50-95 and mAP50 in percent.
const FIGURES: [(&str, bool, f64, f64); 10] = [
    ("weights/yolo11n-recon.pt", false, 45.25, 60.53),
    ("weights/yolov8n.pt", false, 43.65, 59.89),
    ("weights/yolo26n.pt", false, 47.01, 62.65),
    ("weights/yolo11n-recon.pt", true, 45.46, 61.23),
    ("weights/yolov8n.pt", true, 43.69, 60.27),
    ("weights/yolo26n.pt", true, 47.56, 63.67),
    ("onnx/yolo11n-recon.onnx", true, 45.46, 61.23),
    ("onnx/yolov8n.onnx", true, 43.69, 60.27),
    ("onnx/yolov12n.onnx", true, 45.74, 61.31),
    ("onnx/yolo26n.onnx", true, 47.56, 63.67),
];

#[test]
fn figures_are_within_a_tenth_of_a_point_of_the_reference() {
    let Some(root) = data() else { return };
    let subset = root.join("coco-val-subset");
    for (model, square, map50_95, map50) in FIGURES {
        let output = Command::new(env!("CARGO_BIN_EXE_onelook"))
            .args(["val", "--json", "--no-save", "--model"])
            .arg(root.join(model))
            .arg("--data")
            .arg(subset.join("instances.json"))
            .arg("--images")
            .arg(subset.join("images"))
            .arg(format!("--square={square}"))
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let figure = |name: &str| 100.0 * report[name].as_f64().unwrap();
        let found = [figure("map50_95"), figure("map50")];
        eprintln!("{model} square={square}: {found:.2?}, expected [{map50_95}, {map50}]");
        for (found, expected) in found.iter().zip([map50_95, map50]) {
            assert!(
                (found - expected).abs() < 0.1,
                "{model}: {found} against {expected}"
            );
        }
    }
}
