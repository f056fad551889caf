//! How many kernels a folder of images of many shapes compiles on a GPU, and how long that takes but
//! for the driver's own compiler: with the driver that tests build, which compiles nothing.
//!
//! `cargo nextest run --release -p onelook --test gpu_modules --no-capture` prints the figures.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../../onelook-cuda/tests/fake_driver/fake.rs"]
mod fake;

use std::collections::BTreeSet;
use std::fs;
use std::time::Instant;

use fake::{Fake, H100};
use onelook::types::{LetterboxMode, LetterboxRecipe, Shape};
use onelook_cuda::driver::{
    Constants, Context, Driver, ExecutionContext, LoadedPlan, Modules, module_count,
};
use onelook_cuda::kernels::Element;
use onelook_cuda::lower::gpu::Gpu;
use onelook_cuda::lower::{Options, lower};
use onelook_cuda::plan::Plan;
use onelook_graph::{family, pass};
use onelook_ptx::lang::Target;
use onelook_vision::letterbox::place;

/// Heights and widths of the network's input for the images of the validation subset at 640 pixels,
/// each once.
fn input_sizes(description: &str) -> BTreeSet<[usize; 2]> {
    let recipe = LetterboxRecipe {
        height: 640,
        width: 640,
        mode: LetterboxMode::Rect { stride: 32 },
        padding: 114,
    };
    let description: serde_json::Value = serde_json::from_str(description).unwrap();
    let images = description["images"].as_array().unwrap().iter();
    let size = |image: &serde_json::Value| {
        let side = |name: &str| image[name].as_u64().unwrap() as usize;
        let placement = place(&recipe, side("width"), side("height"));
        [placement.height, placement.width]
    };
    images.map(size).collect()
}

#[test]
fn images_of_many_shapes_share_the_kernels_of_their_convolutions() {
    let Some(path) = test_support::data_file("coco-val-subset/instances.json") else {
        return;
    };
    let sizes = input_sizes(&fs::read_to_string(path).unwrap());
    let mut model = family::build("yolo11n").unwrap();
    pass::optimise(&mut model.graph);
    let options = Options {
        gpu: Gpu {
            multiprocessors: 132,
            ..Gpu::typical(Target::Sm90a)
        },
        element: Element::F16,
        detect: model.metadata.head.detect(),
    };
    for batch in [1, 8] {
        let start = Instant::now();
        let plan = |&[height, width]: &[usize; 2]| {
            let input = Shape::from([batch, 3, height, width]);
            lower(&model.graph, &input, &options).unwrap()
        };
        let plans: Vec<Plan> = sizes.iter().map(plan).collect();
        let lowered = start.elapsed();
        let alone: usize = plans.iter().map(|plan| module_count(plan).unwrap()).sum();

        let fake = Fake::new(&[H100]);
        let driver = Driver::open_file(&fake.path()).unwrap();
        let context = Context::open(&driver, 0, None).unwrap();
        let mut modules = Modules::default();
        let start = Instant::now();
        let loaded = plans.iter().map(|plan| {
            let constants = Constants::upload(&context, &plan.constants).unwrap();
            let loaded = LoadedPlan::new(&context, plan, constants, &mut modules, None).unwrap();
            ExecutionContext::new(&loaded).unwrap()
        });
        let loaded: Vec<ExecutionContext> = loaded.collect();
        let time = start.elapsed();
        let shared = modules.count();
        assert_eq!(shared, fake.count("cuLinkCreate_v2"), "each compiled once");
        eprintln!(
            "yolo11n, batch {batch}: {} plans with {alone} modules, {shared} different; lowered in \
             {lowered:.2?}, loaded in {time:.2?} without the driver's compiler",
            loaded.len(),
        );
        assert!(shared * 4 < alone, "{shared} of {alone}");
    }
}
