//! The figures that the families published, and that weights behave.

use onelook_types::Shape;

use super::*;
use crate::op::Op;
use crate::{Graph, infer_shapes, pass, reference};

fn optimised(name: &str) -> Graph {
    let mut graph = build(name).unwrap().graph;
    pass::optimise(&mut graph);
    graph
}

#[test]
fn unknown_names_are_none() {
    for name in [
        "yolo11",
        "yolo11q",
        "yolo11nn",
        "yolo12n",
        "",
        "n",
        "yolo11n.pt",
    ] {
        assert!(build(name).is_none(), "{name}");
    }
    assert_eq!(names().len(), 15);
    let model = build("yolo11n.yaml").unwrap();
    assert!(has_random_weights(&model.metadata));
}

#[test]
fn weights_are_the_same_every_time() {
    let weights = |graph: &Graph| match &graph.nodes[0].op {
        Op::Conv(conv) => conv.weight.data().to_vec(),
        _ => panic!("a convolution comes first"),
    };
    assert_eq!(
        weights(&optimised("yolo11n")),
        weights(&optimised("yolo11n"))
    );
    assert_ne!(
        weights(&optimised("yolo11n")),
        weights(&optimised("yolo11s"))
    );
}

/// Millions of parameters and GFLOP at 640x640 as published; yolo26 with its one-to-many head.
#[test]
fn every_scale_has_the_published_size() {
    for (name, parameters, gflop) in [
        ("yolov8n", 3.2, 8.7),
        ("yolov8s", 11.2, 28.6),
        ("yolov8m", 25.9, 78.9),
        ("yolov8l", 43.7, 165.2),
        ("yolov8x", 68.2, 257.8),
        ("yolo11n", 2.6, 6.5),
        ("yolo11s", 9.4, 21.5),
        ("yolo11m", 20.1, 68.0),
        ("yolo11l", 25.3, 86.9),
        ("yolo11x", 56.9, 194.9),
        ("yolo26n", 2.4, 5.4),
        ("yolo26s", 9.5, 20.7),
        ("yolo26m", 20.4, 68.2),
        ("yolo26l", 24.8, 86.4),
        ("yolo26x", 55.7, 193.9),
    ] {
        let graph = optimised(name);
        let counted = graph.parameters() as f64 / 1e6;
        let worked = flops(&graph) as f64 / 1e9;
        eprintln!("{name}: {counted:.2} M, {worked:.2} GFLOP");
        assert!((counted - parameters).abs() <= 0.06, "{name}: {counted} M");
        assert!(
            (worked / gflop - 1.0).abs() < 0.03,
            "{name}: {worked} GFLOP"
        );
    }
}

fn flops(graph: &Graph) -> u64 {
    let shapes = infer_shapes(graph, &[Shape::from([1, 3, 640, 640])]).unwrap();
    let of = |node: &crate::Node| {
        let read: Vec<&Shape> = node.inputs.iter().map(|id| &shapes[id.index()]).collect();
        node.op.as_operator().flops(&read)
    };
    graph.nodes.iter().map(of).sum()
}

/// 3x3, 1x1 and depthwise convolutions.
#[test]
fn every_scale_of_yolo11_has_its_convolutions() {
    for (scale, expected) in [
        ('n', [35, 45, 7]),
        ('s', [35, 45, 7]),
        ('m', [45, 60, 7]),
        ('l', [77, 88, 8]),
        ('x', [77, 88, 8]),
    ] {
        let graph = optimised(&format!("yolo11{scale}"));
        let mut counted = [0; 3];
        for node in &graph.nodes {
            if let Op::Conv(conv) = &node.op {
                let kind = match conv.is_depthwise() {
                    true => 2,
                    false => usize::from(conv.kernel() == [1, 1]),
                };
                counted[kind] += 1;
            }
        }
        assert_eq!(counted, expected, "{scale}");
    }
}

/// Root mean square and largest value.
fn size(values: &[f32]) -> [f32; 2] {
    let squares: f32 = values.iter().map(|value| value * value).sum();
    let largest = values
        .iter()
        .fold(0f32, |most, value| most.max(value.abs()));
    [(squares / values.len() as f32).sqrt(), largest]
}

/// Otherwise half precision would overflow, or hide errors; and boxes would be all or none.
#[test]
fn activations_neither_grow_nor_die() {
    for name in ["yolo11n", "yolov8n", "yolo26n"] {
        let mut graph = optimised(name);
        let classes = graph.outputs.iter().skip(1).step_by(2).copied();
        let classes: Vec<_> = classes.collect();
        let outputs = graph.nodes.iter().flat_map(|node| node.outputs.clone());
        graph.outputs = outputs.collect();
        let side = 64;
        let noise = random::fill("noise.bias", &Shape::from([3 * side * side]));
        let pixels = noise.iter().map(|value| 0.5 + 2.0 * value).collect();
        let input = onelook_types::Tensor::new([1, 3, side, side], pixels).unwrap();
        let values = reference::run(&graph, &[&input]).unwrap();
        let mut seen = 0;
        let names = graph.outputs.iter().map(|&id| (id, &graph.value(id).name));
        for ((id, layer), value) in names.zip(&values) {
            let [size, largest] = size(value.data());
            if classes.contains(&id) {
                seen += value.data().iter().filter(|&&logit| logit > -1.1).count();
                continue;
            }
            assert!((0.2..5.0).contains(&size), "{name} {layer}: {size}");
            assert!(largest < 100.0, "{name} {layer}: {largest}");
        }
        assert!(seen < 100, "{name}: {seen}");
    }
}
