//! One small checkpoint per family, written as PyTorch writes them: what is read of it is the described network, node by
//! node and value by value. So the reader is tested where no real checkpoint is at hand.

use onelook_types::{Shape, Tensor};

use super::super::described::{self, Attribute, Described};
use super::written::torch::{checkpoint, element};
use crate::family::tiny_layers;
use crate::op::Op;
use crate::read::{ModelFile, ReadOptions, read};
use crate::{Graph, pass, reference};

const HEADS: [Option<bool>; 3] = [None, Some(false), Some(true)];

/// What PyTorch would load into the same network.
fn described(layers: &Described, options: &ReadOptions) -> Option<ModelFile> {
    let mut fill = |path: &str, shape: &Shape| {
        (0..shape.elements())
            .map(|position| element(path, position))
            .collect()
    };
    described::build(layers, options, &mut fill).ok()
}

fn weights(graph: &Graph) -> Vec<&[f32]> {
    let mut weights = Vec::new();
    for node in &graph.nodes {
        match &node.op {
            Op::Conv(conv) => weights.push(conv.weight.data()),
            Op::BatchNorm(norm) => {
                let parts = [&norm.scale, &norm.shift, &norm.mean, &norm.variance];
                weights.extend(parts.map(|part| part.data()));
            }
            _ => {}
        }
    }
    weights
}

#[test]
fn a_checkpoint_of_each_family_is_the_described_network() {
    for (family, file) in [
        ("yolov8", "yolov8n.yaml"),
        ("yolo11", "yolo11n.yaml"),
        ("yolo26", "yolo26n.yaml"),
    ] {
        let layers = tiny_layers(family);
        let bytes = checkpoint("DetectionModel", file, &layers);
        assert!(bytes.len() < 1 << 20, "{family}: {} bytes", bytes.len());
        for end_to_end in HEADS {
            let options = ReadOptions {
                end_to_end,
                ..ReadOptions::default()
            };
            let Some(expected) = described(&layers, &options) else {
                assert!(read(&bytes, &options).is_err(), "{family} {end_to_end:?}");
                continue;
            };
            let model = read(&bytes, &options).unwrap_or_else(|error| panic!("{family}: {error}"));
            assert_eq!(
                model.graph.to_text(None),
                expected.graph.to_text(None),
                "{family}"
            );
            assert!(
                weights(&model.graph) == weights(&expected.graph),
                "{family}: other weights"
            );
            assert_eq!(model.metadata.head, expected.metadata.head, "{family}");
            assert_eq!(model.metadata.architecture, format!("{family}n"));
            assert_eq!(model.metadata.names[..3], ["person", "bicycle", "class 2"]);
            assert_eq!(model.metadata.image_size, [320, 320]);
            assert_eq!(
                model.metadata.notes,
                [("version".to_owned(), "8.4.0".to_owned())]
            );
        }
    }
}

#[test]
fn a_checkpoint_of_each_family_runs() {
    for family in ["yolov8", "yolo11", "yolo26"] {
        let bytes = checkpoint("DetectionModel", "any.yaml", &tiny_layers(family));
        let mut model = read(&bytes, &ReadOptions::default()).unwrap();
        pass::optimise(&mut model.graph);
        let input = Tensor::from_fn([1, 3, 64, 32], |position| (position % 255) as f32 / 255.0);
        let maps = reference::run(&model.graph, &[&input]).unwrap();
        assert_eq!(maps.len(), 6, "{family}");
        assert_eq!(maps[1].shape()[..], [1, 80, 8, 4], "{family}");
        assert!(
            maps.iter()
                .all(|map| map.data().iter().all(|value| value.is_finite())),
            "{family}"
        );
    }
}

/// A network of yolo26 whose last layer is its head for segmentation.
fn segmentation() -> Described {
    let mut layers = tiny_layers("yolo26");
    let (_, head) = layers.children.last_mut().unwrap();
    head.class = "Segment26";
    let (_, branches) = head.children[0].clone();
    let coefficients = |name| (name, branches.clone());
    head.children
        .extend([coefficients("cv4"), coefficients("one2one_cv4")]);
    head.attributes
        .extend([("nm", Attribute::Int(4)), ("npr", Attribute::Int(8))]);
    layers
}

#[test]
fn a_segmentation_checkpoint_is_refused_by_its_task() {
    let bytes = checkpoint("SegmentationModel", "yolo26n-seg.yaml", &segmentation());
    let error = read(&bytes, &ReadOptions::default())
        .unwrap_err()
        .to_string();
    assert!(error.contains("segment model"), "{error}");
}
