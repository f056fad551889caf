//! Every kernel of every model: right to the format's tolerance under five hostile schedules of the
//! interpreter, which finds races, poison and accesses out of bounds by itself.
//!
//! Tiles are those of 640 px; maps are cut so that a trial takes milliseconds. `ONELOOK_WHOLE_MAPS=1`
//! keeps their size.

use std::collections::HashMap;

use onelook_cuda::conformance::{smaller, tolerance, try_in_interpreter};
use onelook_cuda::kernels::{Element, Work};
use onelook_cuda::lang::Target;
use onelook_cuda::lower::gpu::Gpu;
use onelook_cuda::lower::{Options, lower};
use onelook_graph::{family, pass};

/// The distinct works of a model's plans, to boxes and to planes.
fn works(model: &str, target: Target, element: Element) -> Vec<Work> {
    let mut file = family::build(model).unwrap();
    pass::optimise(&mut file.graph);
    let mut works: HashMap<String, Work> = HashMap::new();
    for detect in [None, Some(&file.metadata.head)] {
        let options = Options {
            gpu: Gpu::typical(target),
            element,
            detect,
        };
        let plan = lower(&file.graph, &[1, 3, 640, 640].into(), &options).unwrap();
        for launch in plan.launches {
            let work = launch.work.unwrap();
            let work = match std::env::var_os("ONELOOK_WHOLE_MAPS") {
                Some(_) => work,
                None => smaller(&work, [6, 6]),
            };
            works.insert(format!("{work:?}"), work);
        }
    }
    works.into_values().collect()
}

fn check(model: &str, target: Target) {
    for element in [Element::F16, Element::F32] {
        let (mut tried, mut worst) = (0, 0.0f64);
        for work in works(model, target, element) {
            let Some(outcome) = try_in_interpreter(&work, target, 2, 5) else {
                continue;
            };
            let off = outcome.unwrap_or_else(|trap| panic!("{model} {target} {work:?}: {trap}"));
            assert!(
                off <= tolerance(element),
                "{model} {target} {work:?}: off by {off:e}"
            );
            (tried, worst) = (tried + 1, worst.max(off));
        }
        eprintln!("{model} {target} {element:?}: {tried} kernels, at most {worst:.1e} off");
        assert!(tried > 40);
    }
}

macro_rules! models {
    ($($test:ident $model:literal $target:ident),* $(,)?) => {$(
        #[test]
        fn $test() {
            check($model, Target::$target);
        }
    )*};
}

models! {
    yolo11n_on_hopper "yolo11n" Sm90a,
    yolo11s_on_hopper "yolo11s" Sm90a,
    yolo11m_on_hopper "yolo11m" Sm90a,
    yolo11l_on_hopper "yolo11l" Sm90a,
    yolo11x_on_hopper "yolo11x" Sm90a,
    yolov8n_on_hopper "yolov8n" Sm90a,
    yolo26n_on_hopper "yolo26n" Sm90a,
    yolo11n_on_turing "yolo11n" Sm75,
    yolo11n_on_ampere "yolo11n" Sm80,
}
