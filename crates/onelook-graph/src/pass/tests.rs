//! Random small graphs must compute the same before and after every pass.

use std::sync::Arc;

use onelook_types::{Shape, Tensor};
use proptest::prelude::*;

use super::*;
use crate::op::{
    Activation, BatchNorm, Binary, Concat, Conv, MaxPool, Reduce, Reduction, Split, Upsample,
};
use crate::{ValueId, infer_shapes, reference};

/// Grows a graph of maps from random choices; all extents are small.
struct Grower {
    graph: Graph,
    maps: Vec<(ValueId, Shape)>,
    seed: u64,
}

impl Grower {
    fn new() -> Self {
        let mut graph = Graph::new();
        let input = graph.add_input("in");
        Self {
            graph,
            maps: vec![(input, input_shape())],
            seed: 1,
        }
    }

    /// Numbers in -0.5..0.5, other ones every time.
    fn weights(&mut self, shape: impl Into<Shape>) -> Arc<Tensor> {
        Arc::new(Tensor::from_fn(shape, |_| {
            self.seed = self
                .seed
                .wrapping_mul(6364136223846793005)
                .wrapping_add(99991);
            (self.seed >> 40) as f32 / (1 << 24) as f32 - 0.5
        }))
    }

    fn push(&mut self, op: impl Into<crate::Op>, inputs: &[ValueId]) -> Vec<ValueId> {
        let op = op.into();
        let count = match &op {
            crate::Op::Split(split) => split.sizes.len(),
            _ => 1,
        };
        let name = format!("n{}", self.graph.nodes.len());
        let outputs = self.graph.add_with_outputs(&name, op, inputs, count);
        let shapes = infer_shapes(&self.graph, &[input_shape()]).unwrap();
        for &output in &outputs {
            self.maps.push((output, shapes[output.index()].clone()));
        }
        outputs
    }

    fn conv(&mut self, input: &(ValueId, Shape), outputs: usize, stride: usize) -> ValueId {
        let weight = self.weights([outputs, input.1[1], 3, 3]);
        let bias = self.weights([outputs]);
        let conv = Conv {
            padding: [1; 4],
            stride: [stride; 2],
            ..Conv::new(weight, Some(bias))
        };
        self.push(conv, &[input.0])[0]
    }

    fn step(&mut self, (kind, one, other): (u8, usize, usize)) {
        let a = self.maps[one % self.maps.len()].clone();
        let b = self.maps[other % self.maps.len()].clone();
        let channels = a.1[1];
        match kind {
            0 => drop(self.conv(&a, 2 + 2 * (other % 3), 1)),
            1 => {
                let outputs = 4;
                let value = self.conv(&a, outputs, 1);
                let norm = BatchNorm {
                    scale: self.weights([outputs]),
                    shift: self.weights([outputs]),
                    mean: self.weights([outputs]),
                    variance: Arc::new(Tensor::from_fn([outputs], |c| 0.5 + c as f32)),
                    epsilon: 1e-3,
                };
                self.push(norm, &[value]);
            }
            2 => drop(self.push(Activation::Relu, &[a.0])),
            3 => {
                let gate = self.push(Activation::Sigmoid, &[a.0])[0];
                self.push(Binary::Mul, &[gate, a.0]);
            }
            4 if a.1 == b.1 => drop(self.push(Binary::Add, &[a.0, b.0])),
            5 | 6 if channels > 1 => {
                let sizes = vec![channels / 2, channels - channels / 2];
                let pieces = self.push(Split { axis: 1, sizes }, &[a.0]);
                if kind == 6 {
                    let all = [pieces[0], pieces[1], pieces[0]];
                    self.push(Concat { axis: 1 }, &all);
                }
            }
            7 if a.1[2..] == b.1[2..] && channels + b.1[1] <= 16 => {
                drop(self.push(Concat { axis: 1 }, &[a.0, b.0]));
            }
            8 => {
                let pool = MaxPool {
                    kernel: [3; 2],
                    stride: [1; 2],
                    padding: [1; 4],
                };
                self.push(pool, &[a.0]);
            }
            9 => {
                let reduction = Reduction::Mean;
                let rows = self.push(Reduce { reduction, axis: 2 }, &[a.0])[0];
                let value = self.conv(&a, channels, 1);
                self.push(Binary::Add, &[value, rows]);
            }
            10 => {
                let value = self.conv(&a, channels, 2);
                self.push(Upsample { factor: 2 }, &[value]);
            }
            // A residual block.
            _ => {
                let value = self.conv(&a, channels, 1);
                let on = self.push(Activation::Silu, &[value])[0];
                self.push(Binary::Add, &[a.0, on]);
            }
        }
    }

    fn finish(mut self, output: usize) -> Graph {
        let last = self.maps.last().expect("there is an input").0;
        let chosen = self.maps[output % self.maps.len()].0;
        self.graph.outputs = vec![last, chosen];
        self.graph.validate().unwrap();
        self.graph
    }
}

fn input_shape() -> Shape {
    Shape::from([2, 4, 4, 6])
}

fn graphs() -> impl Strategy<Value = Graph> {
    let steps = prop::collection::vec((0u8..12, any::<usize>(), any::<usize>()), 1..16);
    (steps, any::<usize>()).prop_map(|(steps, output)| {
        let mut grower = Grower::new();
        steps.into_iter().for_each(|step| grower.step(step));
        grower.finish(output)
    })
}

fn image() -> Tensor {
    Tensor::from_fn(input_shape(), |position| {
        (position * 37 % 101) as f32 / 50.0 - 1.0
    })
}

fn assert_close(expected: &[Tensor], actual: &[Tensor]) {
    assert_eq!(expected.len(), actual.len());
    for (expected, actual) in expected.iter().zip(actual) {
        assert_eq!(expected.shape(), actual.shape());
        for (x, y) in expected.data().iter().zip(actual.data()) {
            let tolerance = 1e-5 * x.abs().max(1.0);
            assert!((x - y).abs() <= tolerance, "{x} became {y}");
        }
    }
}

/// Executes a graph with views: a value's channels lie inside its root's memory.
fn run_with_views(graph: &Graph, shapes: &[Shape], input: &Tensor) -> Vec<Tensor> {
    let mut memory: Vec<Tensor> = shapes.iter().cloned().map(Tensor::zeros).collect();
    memory[graph.inputs[0].index()] = input.clone();
    for node in &graph.nodes {
        let read: Vec<Tensor> = node
            .inputs
            .iter()
            .map(|&value| load(graph, shapes, &memory, value))
            .collect();
        let read: Vec<&Tensor> = read.iter().collect();
        let written = node.op.as_operator().execute(&read).unwrap();
        for (&value, tensor) in node.outputs.iter().zip(&written) {
            store(graph, &mut memory, value, tensor);
        }
    }
    let outputs = graph.outputs.iter();
    outputs
        .map(|&value| load(graph, shapes, &memory, value))
        .collect()
}

fn load(graph: &Graph, shapes: &[Shape], memory: &[Tensor], value: ValueId) -> Tensor {
    let (root, channel) = graph.root(value);
    if root == value {
        return memory[value.index()].clone();
    }
    let slice = crate::op::Slice {
        axis: 1,
        start: channel,
        end: channel + shapes[value.index()][1],
    };
    crate::op::Operator::execute(&slice, &[&memory[root.index()]])
        .unwrap()
        .remove(0)
}

fn store(graph: &Graph, memory: &mut [Tensor], value: ValueId, tensor: &Tensor) {
    let (root, channel) = graph.root(value);
    let target = &mut memory[root.index()];
    let [batch, channels, height, width] = target.shape().nchw().unwrap();
    let run = tensor.data().len() / batch;
    for image in 0..batch {
        let start = (image * channels + channel) * height * width;
        target.data_mut()[start..][..run].copy_from_slice(&tensor.data()[image * run..][..run]);
    }
}

fn keeps_values(graph: &Graph, pass: fn(&mut Graph)) {
    let expected = reference::run(graph, &[&image()]).unwrap();
    let mut changed = graph.clone();
    pass(&mut changed);
    changed.validate().unwrap();
    assert_close(&expected, &reference::run(&changed, &[&image()]).unwrap());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_pass_keeps_what_the_graph_computes(graph in graphs()) {
        for pass in [fold_batch_norm, fuse_activation, fuse_residual, simplify_concat, dead_code] {
            keeps_values(&graph, pass);
        }
        keeps_values(&graph, optimise);
    }

    #[test]
    fn views_keep_what_the_graph_computes(graph in graphs(), block in 1usize..5) {
        let expected = reference::run(&graph, &[&image()]).unwrap();
        let mut changed = graph;
        optimise(&mut changed);
        let shapes = infer_shapes(&changed, &[input_shape()]).unwrap();
        let placed = place_maps(&mut changed, shapes);
        let shapes = elide_views(&mut changed, placed.shapes, &placed.is_map, block);
        for (value, shape) in shapes.iter().enumerate() {
            let (root, channel) = changed.root(ValueId(value as u32));
            prop_assert_eq!(channel % block, 0);
            if root.index() != value {
                prop_assert!(channel + shape[1] <= shapes[root.index()][1]);
            }
        }
        assert_close(&expected, &run_with_views(&changed, &shapes, &image()));
    }
}
