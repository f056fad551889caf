//! Real exports against ONNX Runtime: the same image through the reader and the reference
//! executor must give the recorded outputs. Skipped where the models are absent.

#![allow(clippy::unwrap_used)]

use onelook_graph::read::{ModelFile, ReadOptions, read, write_safetensors};
use onelook_graph::{Graph, infer_shapes, pass, reference};
use onelook_types::{Shape, Tensor};
use test_support::data_file;

fn file(name: &str) -> Option<Vec<u8>> {
    Some(std::fs::read(data_file(name)?).unwrap())
}

/// The letterboxed image as the network takes it: bytes over 255.
fn bus() -> Option<Tensor> {
    let npy = file("reference/bus_letterbox640_rgb_chw_u8.npy")?;
    let pixels = &npy[npy.len() - 3 * 640 * 640..];
    let scaled = pixels.iter().map(|&pixel| f32::from(pixel) / 255.0);
    Some(Tensor::new([1, 3, 640, 640], scaled.collect()).unwrap())
}

/// Anchors with the rows that ONNX Runtime gave there.
fn recorded(model: &str) -> Vec<(usize, Vec<f32>)> {
    let path = format!(
        "{}/tests/fixtures/{model}-bus.txt",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read_to_string(path).unwrap();
    let line = |line: &str| {
        let (anchor, rows) = line.split_once(' ').unwrap();
        let rows = rows.split(' ').map(|row| row.parse().unwrap()).collect();
        (anchor.parse().unwrap(), rows)
    };
    text.lines().map(line).collect()
}

fn assert_recorded(model: &str, output: &Tensor) {
    let anchors = output.shape()[2];
    for (anchor, rows) in recorded(model) {
        for (row, expected) in rows.into_iter().enumerate() {
            let actual = output.data()[row * anchors + anchor];
            let tolerance = match row {
                0..4 => 1e-3 * expected.abs().max(1.0),
                _ => 1e-4,
            };
            assert!(
                (actual - expected).abs() <= tolerance,
                "{model}: anchor {anchor}, row {row}: {actual}, not {expected}"
            );
        }
    }
}

/// Every value of the graph for a batch of two has twice the first extent it has for one.
fn assert_any_batch(graph: &Graph) {
    let infer = |batch: usize| infer_shapes(graph, &[Shape::from([batch, 3, 640, 640])]).unwrap();
    let (one, two) = (infer(1), infer(2));
    let output = graph.outputs[0].index();
    assert_eq!(one[output][0] * 2, two[output][0]);
    assert_eq!(one[output][1..], two[output][1..]);
}

fn assert_survives_the_native_form(file: &ModelFile) {
    let native = write_safetensors(file).unwrap();
    let back = read(&native, &ReadOptions::default()).unwrap();
    assert_eq!(back.graph.to_text(None), file.graph.to_text(None));
    assert_eq!(back.metadata, file.metadata);
    assert!(native == write_safetensors(&back).unwrap(), "other bytes");
}

fn check(model: &str, architecture: &str) {
    let (Some(bytes), Some(bus)) = (file(&format!("onnx/{model}.onnx")), bus()) else {
        return;
    };
    let mut file = read(&bytes, &ReadOptions::default()).unwrap();
    let metadata = &file.metadata;
    assert_eq!(metadata.architecture, architecture);
    assert_eq!(metadata.names.len(), 80);
    assert_eq!(metadata.names[5], "bus");
    assert_eq!(metadata.head.detect().unwrap().strides, [8, 16, 32]);
    assert_eq!((metadata.stride, metadata.image_size), (32, [640, 640]));
    assert!(metadata.fixed_size);
    assert_any_batch(&file.graph);

    assert_survives_the_native_form(&file);
    pass::optimise(&mut file.graph);
    assert_any_batch(&file.graph);
    let outputs = reference::run(&file.graph, &[&bus]).unwrap();
    assert_recorded(model, &outputs[0]);
}

#[test]
fn yolo11n_gives_what_onnx_runtime_gives() {
    check("yolo11n-recon", "yolo11n");
}

#[test]
fn yolov8n_gives_what_onnx_runtime_gives() {
    check("yolov8n", "yolov8n");
}

#[test]
fn yolo26n_gives_what_onnx_runtime_gives() {
    check("yolo26n", "yolo26n");
}

#[test]
fn yolov12n_gives_what_onnx_runtime_gives() {
    check("yolov12n", "yolov12n");
}
