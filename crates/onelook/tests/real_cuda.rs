//! From pictures to boxes by the very kernels that a GPU runs, in the interpreter, against the CPU
//! engine. At 640 px a network takes minutes, so those tests run on demand: `cargo test --release
//! -p onelook --test real_cuda -- --ignored`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "real_data/data.rs"]
mod real;

use onelook::media::{Limits, decode};
use onelook::types::{AxisTap, BoxXyxy, Detection, Frame};
use onelook::{LoadOptions, Model, Options, Pipeline};
use onelook_cuda::interpreter::{Machine, Schedule};
use onelook_cuda::kernels::Element;
use onelook_cuda::kernels::nms::{Row, read_output};
use onelook_cuda::lang::Target;
use onelook_cuda::lower::gpu::Gpu;
use onelook_cuda::lower::{Options as Lowering, lower};
use onelook_cuda::pictures::{Picture, pack};
use onelook_cuda::settings::Settings;
use onelook_vision::letterbox::axis_taps;
use real::data;

/// A model on pictures of one size; what the CPU finds, and what the kernels find.
fn both(
    model: &str,
    side: usize,
    target: Target,
    frames: &[Frame],
) -> Option<Vec<[Vec<Detection>; 2]>> {
    let root = data()?;
    let path = root.join("weights").join(model);
    let model = Model::load(path, &LoadOptions::default()).unwrap();
    let options = Options {
        image_size: Some([side, side]),
        rect: Some(false),
        ..Options::default()
    };
    let pipeline = Pipeline::new(model, options).unwrap();
    let expected = pipeline.predict(frames).unwrap();
    let found = by_kernels(&pipeline, side, target, frames);
    let pairs = expected.into_iter().zip(found);
    Some(
        pairs
            .map(|(expected, found)| [expected.detections.items, found])
            .collect(),
    )
}

fn by_kernels(
    pipeline: &Pipeline,
    side: usize,
    target: Target,
    frames: &[Frame],
) -> Vec<Vec<Detection>> {
    let (model, thresholds) = (pipeline.model(), &pipeline.options().thresholds);
    let head = &model.metadata().head;
    let lowering = Lowering {
        gpu: Gpu::typical(target),
        element: Element::F16,
        detect: Some(head),
    };
    let plan = lower(
        model.graph(),
        &[frames.len(), 3, side, side].into(),
        &lowering,
    )
    .unwrap();
    let placements: Vec<_> = frames
        .iter()
        .map(|frame| pipeline.preprocess(frame).placement)
        .collect();
    let taps: Vec<[Vec<AxisTap>; 2]> = placements
        .iter()
        .map(|p| {
            [
                axis_taps(p.source_width, p.scaled_width).collect(),
                axis_taps(p.source_height, p.scaled_height).collect(),
            ]
        })
        .collect();
    let pictures: Vec<Picture<'_>> = frames
        .iter()
        .zip(&placements)
        .zip(&taps)
        .map(|((frame, placement), [columns, rows])| Picture {
            pixels: frame.pixels(),
            bgr: false,
            placement: *placement,
            padding: 114,
            columns,
            rows,
        })
        .collect();
    let settings = Settings {
        confidence: thresholds.confidence,
        iou: thresholds.iou,
        max_detections: thresholds.max_detections,
        agnostic: false,
        every_class: head.end_to_end,
        classes: None,
    };
    let settings = settings.encode(head.classes).unwrap();
    let inputs = [pack(&pictures).unwrap(), settings];
    let inputs: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
    let outcome = Machine::new().run_plan(&plan, &inputs, &Schedule::adversarial(3));
    let (outputs, reports) = outcome.unwrap_or_else(|trap| panic!("{trap}"));
    let instructions: u64 = reports.iter().map(|report| report.instructions).sum();
    eprintln!(
        "{} launches, {instructions} instructions of warps",
        plan.launches.len()
    );
    let part = outputs[0].len() / frames.len();
    let rows = outputs[0]
        .chunks_exact(part)
        .map(|bytes| read_output(bytes).unwrap().0);
    rows.map(|rows| rows.iter().map(detection).collect())
        .collect()
}

fn detection(row: &Row) -> Detection {
    let [x1, y1, x2, y2] = row.corners;
    Detection {
        bbox: BoxXyxy { x1, y1, x2, y2 },
        class: row.class as usize,
        confidence: row.score,
    }
}

/// The same boxes within a pixel and 0.01; those near the threshold may be found by one side only.
fn assert_same(pairs: &[[Vec<Detection>; 2]], what: &str) {
    for [expected, found] in pairs {
        for (one, other) in [(expected, found), (found, expected)] {
            for a in one {
                let twin = other.iter().find(|b| {
                    let sides = [
                        a.bbox.x1 - b.bbox.x1,
                        a.bbox.y1 - b.bbox.y1,
                        a.bbox.x2 - b.bbox.x2,
                        a.bbox.y2 - b.bbox.y2,
                    ];
                    a.class == b.class
                        && sides.iter().all(|side| side.abs() <= 1.0)
                        && (a.confidence - b.confidence).abs() <= 0.01
                });
                let borderline = a.confidence < 0.26;
                assert!(
                    twin.is_some() || borderline,
                    "{what}: {a:?} has no twin in {other:?}"
                );
            }
        }
        eprintln!("{what}: {} and {} boxes", expected.len(), found.len());
        assert!(!expected.is_empty());
    }
}

fn pictures(names: &[&str]) -> Vec<Frame> {
    let Some(root) = data() else {
        return Vec::new();
    };
    let read = |name: &&str| std::fs::read(root.join("images").join(name)).unwrap();
    let frame = |name| decode(&read(name), &Limits::default()).unwrap();
    names.iter().map(frame).collect()
}

fn check(model: &str, side: usize, target: Target, names: &[&str]) {
    if let Some(pairs) = both(model, side, target, &pictures(names)) {
        assert_same(&pairs, &format!("{model} at {side} on {target}"));
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
fn pictures_of_two_sizes_share_a_batch() {
    check("yolov8n.pt", 128, Target::Sm75, &["bus.jpg", "zidane.jpg"]);
}

#[test]
#[ignore = "minutes"]
fn yolo11n_finds_what_the_cpu_finds_at_640() {
    check("yolo11n-recon.pt", 640, Target::Sm90a, &["bus.jpg"]);
}

#[test]
#[ignore = "minutes"]
fn yolo26n_finds_what_the_cpu_finds_at_640() {
    check("yolo26n.pt", 640, Target::Sm90a, &["bus.jpg"]);
}
