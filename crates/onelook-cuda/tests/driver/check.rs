//! The checker itself: a GPU that computes nothing must not pass.

use onelook_cuda::check::{CheckOptions, CheckReport, Checker};

use super::context;
use super::engine::graph;
use super::fake::{Fake, H100};

fn check(fake: &Fake) -> CheckReport {
    let context = context(fake, None);
    let options = CheckOptions {
        size: [32, 64],
        batches: vec![1],
        seed: 1,
        copied_bytes: 1 << 20,
    };
    let checker = Checker::new(&context, None, options).unwrap();
    checker.run(&graph(), None, |_| ()).unwrap()
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
    assert!(!report.networks.iter().any(|network| network.passed()));
    assert_eq!(fake.leaks(), Vec::<String>::new());
}

#[test]
fn mechanisms_both_memories_and_each_launch_are_timed() {
    let fake = Fake::new(&[H100]);
    let report = check(&fake);
    let mechanisms: Vec<&str> = report.latencies.iter().map(|it| it.mechanism).collect();
    // This driver knows no programmatic edges in graphs.
    assert_eq!(mechanisms, ["stream", "graph", "stream, dependent launch"]);
    assert_eq!(report.bandwidths.len(), 2);
    assert_eq!(report.times.len(), 1);
    assert!(report.times[0].launches.len() >= 4);
    let text = report.to_string();
    assert!(
        text.contains("NVIDIA H100") && text.contains("WRONG"),
        "{text}"
    );
}
