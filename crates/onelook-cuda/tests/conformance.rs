//! Every kernel of every model: right to the format's tolerance under five adversarial schedules of
//! the interpreter, which finds races, poison and accesses out of bounds by itself.
//!
//! Tiles are those of 640 px, for one image and for many; maps are cut so that a case takes
//! milliseconds. Single precision at the larger scales takes minutes of scalar arithmetic and runs
//! on demand (`-- --ignored`), as do the tiles for a few images.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;

use onelook_cuda::kernels::{Element, KernelSpec};
use onelook_cuda::lower::gpu::Gpu;
use onelook_cuda::lower::{Options, lower};
use onelook_cuda::verify::conformance::{smaller, tolerance, try_in_interpreter};
use onelook_graph::{family, pass};
use onelook_ptx::lang::Target;

/// Height and width of the outputs that are tried.
const MOST: [u32; 2] = [6, 6];

/// The distinct specs of a model's plans for so many images, to boxes and to planes.
fn specs(model: &str, target: Target, element: Element, images: usize) -> Vec<KernelSpec> {
    let mut file = family::build(model).unwrap();
    pass::optimise(&mut file.graph);
    let mut specs: BTreeMap<String, KernelSpec> = BTreeMap::new();
    for detect in [None, file.metadata.head.detect()] {
        let options = Options {
            gpu: Gpu::typical(target),
            element,
            detect,
        };
        let plan = lower(&file.graph, &[images, 3, 640, 640].into(), &options).unwrap();
        for launch in plan.launches {
            let spec = smaller(&launch.spec.unwrap(), MOST);
            specs.insert(format!("{spec:?}"), spec);
        }
    }
    specs.into_values().collect()
}

fn check(model: &str, target: Target, element: Element, images: usize) {
    let (mut tried, mut worst) = (0, 0.0f64);
    for spec in specs(model, target, element, images) {
        // The first and the last kernels take several images in different ways.
        let batch = match spec {
            KernelSpec::Stem(_) | KernelSpec::Head(_) | KernelSpec::Nms(_) => 3,
            _ => 1,
        };
        let outcome = try_in_interpreter(&spec, target, batch, 5);
        let off = outcome.unwrap_or_else(|wrong| panic!("{model} {target} {spec:?}: {wrong}"));
        assert!(
            off <= tolerance(element),
            "{model} {target} {spec:?}: off by {off:e}"
        );
        (tried, worst) = (tried + 1, worst.max(off));
    }
    eprintln!("{model} x{images} {target} {element:?}: {tried} kernels, at most {worst:.1e} off");
    assert!(tried > 40);
}

macro_rules! models {
    ($($(#[$ignored:meta])? $test:ident $model:literal $images:literal $target:ident $element:ident),* $(,)?) => {$(
        #[test]
        $(#[$ignored])?
        fn $test() {
            check($model, Target::$target, Element::$element, $images);
        }
    )*};
}

models! {
    yolo11n_in_f16 "yolo11n" 1 Sm90a F16,
    yolo11s_in_f16 "yolo11s" 1 Sm90a F16,
    yolo11m_in_f16 "yolo11m" 1 Sm90a F16,
    yolo11l_in_f16 "yolo11l" 1 Sm90a F16,
    yolo11x_in_f16 "yolo11x" 1 Sm90a F16,
    yolov8n_in_f16 "yolov8n" 1 Sm90a F16,
    yolo26n_in_f16 "yolo26n" 1 Sm90a F16,
    yolo11n_in_f16_on_turing "yolo11n" 1 Sm75 F16,
    yolo26n_in_f16_on_turing "yolo26n" 1 Sm75 F16,
    yolo11n_in_f16_on_ampere "yolo11n" 1 Sm80 F16,
    yolo11n_in_f16_for_many_images "yolo11n" 32 Sm90a F16,
    yolo11s_in_f16_for_many_images "yolo11s" 32 Sm90a F16,
    yolo11m_in_f16_for_many_images "yolo11m" 32 Sm90a F16,
    yolo11l_in_f16_for_many_images "yolo11l" 32 Sm90a F16,
    yolo11x_in_f16_for_many_images "yolo11x" 32 Sm90a F16,
    yolov8n_in_f16_for_many_images "yolov8n" 32 Sm90a F16,
    yolo26n_in_f16_for_many_images "yolo26n" 32 Sm90a F16,
    yolo11n_in_f16_for_some_images "yolo11n" 8 Sm90a F16,
    yolo11n_in_floats "yolo11n" 1 Sm90a F32,
    yolov8n_in_floats "yolov8n" 1 Sm90a F32,
    yolo26n_in_floats "yolo26n" 1 Sm90a F32,
    #[ignore = "minutes"]
    yolo11s_in_floats "yolo11s" 1 Sm90a F32,
    #[ignore = "minutes"]
    yolo11m_in_floats "yolo11m" 1 Sm90a F32,
    #[ignore = "minutes"]
    yolo11l_in_floats "yolo11l" 1 Sm90a F32,
    #[ignore = "minutes"]
    yolo11x_in_floats "yolo11x" 1 Sm90a F32,
    #[ignore = "a minute in all"]
    yolo11s_in_f16_for_some_images "yolo11s" 8 Sm90a F16,
    #[ignore = "a minute in all"]
    yolo11m_in_f16_for_some_images "yolo11m" 8 Sm90a F16,
    #[ignore = "a minute in all"]
    yolo11l_in_f16_for_some_images "yolo11l" 8 Sm90a F16,
    #[ignore = "a minute in all"]
    yolo11x_in_f16_for_some_images "yolo11x" 8 Sm90a F16,
    #[ignore = "a minute in all"]
    yolov8n_in_f16_for_some_images "yolov8n" 8 Sm90a F16,
    #[ignore = "a minute in all"]
    yolo26n_in_f16_for_some_images "yolo26n" 8 Sm90a F16,
}
