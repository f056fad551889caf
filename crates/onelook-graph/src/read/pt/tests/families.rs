//! One small checkpoint per family, written as PyTorch writes them: what is read of it is the described network, node by
//! node and value by value. So the reader is tested where no real checkpoint is at hand.

use onelook_types::{Head, Shape, Tensor};

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

fn plain(class: &'static str, children: Vec<(&'static str, Described)>) -> Described {
    Described {
        class,
        children,
        ..Described::default()
    }
}

/// A convolution as PyTorch records it, of any window.
fn window(class: &'static str, weight: [usize; 4], outputs: usize) -> Described {
    Described {
        attributes: vec![("stride", Attribute::Int(if weight[2] == 2 { 2 } else { 1 }))],
        tensors: vec![("weight", weight.into()), ("bias", vec![outputs])],
        ..plain(class, Vec::new())
    }
}

fn block(inputs: usize, outputs: usize) -> Described {
    let conv = window("Conv2d", [outputs, inputs, 1, 1], outputs);
    plain("Conv", vec![("conv", conv)])
}

/// Channels of each level that a head reads.
fn inputs_of(head: &Described) -> Vec<usize> {
    let branches = head.children[0].1.children.iter();
    let inputs = branches.map(|(_, branch)| {
        let (_, first) = &branch.children[0];
        first.children[0].1.tensors[0].1[1]
    });
    inputs.collect()
}

/// A list of a module per level.
fn per_level(modules: impl Iterator<Item = Described>) -> Described {
    let levels = ["0", "1", "2"].into_iter().zip(modules);
    plain("ModuleList", levels.collect())
}

/// A network of a family whose last layer is its head for segmentation with four prototypes.
fn segmentation(family: &str) -> Described {
    const PROTOTYPES: usize = 4;
    let mut layers = tiny_layers(family);
    let (_, head) = layers.children.last_mut().unwrap();
    let inputs = inputs_of(head);
    let branches = per_level(inputs.iter().map(|&it| block(it, PROTOTYPES)));
    let mut proto = vec![
        ("cv1", block(inputs[0], 8)),
        ("upsample", window("ConvTranspose2d", [8, 8, 2, 2], 8)),
        ("cv2", block(8, 8)),
        ("cv3", block(8, PROTOTYPES)),
    ];
    let (head_class, proto_class) = match family {
        "yolo26" => ("Segment26", "Proto26"),
        _ => ("Segment", "Proto"),
    };
    if family == "yolo26" {
        let refined = inputs[1..].iter().map(|&it| block(it, inputs[0]));
        proto.push(("feat_refine", per_level(refined)));
        proto.push(("feat_fuse", block(inputs[0], inputs[0])));
        head.children.push(("one2one_cv4", branches.clone()));
    }
    head.class = head_class;
    head.children.push(("cv4", branches));
    head.children.push(("proto", plain(proto_class, proto)));
    head.attributes
        .push(("nm", Attribute::Int(PROTOTYPES as i64)));
    layers
}

#[test]
fn a_segmentation_checkpoint_gives_coefficients_and_prototypes() {
    for (family, one_to_one) in [("yolov8", false), ("yolo11", false), ("yolo26", true)] {
        let bytes = checkpoint("SegmentationModel", "any.yaml", &segmentation(family));
        for end_to_end in [false, true] {
            let options = ReadOptions {
                end_to_end: Some(end_to_end),
                ..ReadOptions::default()
            };
            let model = match read(&bytes, &options) {
                Ok(model) => model,
                Err(error) => {
                    assert!(end_to_end && !one_to_one, "{family}: {error}");
                    continue;
                }
            };
            let Head::Segment(head) = &model.metadata.head else {
                panic!("{family}: {:?}", model.metadata.head);
            };
            assert_eq!((head.prototypes, head.detect.end_to_end), (4, end_to_end));
            let mut graph = model.graph;
            pass::optimise(&mut graph);
            let input = Tensor::from_fn([1, 3, 64, 32], |position| (position % 255) as f32 / 255.0);
            let outputs = reference::run(&graph, &[&input]).unwrap();
            let shapes: Vec<&[usize]> = outputs.iter().map(|it| &it.shape()[..]).collect();
            assert_eq!(shapes.len(), 10, "{family}");
            assert_eq!(shapes[2], [1, 4, 8, 4], "{family}");
            assert_eq!(shapes[8], [1, 4, 2, 1], "{family}");
            assert_eq!(shapes[9], [1, 4, 16, 8], "{family}");
        }
    }
}

fn child<'a>(module: &'a mut Described, name: &str) -> &'a mut Described {
    let child = module.children.iter_mut().find(|(other, _)| *other == name);
    &mut child.unwrap().1
}

/// Why a checkpoint is refused after `spoil` has changed its head.
fn refusal(model: &str, mut layers: Described, spoil: &dyn Fn(&mut Described)) -> String {
    spoil(&mut layers.children.last_mut().unwrap().1);
    let bytes = checkpoint(model, "any.yaml", &layers);
    let read = read(&bytes, &ReadOptions::default());
    read.unwrap_err().to_string()
}

#[test]
fn a_segmentation_checkpoint_that_contradicts_itself_is_refused() {
    let refused =
        |model: &str, spoil: &dyn Fn(&mut Described)| refusal(model, segmentation("yolo26"), spoil);
    let error = refused("DetectionModel", &|_| ());
    assert!(error.contains("recorded as a detect model"), "{error}");
    let error = refused("SegmentationModel", &|head| {
        head.attributes.retain(|(name, _)| *name != "nm");
        head.attributes.push(("nm", Attribute::Int(5)));
    });
    assert!(error.contains("not 1x5x"), "{error}");
    let error = refused("SegmentationModel", &|head| {
        child(child(head, "proto"), "feat_refine").children.pop();
    });
    assert!(error.contains("feat_refine"), "{error}");
    let error = refused("SegmentationModel", &|head| {
        child(child(head, "proto"), "upsample").attributes = vec![("stride", Attribute::Int(1))];
    });
    assert!(error.contains("overlap or leave gaps"), "{error}");
    let error = refused("SegmentationModel", &|head| {
        child(head, "cv4").children.pop();
    });
    assert!(error.contains("'f' of Segment26"), "{error}");
}

/// A network of a family whose last layer is its head for two key points of so many values. That of
/// YOLO26 has what only training needs besides.
fn pose(family: &str, values: usize) -> Described {
    let mut layers = tiny_layers(family);
    let (_, head) = layers.children.last_mut().unwrap();
    let inputs = inputs_of(head);
    let last = |inputs: usize| window("Conv2d", [2 * values, inputs, 1, 1], 2 * values);
    head.class = "Pose";
    head.attributes
        .push(("kpt_shape", Attribute::Ints(vec![2, values as i64])));
    if family != "yolo26" {
        let branches = inputs.iter().map(|&it| last(it));
        head.children.push(("cv4", per_level(branches)));
        return layers;
    }
    head.class = "Pose26";
    for [features, keypoints] in [["cv4", "cv4_kpts"], ["one2one_cv4", "one2one_cv4_kpts"]] {
        let branches = inputs.iter().map(|&it| block(it, 8));
        head.children.push((features, per_level(branches)));
        let branches = inputs.iter().map(|_| last(8));
        head.children.push((keypoints, per_level(branches)));
    }
    let steps = vec![("0", plain("Linear", vec![])), ("1", plain("Tanh", vec![]))];
    let flow = plain("RealNVP", vec![("t", plain("Sequential", steps))]);
    head.children.push(("flow_model", flow));
    layers
}

#[test]
fn a_pose_checkpoint_gives_offsets_from_the_corners_of_cells() {
    for (family, values, scale, shift) in [
        ("yolov8", 3, 2.0, 0.0),
        ("yolo11", 2, 2.0, 0.0),
        ("yolo26", 3, 1.0, 0.5),
        ("yolo26", 2, 1.0, 0.5),
    ] {
        let bytes = checkpoint("PoseModel", "any.yaml", &pose(family, values));
        for end_to_end in [false, true] {
            let options = ReadOptions {
                end_to_end: Some(end_to_end),
                ..ReadOptions::default()
            };
            let model = match read(&bytes, &options) {
                Ok(model) => model,
                Err(error) => {
                    assert!(end_to_end && family != "yolo26", "{family}: {error}");
                    continue;
                }
            };
            let Head::Pose(head) = &model.metadata.head else {
                panic!("{family}: {:?}", model.metadata.head);
            };
            assert_eq!((head.keypoints, head.visibility), (2, values == 3));
            assert_eq!(head.detect.end_to_end, end_to_end);
            let graph = &model.graph;
            assert_eq!(graph.outputs.len(), 9, "{family}");
            // As the branch's own convolution tells them, then as post-processing takes them.
            let output = graph.outputs[5];
            let producer = graph
                .nodes
                .iter()
                .find(|node| node.outputs.contains(&output));
            let mut plain = graph.clone();
            plain.outputs = vec![producer.unwrap().inputs[0], output];
            let input = Tensor::from_fn([1, 3, 64, 32], |position| (position % 255) as f32 / 255.0);
            let maps = reference::run(&plain, &[&input]).unwrap();
            assert_eq!(maps[1].shape()[..], [1, 2 * values, 4, 2], "{family}");
            for (position, (&told, &taken)) in maps[0].data().iter().zip(maps[1].data()).enumerate()
            {
                let expected = match position / 8 % values {
                    0 | 1 => told * scale + shift,
                    _ => told,
                };
                assert!((taken - expected).abs() < 1e-6, "{family}: {told} {taken}");
            }
            let mut graph = model.graph;
            pass::optimise(&mut graph);
            let fused = reference::run(&graph, &[&input]).unwrap();
            let pairs = fused[5].data().iter().zip(maps[1].data());
            assert!(pairs.into_iter().all(|(a, b)| (a - b).abs() < 1e-4));
            assert!(
                graph
                    .nodes
                    .iter()
                    .all(|node| !matches!(node.op, Op::BatchNorm(_))),
                "{family}: a normalisation is left"
            );
        }
    }
}

#[test]
fn a_pose_checkpoint_that_contradicts_itself_is_refused() {
    let refused = |spoil: &dyn Fn(&mut Described)| refusal("PoseModel", pose("yolo26", 3), spoil);
    for shape in [vec![0, 3], vec![2, 4], vec![2], vec![1 << 19, 3]] {
        let error = refused(&|head| {
            head.attributes.retain(|(name, _)| *name != "kpt_shape");
            let shape = Attribute::Ints(shape.clone());
            head.attributes.push(("kpt_shape", shape));
        });
        assert!(error.contains("'kpt_shape' of Pose26"), "{error}");
    }
    let error = refused(&|head| {
        head.attributes.retain(|(name, _)| *name != "kpt_shape");
        head.attributes
            .push(("kpt_shape", Attribute::Ints(vec![3, 3])));
    });
    assert!(error.contains("keypoints.0"), "{error}");
    let error = refused(&|head| {
        child(head, "cv4_kpts").children.pop();
    });
    assert!(error.contains("'cv4_kpts' of Pose26"), "{error}");
    let error = refusal("SegmentationModel", pose("yolo11", 3), &|_| ());
    assert!(error.contains("recorded as a segment model"), "{error}");
}

#[test]
fn a_checkpoint_of_another_task_is_refused_by_its_task() {
    let bytes = checkpoint("OBBModel", "yolo26n-obb.yaml", &tiny_layers("yolo26"));
    let error = read(&bytes, &ReadOptions::default())
        .unwrap_err()
        .to_string();
    assert!(error.contains("obb model"), "{error}");
    assert!(error.contains("detect, segment, pose"), "{error}");
}
