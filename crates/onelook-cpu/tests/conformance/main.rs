//! Every operator on every instruction set of this machine against the plain reference, and the
//! same bits for any number of threads and any batch. A new operator gets a line in cases.rs.

#![allow(clippy::unwrap_used)]

mod cases;

use std::sync::Arc;

use cases::{Case, cases, conv, conv_cases, random};
use onelook_cpu::{Cpu, Isa};
use onelook_graph::op::program::{Attribute, Instruction, ProgramStep, Reads};
use onelook_graph::op::{BatchNorm, Conv, Program};
use onelook_graph::{
    Backend, CompileOptions, Executable, Graph, PlanKind, Prepared, RunError, RunLimits, pass,
    reference,
};
use onelook_types::{Precision, Shape, Tensor};
use proptest::prelude::*;

/// ‖ours - theirs‖ / ‖theirs‖ allowed.
const TOLERANCE: f64 = 2e-6;

/// The same in half precision: an input, weights and a map or two, each rounded to 8 bits, 2⁻⁹ of its size at most.
const HALF_TOLERANCE: f64 = 8e-3;

fn compile(cpu: Cpu, graph: &Graph) -> Box<dyn Executable> {
    compile_in(Precision::F32, cpu, graph)
}

fn compile_in(precision: Precision, cpu: Cpu, graph: &Graph) -> Box<dyn Executable> {
    let options = CompileOptions {
        precision,
        ..CompileOptions::default()
    };
    cpu.compile(graph, &options).unwrap()
}

/// The outputs for one item, a tensor per input of the graph.
fn run(executable: &dyn Executable, inputs: &[Tensor]) -> Result<Vec<Tensor>, RunError> {
    executable.run(&[Prepared::Tensors(inputs)])?.into_raw()
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
        for (isa, (precision, tolerance)) in Isa::available().into_iter().flat_map(|isa| {
            let precisions = [
                (Precision::F32, TOLERANCE),
                (Precision::F16, HALF_TOLERANCE),
            ];
            precisions.map(|precision| (isa, precision))
        }) {
            let executable = compile_in(precision, Cpu::with_isa(isa, 2), &graph);
            let outputs = run(&*executable, &inputs).unwrap();
            for (ours, theirs) in outputs.iter().zip(&expected) {
                let difference = difference(ours, theirs);
                assert!(
                    difference < tolerance,
                    "{name} in {precision} on {}: off by {difference:e}",
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
        for precision in [Precision::F32, Precision::F16] {
            check_threads_and_batch(&name, precision, &graph, &inputs[0]);
        }
    }
}

fn check_threads_and_batch(name: &str, precision: Precision, graph: &Graph, shape: &Shape) {
    {
        let cpu = |threads| Cpu::with_isa(Isa::available()[0], threads);
        let one = compile_in(precision, cpu(1), graph);
        let three = compile_in(precision, cpu(3), graph);
        // Three side by side, and one that is left for all threads.
        let images: Vec<Tensor> = (0..4).map(|seed| random(shape.clone(), seed + 1)).collect();
        let mut extents = shape.to_vec();
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
                assert!(
                    same,
                    "{name} in {precision}: image {index} differs in the batch"
                );
            }
        }
    }
}

#[test]
fn a_batch_of_nothing_and_a_wrong_channel_count_are_refused() {
    let Case { graph, .. } = conv_cases_first();
    let executable = compile(Cpu::with_isa(Isa::Portable, 1), &graph);
    let wrong = random([1, 5, 9, 13], 1);
    let message = run(&*executable, std::slice::from_ref(&wrong))
        .unwrap_err()
        .to_string();
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
fn explain_says_how_groups_are_cut() {
    let mut graph = Graph::new();
    let input = graph.add_input("in");
    let output = graph.add("grouped", conv(64, 64, 3, 1, 4), &[input]);
    graph.outputs.push(output);
    let network = compile(Cpu::with_isa(Isa::Portable, 1), &graph);
    let listing = network
        .explain(PlanKind::Tensor, &[Shape::from([1, 64, 8, 8])])
        .unwrap();
    let node = listing
        .nodes
        .iter()
        .find(|node| node.name == "grouped")
        .unwrap();
    assert!(
        node.choice.starts_with("groups in 4 parts, 0 % zeros"),
        "{}",
        node.choice
    );
    assert!(
        node.kernel.starts_with("conv_f32_blocked"),
        "{}",
        node.kernel
    );
}

#[test]
fn operators_without_a_kernel_are_all_named() {
    let vector = || Arc::new(random([16], 1));
    let norm = BatchNorm {
        scale: vector(),
        shift: vector(),
        mean: vector(),
        variance: vector(),
        epsilon: 1e-3,
    };
    let mut graph = Graph::new();
    let input = graph.add_input("in");
    let first = graph.add("first", norm.clone(), &[input]);
    let second = graph.add("second", norm, &[first]);
    graph.outputs.push(second);
    let message = Cpu::with_isa(Isa::Portable, 1)
        .compile(&graph, &CompileOptions::default())
        .err()
        .unwrap()
        .to_string();
    assert!(
        message.contains("'first'") && message.contains("'second'"),
        "{message}"
    );
}

#[test]
fn a_program_that_fails_on_an_image_is_an_error() {
    let step = |operator: &str, operands: Vec<Option<usize>>| ProgramStep {
        instruction: Instruction {
            operator: operator.to_owned(),
            opset: 17,
            attributes: [("to".to_owned(), Attribute::Int(7))].into(),
        },
        operands,
        results: 1,
    };
    let program = Program {
        reads: Reads::Images(1),
        inputs: 1,
        constants: Vec::new(),
        steps: vec![
            step("Cast", vec![Some(0)]),
            step("Gather", vec![Some(0), Some(1)]),
        ],
        result: 2,
    };
    let mut graph = Graph::new();
    let input = graph.add_input("in");
    let output = graph.add("gather", program, &[input]);
    graph.outputs.push(output);
    let network = compile(Cpu::with_isa(Isa::Portable, 1), &graph);
    let image = |value: f32| Tensor::from_fn([1, 1, 1, 1], |_| value);
    assert!(run(&*network, &[image(0.5)]).is_ok());
    let message = run(&*network, &[image(9.0)]).unwrap_err().to_string();
    assert!(message.contains("an index lies outside"), "{message}");
    assert!(run(&*network, &[image(0.5)]).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn grouped_convolutions_of_any_shape_equal_the_reference(
        groups in 1usize..9,
        depth in 1usize..20,
        widening in 1usize..20,
        kernel in [1usize..4, 1usize..4],
        stride in [1usize..3, 1usize..3],
        dilation in [1usize..3, 1usize..3],
        padding in [0usize..3, 0usize..3, 0usize..3, 0usize..3],
        side in [6usize..12, 6usize..12],
    ) {
        let (inputs, outputs) = (groups * depth, groups * widening);
        let weight = random([outputs, depth, kernel[0], kernel[1]], 5);
        let conv = Conv {
            stride,
            dilation,
            padding,
            groups,
            ..Conv::new(Arc::new(weight), Some(Arc::new(random([outputs], 6))))
        };
        let mut graph = Graph::new();
        let input = graph.add_input("in");
        let output = graph.add("conv", conv, &[input]);
        graph.outputs.push(output);
        let image = random([1, inputs, side[0], side[1]], 7);
        let expected = reference::run(&graph, &[&image]).unwrap();
        for isa in Isa::available() {
            let ours = compile(Cpu::with_isa(isa, 2), &graph);
            let ours = run(&*ours, std::slice::from_ref(&image)).unwrap();
            prop_assert!(difference(&ours[0], &expected[0]) < TOLERANCE);
        }
    }
}
