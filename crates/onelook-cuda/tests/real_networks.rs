//! Whole networks, kernel for kernel as a GPU would run them, against the reference executor.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use onelook_cuda::kernels::Element;
use onelook_cuda::lower::gpu::Gpu;
use onelook_cuda::lower::{Options, lower};
use onelook_cuda::verify::interpret::run_plan;
use onelook_graph::read::{ReadOptions, read};
use onelook_graph::{Graph, pass, reference};
use onelook_ptx::interpreter::Schedule;
use onelook_ptx::lang::Target;
use onelook_types::{Shape, Tensor};
use test_support::data_file;

fn weights(name: &str) -> Option<Vec<u8>> {
    let path = data_file(&format!("weights/{name}"))?;
    Some(std::fs::read(path).unwrap())
}

fn network(name: &str) -> Option<Graph> {
    let mut file = read(&weights(name)?, &ReadOptions::default()).unwrap();
    pass::optimise(&mut file.graph);
    Some(file.graph)
}

/// An image of soft shapes, so that the network sees something.
fn planes(side: usize) -> Tensor {
    Tensor::from_fn([1, 3, side, side], |position| {
        let (x, y) = (position % side, position / side % side);
        let wave = |length: f32, at: usize| (at as f32 / length).sin();
        0.5 + 0.25 * wave(7.0 + (position / side / side) as f32, x) + 0.25 * wave(11.0, y)
    })
}

fn check(name: &str, side: usize, element: Element, most: f64) {
    let Some(graph) = network(name) else { return };
    let input = planes(side);
    let expected = reference::run(&graph, &[&input]).unwrap();
    let options = Options {
        gpu: Gpu::typical(Target::Sm90a),
        element,
        detect: None,
    };
    let plan = lower(&graph, input.shape(), &options).unwrap();
    let bytes: Vec<u8> = input.data().iter().flat_map(|v| v.to_le_bytes()).collect();
    let (outputs, _) = run_plan(&plan, &[&bytes], &Schedule::adversarial(1)).unwrap();
    for (output, expected) in outputs.iter().zip(&expected) {
        let values = Element::F32.decode(output);
        let shape: &Shape = expected.shape();
        assert_eq!(values.len(), shape.elements());
        let squares = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>();
        let pairs = values.iter().zip(expected.data());
        let off = squares(&mut pairs.map(|(&a, &b)| f64::from(a) - f64::from(b)));
        let all = squares(&mut expected.data().iter().map(|&b| f64::from(b)));
        let ratio = (off / all).sqrt();
        eprintln!("{name} {side} {element:?} {shape}: off by {ratio:e}");
        assert!(
            ratio <= most,
            "{name} {side} {element:?} {shape}: off by {ratio:e}"
        );
    }
}

#[test]
fn yolo11n_in_f16_is_what_the_reference_computes() {
    check("yolo11n-recon.pt", 160, Element::F16, 2e-2);
}

#[test]
fn yolo11n_in_floats_is_what_the_reference_computes() {
    check("yolo11n-recon.pt", 96, Element::F32, 1e-4);
}

#[test]
fn yolov8n_in_f16_is_what_the_reference_computes() {
    check("yolov8n.pt", 96, Element::F16, 2e-2);
}

#[test]
fn yolo26n_in_f16_is_what_the_reference_computes() {
    check("yolo26n.pt", 96, Element::F16, 2e-2);
}
