//! The checker itself: a GPU that computes nothing must not pass, one that computes must.

use std::sync::Arc;
use std::time::Duration;

use onelook_cuda::kernels::Element;
use onelook_cuda::lower::estimate::Mechanism;
use onelook_cuda::lower::gpu::Gpu;
use onelook_cuda::lower::{Options, lower};
use onelook_cuda::verify::check::{
    BatchTimes, CheckError, CheckOptions, CheckReport, Checker, KernelCheck, Run,
};
use onelook_cuda::verify::conformance::smaller;
use onelook_graph::Graph;
use onelook_ptx::lang::{Kernel, Target};

use super::context;
use super::emulated::emulate;
use super::engine::graph;
use super::fake::{Fake, H100};

/// Grey planes through the network.
fn planes(graph: &Graph) -> Run<'_> {
    Run {
        graph,
        head: None,
        batch: 1,
        size: [32, 64],
        inputs: vec![0.5f32.to_le_bytes().repeat(3 * 32 * 64)],
    }
}

fn quick() -> CheckOptions {
    CheckOptions {
        seed: 7,
        copied_bytes: 1 << 20,
        span: Duration::ZERO,
    }
}

fn check(fake: &Fake) -> CheckReport {
    let context = context(fake, None);
    let checker = Checker::new(&context, None, quick()).unwrap();
    let (graph, mut report) = (graph(), checker.report());
    let run = planes(&graph);
    let keep = |check| report.kernels.push(check);
    checker.kernels(&run, Element::F16, keep).unwrap();
    report.networks = checker.networks(&graph).unwrap();
    report.latencies = checker.latencies().unwrap();
    report.bandwidths = checker.bandwidths().unwrap();
    report.times.push(times(&checker, &run).unwrap());
    report
}

fn times(checker: &Checker<'_>, run: &Run<'_>) -> Result<BatchTimes, CheckError> {
    let mut times = checker.times(run)?;
    times.graphs.extend(checker.dependent_times(run)?);
    Ok(times)
}

/// All that the checker launches of the network.
fn kernels(graph: &Graph) -> Vec<Arc<Kernel>> {
    let gpu = Gpu {
        multiprocessors: 132,
        ..Gpu::typical(Target::Sm90a)
    };
    let plan = |element, [batch, height, width]: [usize; 3]| {
        let options = Options {
            gpu,
            element,
            detect: None,
        };
        lower(graph, &[batch, 3, height, width].into(), &options).unwrap()
    };
    let timed = plan(Element::F16, [1, 32, 64]);
    // On two images, of maps that are cut.
    let tried = timed.launches.iter().map(|launch| {
        let spec = smaller(launch.spec.as_ref().unwrap(), [24, 40]);
        Arc::new(spec.tiled(gpu.target, &launch.kernel.name, 2).kernel)
    });
    let whole = [Element::F16, Element::F32].map(|element| plan(element, [2, 160, 224]));
    let plans = whole.iter().chain([&timed]);
    let launched = plans.flat_map(|plan| plan.launches.iter().map(|it| Arc::clone(&it.kernel)));
    tried.chain(launched).collect()
}

#[test]
fn a_gpu_that_computes_what_it_should_passes() {
    let fake = Fake::new(&[H100]);
    emulate(&fake.path(), kernels(&graph()));
    let context = context(&fake, None);
    let checker = Checker::new(&context, None, quick()).unwrap();
    let (graph, mut report) = (graph(), checker.report());
    let keep = |check| report.kernels.push(check);
    checker
        .kernels(&planes(&graph), Element::F16, keep)
        .unwrap();
    report.networks = checker.networks(&graph).unwrap();
    assert!(report.passed(), "{report}");
    assert!(report.kernels.len() >= 4, "{report}");
    assert!(report.networks.iter().all(|it| it.off > 0.0), "{report}");
    // The very same arithmetic ran in the GPU's place.
    let exact = |it: &KernelCheck| it.off_interpreter == 0.0;
    assert!(report.kernels.iter().all(exact), "{report}");
}

#[test]
fn a_gpu_that_writes_nothing_fails_with_every_kernel() {
    let fake = Fake::new(&[H100]);
    let report = check(&fake);
    assert!(!report.passed());
    assert!(!report.kernels.is_empty());
    for kernel in &report.kernels {
        assert!(kernel.off_truth.is_nan(), "{kernel}");
        assert!(!kernel.passed(), "{kernel}");
    }
    assert_eq!(report.networks.len(), 2);
    for network in &report.networks {
        assert!(network.off.is_nan() && !network.passed(), "{network}");
    }
    assert_eq!(fake.leaks(), Vec::<String>::new());
}

#[test]
fn a_kernel_that_leaves_the_gpu_unusable_is_named_and_the_last_one() {
    let fake = Fake::new(&[H100, "fail cuStreamSynchronize 3 700"]);
    let context = context(&fake, None);
    let checker = Checker::new(&context, None, quick()).unwrap();
    let graph = graph();
    let mut told = Vec::new();
    let outcome = checker.kernels(&planes(&graph), Element::F16, |check| told.push(check.name));
    let error = outcome.unwrap_err().to_string();
    assert!(
        error.contains("left the GPU unusable") && error.contains("(700)"),
        "{error}"
    );
    assert_eq!(told.len(), 2);
    assert!(
        !told.iter().any(|name| error.contains(&format!("'{name}'"))),
        "{error}: {told:?}"
    );
    assert_eq!(fake.count("cuLaunchKernel"), 3);
}

#[test]
fn mechanisms_both_memories_and_each_launch_are_timed() {
    let fake = Fake::new(&[H100]);
    let report = check(&fake);
    assert_eq!(report.seed, 7);
    let mechanisms: Vec<&str> = report.latencies.iter().map(|it| it.mechanism).collect();
    // This driver knows no programmatic edges in graphs.
    assert_eq!(mechanisms, ["stream", "graph", "stream, dependent launch"]);
    assert_eq!(report.bandwidths.len(), 2);
    let [times] = &report.times[..] else {
        panic!("{:?}", report.times);
    };
    let launches = times.launches.len();
    assert!(launches >= 4);
    let [graph] = &times.graphs[..] else {
        panic!("only the plain graph: {:?}", times.graphs);
    };
    // Launches of this driver take 10 microseconds each, one after the other.
    let expected = 10.0 * launches as f64;
    for microseconds in [times.launches_us, graph.microseconds, graph.in_a_row_us] {
        assert!((microseconds - expected).abs() < 0.1, "{times}");
    }
    assert_eq!((graph.early_edges, graph.unequal_runs), (0, 0));
    let text = report.to_string();
    assert!(
        text.contains("NVIDIA H100") && text.contains("WRONG") && text.contains("estimated"),
        "{text}"
    );
}

#[test]
fn launches_that_start_early_are_timed_where_the_driver_knows_them() {
    let fake = Fake::with_edges(&[H100]);
    let report = check(&fake);
    let graphs = &report.times[0].graphs;
    let mechanisms: Vec<&str> = graphs.iter().map(|graph| graph.mechanism).collect();
    let expected = [Mechanism::Graph, Mechanism::DependentLaunch].map(Mechanism::name);
    assert_eq!(mechanisms, expected);
    assert_eq!(graphs[0].early_edges, 0);
    assert!(graphs[1].early_edges >= 3, "{:?}", graphs[1]);
    assert!(graphs[1].estimated_us < graphs[0].estimated_us);
    assert!(report.times[0].passed());
    assert_eq!(fake.leaks(), Vec::<String>::new());
}

#[test]
fn outputs_that_change_from_run_to_run_are_told() {
    let fake = Fake::new(&[H100]);
    let context = context(&fake, None);
    let checker = Checker::new(&context, None, quick()).unwrap();
    let graph = graph();
    let mut times = checker.times(&planes(&graph)).unwrap();
    assert!(times.passed());
    times.graphs[0].unequal_runs = 2;
    assert!(!times.passed());
    assert!(
        times
            .to_string()
            .contains("WRONG  other bits in 2 of 10 runs"),
        "{times}"
    );
}
