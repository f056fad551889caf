//! The whole way of a prediction on a GPU, from images to boxes: through the driver's functions,
//! with kernels that the interpreter runs in the GPU's place.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../../onelook-cuda/tests/fake_driver/emulated.rs"]
mod emulated;
#[path = "../../onelook-cuda/tests/fake_driver/fake.rs"]
mod fake;
#[path = "../../onelook-cuda/tests/fake_driver/launched.rs"]
mod launched;

use std::env;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use fake::{Fake, H100};
use onelook::graph::PlanKind;
use onelook::media::{Limits, decode};
use onelook::types::{Frame, Instance, Precision, Thresholds};
use onelook::{Device, ImageResult, LoadOptions, Model, Options, Pipeline};
use onelook_cuda::driver::DRIVER_VARIABLE;
use onelook_cuda::kernels::Element;
use onelook_cuda::lower::gpu::Gpu;
use onelook_cuda::lower::{Options as Lowering, lower};
use onelook_ptx::lang::{Kernel, Target};

const SIDE: usize = 32;

/// Set where the driver is the one that the test has built, and not the user's.
const OWN_PROCESS: &str = "ONELOOK_TEST_EMULATED_GPU";

/// A network with random weights, and a confidence above which it finds some boxes.
struct Case {
    name: &'static str,
    end_to_end: bool,
    confidence: f32,
}

fn load(case: &Case, device: Device) -> Arc<Model> {
    let options = LoadOptions {
        device,
        end_to_end: case.end_to_end.then_some(true),
        precision: Precision::F32,
        ..LoadOptions::default()
    };
    Arc::new(Model::load(case.name, &options).unwrap())
}

/// What a GPU runs for so many images, from images to boxes and from planes.
fn kernels(model: &Model, batch: usize) -> Vec<Arc<Kernel>> {
    let plans = [model.metadata().head.detect(), None].map(|detect| {
        let lowering = Lowering {
            gpu: Gpu {
                multiprocessors: 132,
                ..Gpu::typical(Target::Sm90a)
            },
            element: Element::F32,
            detect,
        };
        lower(model.graph(), &[batch, 3, SIDE, SIDE].into(), &lowering).unwrap()
    });
    let launches = plans.into_iter().flat_map(|plan| plan.launches);
    launches.map(|launch| launch.kernel).collect()
}

fn predict(model: &Arc<Model>, frames: &[Frame], thresholds: &Thresholds) -> Vec<ImageResult> {
    let options = Options {
        thresholds: thresholds.clone(),
        image_size: Some([SIDE, SIDE]),
        rect: Some(false),
        batch: frames.len(),
        keep_suppressed: false,
    };
    let pipeline = Pipeline::new(Arc::clone(model), options).unwrap();
    pipeline.predict(frames).unwrap()
}

/// How many boxes both find, the same ones, and whether the GPU took images.
fn compare(models: &[Arc<Model>; 2], frames: &[Frame], thresholds: &Thresholds) -> (usize, bool) {
    let [expected, found] = models
        .each_ref()
        .map(|model| predict(model, frames, thresholds));
    for (expected, found) in expected.iter().zip(&found) {
        assert_eq!(found.input, [SIDE, SIDE]);
        let mut free: Vec<Instance<'_>> = found.instances().iter().collect();
        for one in expected.instances() {
            let place = free.iter().position(|other| same(&one, other));
            free.swap_remove(place.unwrap_or_else(|| panic!("{one:?} is not among {free:#?}")));
        }
        assert_eq!(free, [], "only on the GPU");
    }
    let at_once = found.iter().all(|one| one.plan == PlanKind::Image);
    let count = found.iter().map(|one| one.instances().len()).sum();
    (count, at_once)
}

/// Random weights find boxes of no size and equal ones, so all there is of a box decides.
fn same(a: &Instance<'_>, b: &Instance<'_>) -> bool {
    let sides = |it: &Instance<'_>| [it.bbox.x1, it.bbox.y1, it.bbox.x2, it.bbox.y2];
    let mut sides = sides(a).into_iter().zip(sides(b));
    a.class == b.class
        && (a.score - b.score).abs() < 1e-5
        && sides.all(|(a, b)| (a - b).abs() < 0.02)
}

/// Takes the test in a process of its own, whose driver is the one that is built here.
#[test]
fn images_become_the_boxes_that_the_cpu_finds() {
    if env::var_os(OWN_PROCESS).is_some() {
        return both_cases(Path::new(&env::var_os(DRIVER_VARIABLE).unwrap()));
    }
    let fake = Fake::new(&[H100]);
    let own = Command::new(env::current_exe().unwrap())
        .args(["--exact", "images_become_the_boxes_that_the_cpu_finds"])
        .env(OWN_PROCESS, "yes")
        .env(DRIVER_VARIABLE, fake.path())
        .env("ONELOOK_KERNELS", fake.folder().join("kernels"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&own.stdout);
    assert!(own.status.success(), "{said}");
    assert!(said.contains("1 passed"), "{said}");
    assert!(fake.count("cuGraphLaunch") > 0);
    assert_eq!(fake.leaks(), [""; 0]);
}

fn both_cases(driver: &Path) {
    let bytes = include_bytes!("../../../assets/sample.jpg");
    let wide = decode(bytes, &Limits::default()).unwrap();
    let pixels = (0..40 * 90 * 3).map(|at| (at % 251) as u8).collect();
    let small = Frame::new(40, 90, pixels).unwrap();
    let frames = [wide, small];
    let with_nms = Case {
        name: "yolo11n.yaml",
        end_to_end: false,
        confidence: 0.02,
    };
    let without = Case {
        name: "yolo26n.yaml",
        end_to_end: true,
        confidence: 0.08,
    };
    for case in [with_nms, without] {
        check(driver, &case, &frames);
    }
}

fn check(driver: &Path, case: &Case, frames: &[Frame; 2]) {
    let cpu = load(case, Device::Cpu);
    for images in [1, 2, 4] {
        emulated::emulate(driver, kernels(&cpu, images));
    }
    let models = [cpu, load(case, "0".parse().unwrap())];
    let standard = Thresholds {
        confidence: case.confidence,
        ..Thresholds::default()
    };
    check_three_of_four(&models[1], frames, &standard);
    let asked = |images: usize, change: fn(&mut Thresholds)| {
        let mut thresholds = standard.clone();
        change(&mut thresholds);
        compare(&models, &frames[..images], &thresholds)
    };
    let (both, at_once) = asked(2, |_| {});
    let (all, _) = asked(1, |_| {});
    assert!(at_once && both > all && all > 10, "{all} and {both}");
    let (some, at_once) = asked(1, |it| it.classes = Some((0..60).collect()));
    assert!(at_once && some < all, "{some} of {all}");
    let (fewer, at_once) = asked(1, |it| (it.agnostic, it.iou) = (true, 0.3));
    assert!(at_once && fewer < all, "{fewer} of {all}");
    let (highest, at_once) = asked(1, |it| it.max_detections = 7);
    assert!(at_once && highest == 7, "{highest}");
    let (labels, at_once) = asked(1, |it| (it.confidence, it.multi_label) = (0.06, true));
    assert!(at_once && labels > 0, "{labels}");
    // What is beyond the limits of the plan for images goes in as tensors.
    let (most, at_once) = asked(1, |it| (it.confidence, it.multi_label) = (0.0, true));
    assert!(!at_once && most >= all, "{most} beside {all}");
    let (unlimited, at_once) = asked(1, |it| it.max_detections = 100_000);
    assert!(!at_once && unlimited >= all, "{unlimited} beside {all}");
}

/// Three images run in a plan of four: what is missing changes no bit of what is there.
fn check_three_of_four(model: &Arc<Model>, [wide, small]: &[Frame; 2], thresholds: &Thresholds) {
    let four = [wide, small, small, wide].map(Frame::clone);
    let whole = predict(model, &four, thresholds);
    let part = predict(model, &four[..3], thresholds);
    assert!(whole.iter().all(|one| one.plan == PlanKind::Image));
    assert_eq!(part.len(), 3);
    for (one, other) in part.iter().zip(&whole) {
        assert_eq!(one.prediction, other.prediction);
    }
    assert!(!part[2].instances().is_empty());
}
