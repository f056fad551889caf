//! From images to boxes by the very kernels that a GPU runs, in the interpreter, against the CPU
//! engine. At 640 px a network takes some ten seconds.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use onelook::media::{Limits, decode};
use onelook::packed::{pack, unpack};
use onelook::types::{Frame, Instances};
use onelook::{BoxCheck, LoadOptions, Model, Options, Pipeline};
use onelook_cuda::kernels::Element;
use onelook_cuda::lower::gpu::Gpu;
use onelook_cuda::lower::{Options as Lowering, lower};
use onelook_cuda::verify::interpret::run_plan;
use onelook_ptx::interpreter::Schedule;
use onelook_ptx::lang::Target;
use test_support::data;

/// A model on images of one size, by the CPU engine and by kernels.
fn both(model: &str, side: usize, target: Target, frames: &[Frame]) -> Option<BoxCheck> {
    let root = data()?;
    let path = root.join("weights").join(model);
    let model = Model::load(path, &LoadOptions::default()).unwrap();
    let options = Options {
        image_size: Some([side, side]),
        rect: Some(false),
        ..Options::default()
    };
    let pipeline = Pipeline::new(model, options).unwrap();
    let expected = pipeline.predict(frames).unwrap().into_iter();
    let expected: Vec<_> = expected.map(|one| one.instances().clone()).collect();
    assert!(expected.iter().all(|instances| !instances.is_empty()));
    let found = by_kernels(&pipeline, target, frames);
    let threshold = pipeline.options().thresholds.confidence;
    Some(BoxCheck::of("f16", &expected, &found, threshold))
}

fn by_kernels(pipeline: &Pipeline, target: Target, frames: &[Frame]) -> Vec<Instances> {
    let model = pipeline.model();
    let lowering = Lowering {
        gpu: Gpu::typical(target),
        element: Element::F16,
        detect: model.metadata().head.detect(),
    };
    let packed = pack(pipeline, &frames.iter().collect::<Vec<_>>()).unwrap();
    let [height, width] = packed.size;
    let shape = [frames.len(), 3, height, width].into();
    let plan = lower(model.graph(), &shape, &lowering).unwrap();
    let inputs: Vec<&[u8]> = packed.inputs.iter().map(Vec::as_slice).collect();
    let outcome = run_plan(&plan, &inputs, &Schedule::adversarial(3));
    let (outputs, reports) = outcome.unwrap_or_else(|trap| panic!("{trap}"));
    let instructions: u64 = reports.iter().map(|report| report.instructions).sum();
    eprintln!(
        "{} launches, {instructions} instructions of warps",
        plan.launches.len()
    );
    unpack(&outputs[0], frames.len()).unwrap()
}

fn images(names: &[&str]) -> Vec<Frame> {
    let Some(root) = data() else {
        return Vec::new();
    };
    let read = |name: &&str| std::fs::read(root.join("images").join(name)).unwrap();
    let frame = |name| decode(&read(name), &Limits::default()).unwrap();
    names.iter().map(frame).collect()
}

fn check(model: &str, side: usize, target: Target, names: &[&str]) {
    if let Some(check) = both(model, side, target, &images(names)) {
        eprintln!("{model} at {side} on {target}: {check}");
        assert!(check.passed() && check.shows_something(), "{check}");
    }
}

#[test]
fn yolo11n_finds_what_the_cpu_finds() {
    check("yolo11n-recon.pt", 160, Target::Sm90a, &["bus.jpg"]);
}

#[test]
fn yolo26n_finds_what_the_cpu_finds() {
    check("yolo26n.pt", 256, Target::Sm90a, &["bus.jpg"]);
}

#[test]
fn images_of_two_sizes_share_a_batch() {
    check("yolov8n.pt", 128, Target::Sm75, &["bus.jpg", "zidane.jpg"]);
}

#[test]
fn yolo11n_finds_what_the_cpu_finds_at_640() {
    check("yolo11n-recon.pt", 640, Target::Sm90a, &["bus.jpg"]);
}

#[test]
fn yolo26n_finds_what_the_cpu_finds_at_640() {
    check("yolo26n.pt", 640, Target::Sm90a, &["bus.jpg"]);
}
