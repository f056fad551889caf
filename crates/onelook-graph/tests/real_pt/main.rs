//! Real checkpoints against outputs that PyTorch recorded for them.
//!
//! Needs the test data (`ONELOOK_TEST_DATA`, or `shared/data` beside the workspace).

#![allow(clippy::unwrap_used)]

mod family;
mod generated;

use std::path::Path;

use onelook_graph::read::{ModelFile, ReadError, ReadOptions};
use onelook_graph::{Graph, pass, read, reference};
use onelook_types::{Task, Tensor};
use test_support::data;

fn npy(path: &Path) -> Tensor {
    let (shape, values) = test_support::npy(path);
    Tensor::new(shape, values).unwrap()
}

fn open(folder: &Path, name: &str, options: &ReadOptions) -> Result<ModelFile, ReadError> {
    let path = folder.join(format!("weights/{name}.pt"));
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    read::read(&bytes, options)
}

fn optimised(model: &ModelFile) -> Graph {
    let mut graph = model.graph.clone();
    pass::optimise(&mut graph);
    graph
}

#[test]
fn metadata_are_those_of_the_files() {
    let Some(folder) = data() else { return };
    for (name, architecture, version, reg_max, end_to_end) in [
        ("yolov8n", "yolov8n", "8.0.0.dev0", 16, false),
        ("yolo11n-recon", "yolo11n", "8.2.100", 16, false),
        ("yolo26n", "yolo26n", "8.3.222", 1, false),
    ] {
        let metadata = open(&folder, name, &ReadOptions::default())
            .unwrap()
            .metadata;
        assert_eq!(metadata.task(), Task::Detect);
        assert_eq!(metadata.architecture, architecture);
        assert_eq!(metadata.names.len(), 80);
        assert_eq!(
            [&metadata.names[0], &metadata.names[79]],
            ["person", "toothbrush"]
        );
        assert_eq!((metadata.stride, metadata.image_size), (32, [640, 640]));
        assert_eq!(metadata.head.classes(), 80);
        assert_eq!(metadata.head.detect().unwrap().reg_max, reg_max);
        assert_eq!(metadata.head.detect().unwrap().strides, [8, 16, 32]);
        assert_eq!(metadata.head.detect().unwrap().end_to_end, end_to_end);
        let note = |key: &str| metadata.notes.iter().find(|(name, _)| name == key);
        assert_eq!(note("version").unwrap().1, version);
        assert!(note("license").unwrap().1.starts_with("AGPL-3.0"));
    }
}

/// Fused, without what only decoding needs, as the reference counts them.
#[test]
fn parameters_are_as_many_as_the_reference_counts() {
    let Some(folder) = data() else { return };
    for (name, parameters, decoding) in [
        ("yolov8n", 3_151_904, 16),
        ("yolo11n-recon", 2_616_248, 16),
        ("yolo26n", 2_408_932, 0),
    ] {
        let model = open(&folder, name, &ReadOptions::default()).unwrap();
        assert_eq!(
            optimised(&model).parameters() + decoding,
            parameters,
            "{name}"
        );
    }
}

#[test]
fn the_head_without_nms_is_used_where_asked_for() {
    let Some(folder) = data() else { return };
    let asking = |end_to_end| ReadOptions {
        end_to_end: Some(end_to_end),
        ..ReadOptions::default()
    };
    for (options, end_to_end, branch) in [
        (ReadOptions::default(), false, "model.23.cv2.0.2"),
        (asking(false), false, "model.23.cv2.0.2"),
        (asking(true), true, "model.23.one2one_cv2.0.2"),
    ] {
        let model = open(&folder, "yolo26n", &options).unwrap();
        assert_eq!(model.metadata.head.detect().unwrap().end_to_end, end_to_end);
        let output = model.graph.outputs[0];
        assert_eq!(model.graph.value(output).name, branch);
    }
    let error = open(&folder, "yolo11n-recon", &asking(true)).unwrap_err();
    assert!(matches!(error, ReadError::Unsupported { .. }), "{error}");
}

/// The reference counts 2,722,980 of its fused network; the bias of the transposed convolution is
/// held once per pixel of its window here.
#[test]
fn a_segmentation_model_has_prototypes_and_as_many_parameters_as_the_reference() {
    let Some(folder) = data() else { return };
    let model = open(&folder, "yolo26n-seg", &ReadOptions::default()).unwrap();
    assert_eq!(model.metadata.task(), Task::Segment);
    assert_eq!(model.metadata.head.outputs().len(), 10);
    let repeated = 3 * 64;
    assert_eq!(optimised(&model).parameters(), 2_722_980 + repeated);
}

#[test]
fn outputs_are_those_of_pytorch() {
    let Some(folder) = data() else { return };
    let image = npy(&folder.join("reference/bus_letterbox640_rgb_chw_u8.npy"));
    let values = image.data().iter().map(|value| value / 255.0).collect();
    let input = Tensor::new([1, 3, 640, 640], values).unwrap();
    for name in ["yolo11n-recon", "yolov8n"] {
        let model = open(&folder, name, &ReadOptions::default()).unwrap();
        let maps = reference::run(&optimised(&model), &[&input]).unwrap();
        let decoded = decode(&maps, &model.metadata.head.detect().unwrap().strides);
        let expected = npy(&folder.join(format!("reference/{name}_bus_output0_f32.npy")));
        assert_eq!(decoded.len(), expected.data().len());
        let worst = worst_relative(&decoded, expected.data());
        eprintln!("{name}: worst relative difference {worst:.2e}");
        assert!(worst < 1e-3, "{name}: {worst}");
    }
}

/// Differences below a thousandth of a pixel or of a score count relative to one.
fn worst_relative(actual: &[f32], expected: &[f32]) -> f32 {
    let relative = |(a, b): (&f32, &f32)| (a - b).abs() / b.abs().max(1.0);
    actual
        .iter()
        .zip(expected)
        .map(relative)
        .fold(0.0, f32::max)
}

/// `[4 + classes, anchors]` as the reference's decoded output has it.
fn decode(maps: &[Tensor], strides: &[usize]) -> Vec<f32> {
    let anchors: usize = maps
        .iter()
        .step_by(2)
        .map(|map| map.shape()[2] * map.shape()[3])
        .sum();
    let classes = maps[1].shape()[1];
    let mut output = vec![0.0; (4 + classes) * anchors];
    let mut first = 0;
    for (level, stride) in maps.chunks_exact(2).zip(strides) {
        let (height, width) = (level[0].shape()[2], level[0].shape()[3]);
        let cells = height * width;
        let bins = level[0].shape()[1] / 4;
        for cell in 0..cells {
            let side = |side: usize| {
                let logit = |bin: usize| level[0].data()[(side * bins + bin) * cells + cell];
                let weights: Vec<f32> = (0..bins).map(|bin| logit(bin).exp()).collect();
                let sum: f32 = weights.iter().sum();
                (0..bins)
                    .map(|bin| bin as f32 * weights[bin] / sum)
                    .sum::<f32>()
            };
            let [left, top, right, bottom] = [0, 1, 2, 3].map(side);
            let (x, y) = ((cell % width) as f32 + 0.5, (cell / width) as f32 + 0.5);
            let values = [
                x + (right - left) / 2.0,
                y + (bottom - top) / 2.0,
                left + right,
                top + bottom,
            ];
            for (row, value) in values.iter().enumerate() {
                output[row * anchors + first + cell] = value * *stride as f32;
            }
            for class in 0..classes {
                let logit = level[1].data()[class * cells + cell];
                output[(4 + class) * anchors + first + cell] = 1.0 / (1.0 + (-logit).exp());
            }
        }
        first += cells;
    }
    output
}
