//! How many launches a run takes, which bounds its time for one image.

#![allow(clippy::unwrap_used)]

use onelook_cuda::kernels::Element;
use onelook_cuda::lower::estimate::estimate;
use onelook_cuda::lower::gpu::Gpu;
use onelook_cuda::lower::{Options, lower};
use onelook_cuda::plan::Plan;
use onelook_graph::{family, pass};
use onelook_ptx::lang::Target;
use onelook_types::Shape;

/// From images to boxes, at 640 pixels, in half precision.
fn plan(name: &str, batch: usize, gpu: Gpu) -> Plan {
    let mut model = family::build(name).unwrap();
    pass::optimise(&mut model.graph);
    let options = Options {
        gpu,
        element: Element::F16,
        detect: model.metadata.head.detect(),
    };
    let input = Shape::from([batch, 3, 640, 640]);
    lower(&model.graph, &input, &options).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn every_scale_of_yolo11_takes_few_launches() {
    let gpu = Gpu::typical(Target::Sm90a);
    for (name, most) in [
        ("yolo11n", 75),
        ("yolo11s", 75),
        ("yolo11m", 100),
        ("yolo11l", 155),
        ("yolo11x", 155),
    ] {
        let plan = plan(name, 1, gpu);
        let estimate = estimate(&plan, &gpu, 1);
        let dependent = &estimate.totals[1];
        eprintln!(
            "{name}: {} launches, {} on the longest chain, {:.0} us",
            plan.launches.len(),
            dependent.chain.len(),
            dependent.estimated_us
        );
        assert!(
            plan.launches.len() <= most,
            "{name}: {}",
            plan.launches.len()
        );
    }
}

#[test]
fn every_family_has_a_plan_on_every_target() {
    for target in Target::ALL {
        for name in ["yolov8n", "yolo11n", "yolo26n"] {
            let gpu = Gpu::typical(target);
            let plan = plan(name, 2, gpu);
            let estimate = estimate(&plan, &gpu, 2);
            assert_eq!(estimate.launches.len(), plan.launches.len());
            for (launch, time) in plan.launches.iter().zip(&estimate.launches) {
                let sound = time.floor_us > 0.0 && time.estimated_us.is_finite();
                assert!(sound, "{name} {target}: {} {time:?}", launch.name);
                // Without the one it may not start early, without the other nothing behind it does.
                let kernel = &launch.kernel;
                let early = [kernel.waits_for_grid(), kernel.launches_dependents()];
                assert_eq!(
                    early,
                    [target >= Target::Sm90a; 2],
                    "{target}: {}",
                    launch.name
                );
            }
        }
    }
}

#[test]
fn an_input_without_images_has_no_plan() {
    let mut model = family::build("yolo11n").unwrap();
    pass::optimise(&mut model.graph);
    let options = Options {
        gpu: Gpu::typical(Target::Sm90a),
        element: Element::F16,
        detect: model.metadata.head.detect(),
    };
    let outcome = lower(&model.graph, &Shape::from([0, 3, 640, 640]), &options);
    let error = outcome
        .map(|plan| plan.launches.len())
        .unwrap_err()
        .to_string();
    assert!(error.contains("images"), "{error}");
}
