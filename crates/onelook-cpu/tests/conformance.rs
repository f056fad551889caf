//! Every operator on every instruction set of this machine against the plain reference, and the
//! same bits for any number of threads and any batch. A new operator gets a line in `cases`.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use onelook_cpu::{Cpu, Isa};
use onelook_graph::op::{
    Activation, Attention, Binary, Concat, Conv, MatMul, MaxPool, Op, Reduce, Reduction, Reshape,
    Slice, Softmax, Split, Transpose, Upsample,
};
use onelook_graph::{
    Backend, CompileOptions, Executable, Graph, Prepared, RunError, RunLimits, ValueId, pass,
    reference,
};
use onelook_types::{Shape, Tensor};

/// ‖ours - theirs‖ / ‖theirs‖ allowed.
const TOLERANCE: f64 = 2e-6;

struct Case {
    name: String,
    graph: Graph,
    inputs: Vec<Shape>,
}

/// Reproducible values in -1..1.
fn random(shape: impl Into<Shape>, seed: u64) -> Tensor {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    Tensor::from_fn(shape, |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    })
}

fn compile(cpu: Cpu, graph: &Graph) -> Box<dyn Executable> {
    cpu.compile(graph, &CompileOptions::default()).unwrap()
}

/// The outputs for one item, a tensor per input of the graph.
fn run(executable: &dyn Executable, inputs: &[Tensor]) -> Result<Vec<Tensor>, RunError> {
    executable.run(&[Prepared::Tensors(inputs)])?.into_raw()
}

fn conv(inputs: usize, outputs: usize, kernel: usize, stride: usize, groups: usize) -> Conv {
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

fn case(name: &str, input: [usize; 4], build: impl FnOnce(&mut Graph, ValueId) -> ValueId) -> Case {
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

fn conv_cases(cases: &mut Vec<Case>) {
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

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    conv_cases(&mut cases);
    map_cases(&mut cases);
    dense_cases(&mut cases);
    cases
}

fn difference(ours: &Tensor, theirs: &Tensor) -> f64 {
    assert_eq!(ours.shape(), theirs.shape());
    let square = |x: f64| x * x;
    let pairs = || ours.data().iter().zip(theirs.data());
    let error: f64 = pairs()
        .map(|(a, b)| square(f64::from(*a) - f64::from(*b)))
        .sum();
    let size: f64 = pairs().map(|(_, b)| square(f64::from(*b))).sum();
    (error / size.max(f64::MIN_POSITIVE)).sqrt()
}

#[test]
fn every_operator_equals_the_reference_on_every_instruction_set() {
    for Case {
        name,
        mut graph,
        inputs,
    } in cases()
    {
        let inputs: Vec<Tensor> = inputs.into_iter().map(|shape| random(shape, 11)).collect();
        let expected = reference::run(&graph, &inputs.iter().collect::<Vec<_>>()).unwrap();
        pass::optimise(&mut graph);
        for isa in Isa::available() {
            let executable = compile(Cpu::with_isa(isa, 2), &graph);
            let outputs = run(&*executable, &inputs).unwrap();
            for (ours, theirs) in outputs.iter().zip(&expected) {
                let difference = difference(ours, theirs);
                assert!(
                    difference < TOLERANCE,
                    "{name} on {}: off by {difference:e}",
                    isa.name()
                );
            }
        }
    }
}

#[test]
fn threads_and_batch_do_not_change_a_bit() {
    for Case {
        name,
        mut graph,
        inputs,
    } in cases()
    {
        pass::optimise(&mut graph);
        let one = compile(Cpu::with_isa(Isa::available()[0], 1), &graph);
        let three = compile(Cpu::with_isa(Isa::available()[0], 3), &graph);
        // Three side by side, and one that is left for all threads.
        let images: Vec<Tensor> = (0..4)
            .map(|seed| random(inputs[0].clone(), seed + 1))
            .collect();
        let mut extents = inputs[0].to_vec();
        extents[0] = 2;
        let first_two = [&images[0], &images[1]];
        let data = first_two.iter().flat_map(|image| image.data().to_vec());
        let first_two = Tensor::new(extents, data.collect()).unwrap();
        // An item of two images, then two of one.
        let items = [&first_two, &images[2], &images[3]];
        let batch = items.map(|item| Prepared::Tensors(std::slice::from_ref(item)));
        let together = three.run(&batch).unwrap().into_raw().unwrap();
        for (index, image) in images.iter().enumerate() {
            let alone = run(&*one, std::slice::from_ref(image)).unwrap();
            for (alone, together) in alone.iter().zip(&together) {
                let length = alone.data().len();
                let part = &together.data()[index * length..][..length];
                let same = alone
                    .data()
                    .iter()
                    .zip(part)
                    .all(|(a, b)| a.to_bits() == b.to_bits());
                assert!(same, "{name}: image {index} differs in the batch");
            }
        }
    }
}

#[test]
fn a_batch_of_nothing_and_a_wrong_channel_count_are_refused() {
    let Case { graph, .. } = conv_cases_first();
    let executable = compile(Cpu::with_isa(Isa::Portable, 1), &graph);
    let wrong = random([1, 5, 9, 13], 1);
    let message = run(&*executable, &[wrong.clone()]).unwrap_err().to_string();
    assert!(message.contains("16 channels"), "{message}");
    let right = random([1, 16, 9, 13], 1);
    for inputs in [
        &[][..],
        &[Tensor::zeros([0, 16, 9, 13])],
        &[right.clone(), right.clone()],
    ] {
        assert!(run(&*executable, inputs).is_err());
    }
    assert!(executable.run(&[]).is_err());
    let items = [&right, &wrong].map(|item| Prepared::Tensors(std::slice::from_ref(item)));
    let message = executable.run(&items).unwrap_err().to_string();
    assert!(message.contains("equal shapes"), "{message}");
}

fn conv_cases_first() -> Case {
    let mut cases = Vec::new();
    conv_cases(&mut cases);
    cases.swap_remove(0)
}

#[test]
fn an_input_beyond_the_memory_limit_is_refused_before_memory_is_taken() {
    let Case { graph, .. } = conv_cases_first();
    let options = CompileOptions {
        limits: RunLimits {
            memory_bytes: Some(1 << 20),
        },
        ..CompileOptions::default()
    };
    let cpu = Cpu::with_isa(Isa::Portable, 1);
    let executable = cpu.compile(&graph, &options).unwrap();
    let large = random([1, 16, 400, 400], 1);
    let message = run(&*executable, &[large]).unwrap_err().to_string();
    assert!(message.contains("smaller image size"), "{message}");
}

#[test]
fn operators_without_a_kernel_are_all_named() {
    let mut graph = Graph::new();
    let input = graph.add_input("in");
    let first = graph.add("first", conv(16, 16, 3, 1, 4), &[input]);
    let second = graph.add("second", Op::from(conv(16, 16, 3, 1, 2)), &[first]);
    graph.outputs.push(second);
    let message = Cpu::with_isa(Isa::Portable, 1)
        .compile(&graph, &CompileOptions::default())
        .err()
        .unwrap()
        .to_string();
    assert!(
        message.contains("first") && message.contains("second"),
        "{message}"
    );
}
