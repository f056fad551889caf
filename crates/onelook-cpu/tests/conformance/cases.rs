//! The graphs that every instruction set runs: each operator in the shapes and settings that its
//! kernels tell apart.

use std::sync::Arc;

use onelook_graph::op::program::{Attribute, Instruction, ProgramStep, Reads};
use onelook_graph::op::{
    Activation, Attention, BatchNorm, Binary, Concat, Conv, DepthToSpace, MatMul, MaxPool, Program,
    Reduce, Reduction, Reshape, ReshapeTo, Slice, Softmax, Split, Transpose, Upsample,
};
use onelook_graph::{Graph, ValueId};
use onelook_types::{Shape, Tensor};

pub struct Case {
    pub name: String,
    pub graph: Graph,
    pub inputs: Vec<Shape>,
}

/// Reproducible values in -1..1.
pub fn random(shape: impl Into<Shape>, seed: u64) -> Tensor {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    Tensor::from_fn(shape, |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    })
}

pub fn conv(inputs: usize, outputs: usize, kernel: usize, stride: usize, groups: usize) -> Conv {
    let depth = inputs / groups;
    let scale = 1.0 / ((depth * kernel * kernel) as f32).sqrt();
    let mut weight = random([outputs, depth, kernel, kernel], 7 + outputs as u64);
    weight
        .data_mut()
        .iter_mut()
        .for_each(|value| *value *= scale);
    let bias = random([outputs], 3);
    Conv {
        stride: [stride; 2],
        padding: [kernel / 2; 4],
        groups,
        ..Conv::new(Arc::new(weight), Some(Arc::new(bias)))
    }
}

pub fn case(
    name: &str,
    input: [usize; 4],
    build: impl FnOnce(&mut Graph, ValueId) -> ValueId,
) -> Case {
    let mut graph = Graph::new();
    let value = graph.add_input("in");
    let output = build(&mut graph, value);
    graph.outputs.push(output);
    Case {
        name: name.to_owned(),
        graph,
        inputs: vec![Shape::from(input)],
    }
}

pub fn conv_cases(cases: &mut Vec<Case>) {
    for (inputs, outputs, kernel, stride, height, width) in [
        (16, 16, 3, 1, 9, 13),
        (16, 32, 3, 2, 10, 22),
        (8, 24, 3, 1, 7, 5),
        (24, 8, 1, 1, 6, 31),
        (48, 80, 1, 1, 20, 20),
        (80, 80, 3, 1, 5, 40),
        (33, 17, 5, 2, 11, 12),
        (64, 128, 3, 2, 8, 14),
        (3, 16, 3, 2, 17, 23),
        (3, 20, 6, 2, 16, 16),
        (1, 16, 3, 1, 4, 4),
    ] {
        let name =
            format!("conv {kernel}x{kernel}/{stride} {inputs}->{outputs} at {height}x{width}");
        cases.push(case(&name, [1, inputs, height, width], |graph, value| {
            let conv = conv(inputs, outputs, kernel, stride, 1);
            graph.add(
                "conv",
                Conv {
                    activation: Some(Activation::Silu),
                    ..conv
                },
                &[value],
            )
        }));
    }
    for activation in [None, Some(Activation::Relu), Some(Activation::Sigmoid)] {
        cases.push(case(
            &format!("conv with {activation:?}"),
            [1, 16, 6, 6],
            |graph, value| {
                let first = graph.add(
                    "conv",
                    Conv {
                        activation,
                        ..conv(16, 20, 3, 1, 1)
                    },
                    &[value],
                );
                graph.add("next", conv(20, 16, 3, 1, 1), &[first])
            },
        ));
    }
    for (stride, kernel) in [(1, 3), (2, 3), (1, 7)] {
        cases.push(case(
            &format!("depthwise {kernel}x{kernel}/{stride}"),
            [1, 40, 9, 14],
            |graph, value| {
                let conv = conv(40, 40, kernel, stride, 40);
                graph.add(
                    "dw",
                    Conv {
                        activation: Some(Activation::Silu),
                        ..conv
                    },
                    &[value],
                )
            },
        ));
    }
}

/// Groups of every kind: whole blocks, parts of blocks, one channel with several outputs, dilated.
fn grouped_cases(cases: &mut Vec<Case>) {
    for (inputs, outputs, groups, kernel, stride, dilation) in [
        (32, 64, 2, 3, 1, 1),
        (64, 64, 4, 3, 2, 1),
        (24, 40, 4, 1, 1, 1),
        (60, 36, 3, 3, 1, 2),
        (20, 40, 20, 3, 1, 1),
        (5, 15, 5, 3, 2, 1),
        (12, 6, 6, 5, 1, 1),
        (2, 4, 2, 3, 1, 1),
        (40, 40, 40, 3, 1, 2),
        (40, 40, 40, 3, 2, 3),
    ] {
        let name =
            format!("conv {kernel}x{kernel}/{stride} {inputs}->{outputs} in {groups} groups");
        cases.push(case(&name, [1, inputs, 13, 11], |graph, value| {
            let conv = Conv {
                activation: Some(Activation::Silu),
                padding: [kernel / 2 * dilation; 4],
                dilation: [dilation; 2],
                ..conv(inputs, outputs, kernel, stride, groups)
            };
            let first = graph.add("grouped", conv, &[value]);
            graph.add("next", self::conv(outputs, 16, 1, 1, 1), &[first])
        }));
    }
    cases.push(case("a grouped residual", [1, 48, 7, 9], |graph, value| {
        let first = graph.add("first", conv(48, 48, 1, 1, 1), &[value]);
        let second = graph.add("second", conv(48, 48, 3, 1, 6), &[first]);
        graph.add("sum", Binary::Add, &[first, second])
    }));
}

/// What is padded on one side only, dilated, or stands where it cannot be fused.
fn odd_cases(cases: &mut Vec<Case>) {
    for padding in [[0, 0, 1, 0], [0, 0, 0, 2], [0, 1, 2, 0]] {
        let name = format!("conv of the image padded by {padding:?}");
        cases.push(case(&name, [1, 3, 6, 7], |graph, value| {
            let conv = Conv {
                padding,
                ..conv(3, 5, 1, 1, 1)
            };
            graph.add("conv", conv, &[value])
        }));
    }
    for (channels, dilation, padding) in [
        (3, [2, 3], [2, 3, 2, 3]),
        (3, [1, 1], [0, 1, 2, 0]),
        (16, [1, 1], [0, 2, 1, 0]),
        (16, [3, 2], [3, 2, 3, 2]),
    ] {
        cases.push(case(
            &format!("conv of {channels} dilated by {dilation:?}, padded by {padding:?}"),
            [1, channels, 12, 15],
            |graph, value| {
                let conv = Conv {
                    dilation,
                    padding,
                    ..conv(channels, 20, 3, 2, 1)
                };
                graph.add("conv", conv, &[value])
            },
        ));
    }
    cases.push(case(
        "a normalisation on its own",
        [1, 20, 6, 7],
        |graph, value| {
            let vector = |seed: u64, least: f32| {
                let mut tensor = random([20], seed);
                tensor
                    .data_mut()
                    .iter_mut()
                    .for_each(|x| *x = x.abs() + least);
                Arc::new(tensor)
            };
            let norm = BatchNorm {
                scale: vector(1, 0.5),
                shift: vector(2, -1.0),
                mean: vector(3, -0.5),
                variance: vector(4, 0.5),
                epsilon: 1e-3,
            };
            let norm = graph.add("norm", norm, &[value]);
            let active = graph.add("active", Activation::Silu, &[norm]);
            graph.add("next", conv(20, 16, 3, 1, 1), &[active])
        },
    ));
    cases.push(case(
        "the best of each row, by a program",
        [1, 3, 5, 8],
        |graph, value| {
            let shape = graph.add("flat", Reshape::new(&[0, -1, 8]).unwrap(), &[value]);
            let step = ProgramStep {
                instruction: Instruction {
                    operator: "TopK".to_owned(),
                    opset: 17,
                    attributes: [("k".to_owned(), Attribute::Int(3))].into(),
                },
                operands: vec![Some(0)],
                results: 2,
            };
            let program = Program {
                reads: Reads::Images(1),
                inputs: 1,
                constants: Vec::new(),
                steps: vec![step],
                result: 1,
            };
            graph.add("best", program, &[shape])
        },
    ));
    cases.push(case(
        "a reshape to another value's extents",
        [1, 16, 6, 4],
        |graph, value| {
            let map = graph.add("map", conv(16, 8, 3, 2, 1), &[value]);
            let flat = graph.add("flat", Reshape::new(&[0, 8, -1]).unwrap(), &[map]);
            let step = ProgramStep {
                instruction: Instruction {
                    operator: "Shape".to_owned(),
                    opset: 17,
                    attributes: [].into(),
                },
                operands: vec![Some(0)],
                results: 1,
            };
            let extents = Program {
                reads: Reads::Shapes,
                inputs: 1,
                constants: Vec::new(),
                steps: vec![step],
                result: 1,
            };
            let back = graph.add("back", ReshapeTo { extents }, &[flat, map]);
            graph.add("next", conv(8, 16, 3, 1, 1), &[back])
        },
    ));
}

fn map_cases(cases: &mut Vec<Case>) {
    let bottleneck = |channels: usize| {
        move |graph: &mut Graph, value: ValueId| {
            let silu = Some(Activation::Silu);
            let cv1 = graph.add(
                "cv1",
                Conv {
                    activation: silu,
                    ..conv(16, 2 * channels, 1, 1, 1)
                },
                &[value],
            );
            let split = Split {
                axis: 1,
                sizes: vec![channels; 2],
            };
            let halves = graph.add_with_outputs("split", split, &[cv1], 2);
            let inner = graph.add(
                "m",
                Conv {
                    activation: silu,
                    ..conv(channels, channels, 3, 1, 1)
                },
                &[halves[1]],
            );
            let sum = graph.add("add", Binary::Add, &[inner, halves[1]]);
            let pieces = [halves[0], halves[1], sum];
            let joined = graph.add("cat", Concat { axis: 1 }, &pieces);
            graph.add("cv2", conv(3 * channels, 16, 1, 1, 1), &[joined])
        }
    };
    cases.push(case(
        "bottleneck with aligned channels",
        [1, 16, 8, 12],
        bottleneck(32),
    ));
    cases.push(case(
        "bottleneck with misaligned channels",
        [1, 16, 8, 12],
        bottleneck(24),
    ));
    cases.push(case("pools joined", [1, 32, 10, 10], |graph, value| {
        let pool = MaxPool {
            kernel: [5, 5],
            stride: [1, 1],
            padding: [2; 4],
        };
        let first = graph.add("cv1", conv(32, 16, 1, 1, 1), &[value]);
        let mut pieces = vec![first];
        for _ in 0..3 {
            pieces.push(graph.add("pool", pool, &[pieces[pieces.len() - 1]]));
        }
        graph.add("cat", Concat { axis: 1 }, &pieces)
    }));
    cases.push(case("pool with stride", [1, 20, 9, 11], |graph, value| {
        graph.add(
            "pool",
            MaxPool {
                kernel: [3, 2],
                stride: [2, 2],
                padding: [1, 0, 1, 1],
            },
            &[value],
        )
    }));
    cases.push(case(
        "a value in two concatenations",
        [1, 16, 6, 6],
        |graph, value| {
            let small = graph.add("down", conv(16, 16, 3, 2, 1), &[value]);
            let large = graph.add("up", Upsample { factor: 2 }, &[small]);
            let first = graph.add("cat0", Concat { axis: 1 }, &[large, value]);
            let second = graph.add("cat1", Concat { axis: 1 }, &[large, large]);
            graph.add("sum", Binary::Mul, &[first, second])
        },
    ));
    for (channels, block) in [(16, 2), (5, 2), (24, 2), (3, 3)] {
        let name = format!("squares of {block} out of channels of {channels}");
        cases.push(case(&name, [1, 8, 5, 7], |graph, value| {
            let deep = conv(8, channels * block * block, 1, 1, 1);
            let deep = graph.add("deep", deep, &[value]);
            let large = graph.add("larger", DepthToSpace { block }, &[deep]);
            graph.add("next", conv(channels, 16, 3, 1, 1), &[large])
        }));
    }
    cases.push(case("attention", [1, 64, 5, 7], |graph, value| {
        let qkv = graph.add("qkv", conv(64, 256, 1, 1, 1), &[value]);
        let attention = Attention {
            heads: 2,
            key_size: 32,
            head_size: 64,
            scale: 32f32.powf(-0.5),
        };
        let mixed = graph.add("attend", attention, &[qkv]);
        let split = Split {
            axis: 1,
            sizes: vec![64, 64, 128],
        };
        let pieces = graph.add_with_outputs("split", split, &[qkv], 3);
        let position = graph.add("pe", conv(128, 128, 3, 1, 128), &[pieces[2]]);
        graph.add("add", Binary::Add, &[position, mixed])
    }));
    for activation in [
        Activation::Silu,
        Activation::Sigmoid,
        Activation::Relu,
        Activation::Exp,
    ] {
        cases.push(case(
            &format!("{activation:?} of a map"),
            [1, 20, 4, 5],
            |graph, value| {
                let map = graph.add(
                    "pool",
                    MaxPool {
                        kernel: [1, 1],
                        stride: [1, 1],
                        padding: [0; 4],
                    },
                    &[value],
                );
                let active = graph.add("activation", activation, &[map]);
                graph.add("next", conv(20, 16, 3, 1, 1), &[active])
            },
        ));
    }
}

fn dense_cases(cases: &mut Vec<Case>) {
    for function in [Binary::Add, Binary::Sub, Binary::Mul, Binary::Div] {
        cases.push(case(
            &format!("{function:?} with a broadcast row"),
            [1, 3, 4, 5],
            |graph, value| {
                let mut row = random([4, 1], 5);
                row.data_mut().iter_mut().for_each(|value| *value += 2.0);
                let row = graph.add_constant("row", row);
                graph.add("binary", function, &[value, row])
            },
        ));
    }
    for axis in [1, 2, 3] {
        cases.push(case(
            &format!("softmax along axis {axis}"),
            [1, 6, 7, 33],
            |graph, value| graph.add("softmax", Softmax { axis }, &[value]),
        ));
        for reduction in [Reduction::Sum, Reduction::Max, Reduction::Mean] {
            cases.push(case(
                &format!("{reduction:?} along axis {axis}"),
                [1, 6, 7, 9],
                |graph, value| graph.add("reduce", Reduce { reduction, axis }, &[value]),
            ));
        }
    }
    cases.push(case(
        "matrix product of transposed pieces",
        [1, 32, 5, 6],
        |graph, value| {
            let flat = graph.add("flat", Reshape::new(&[1, 2, 16, 30]).unwrap(), &[value]);
            let turned = graph.add(
                "turn",
                Transpose {
                    order: vec![0, 1, 3, 2],
                },
                &[flat],
            );
            let product = graph.add("product", MatMul, &[turned, flat]);
            let weights = graph.add("softmax", Softmax { axis: 3 }, &[product]);
            graph.add("mixed", MatMul, &[flat, weights])
        },
    ));
    cases.push(case(
        "slices of a dense tensor joined the other way round",
        [1, 4, 3, 10],
        |graph, value| {
            let flat = graph.add("flat", Reshape::new(&[0, 4, -1]).unwrap(), &[value]);
            let head = graph.add(
                "head",
                Slice {
                    axis: 1,
                    start: 0,
                    end: 2,
                },
                &[flat],
            );
            let tail = graph.add(
                "tail",
                Slice {
                    axis: 1,
                    start: 2,
                    end: 4,
                },
                &[flat],
            );
            let active = graph.add("active", Activation::Sigmoid, &[tail]);
            graph.add("cat", Concat { axis: 1 }, &[active, head])
        },
    ));
}

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    conv_cases(&mut cases);
    grouped_cases(&mut cases);
    odd_cases(&mut cases);
    map_cases(&mut cases);
    dense_cases(&mut cases);
    cases
}
