//! Estimates how long a plan takes without running it: a plan and a GPU's figures in, a lower bound
//! and an estimated time for each launch and for the whole run out.
//!
//! Every constant here is an estimate until it has been measured. Never changes the plan.

use super::gpu::Gpu;
use super::tiling::{Product, clocks};
use crate::kernels::gemm::Tile;
use crate::kernels::{Element, KernelSpec};
use crate::plan::{Launch, Plan};

/// Clocks of a kernel besides its arithmetic and memory traffic, where the tile model does not
/// apply: starting, first loads from L2, last stores. An estimate.
const LATENCY_CLOCKS: f64 = 1600.0;

/// What one launch takes, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LaunchEstimate {
    /// A lower bound: the larger of arithmetic and memory traffic.
    pub floor_us: f64,
    /// Estimated time from its start to its end.
    pub estimated_us: f64,
}

/// How launches follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// Nodes of a graph, each started when the ones before it have ended.
    Graph,
    /// As before, but each is started early and waits by itself (programmatic dependent launch).
    DependentLaunch,
}

impl Mechanism {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Graph, Self::DependentLaunch];

    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Graph => "plain graph",
            Self::DependentLaunch => "dependent launch",
        }
    }

    /// Microseconds between the end of one launch and the start of the next.
    fn gap_us(self, gpu: &Gpu) -> f64 {
        match self {
            Self::Graph => gpu.graph_gap_us,
            Self::DependentLaunch => gpu.dependent_gap_us,
        }
    }
}

/// The estimate for a whole run under one mechanism.
#[derive(Debug, Clone, PartialEq)]
pub struct RunEstimate {
    /// How launches follow each other.
    pub mechanism: Mechanism,
    /// Launches of the chain that takes longest, in order.
    pub chain: Vec<usize>,
    /// Microseconds of that chain.
    pub chain_us: f64,
    /// Microseconds of the run: the longest chain, or all launches together if they keep the whole
    /// device busy for longer.
    pub estimated_us: f64,
}

/// The estimated times of a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimate {
    /// By launch.
    pub launches: Vec<LaunchEstimate>,
    /// Microseconds that the device would be busy if launches shared it without loss.
    pub busy_us: f64,
    /// One per mechanism, in the order of [`Mechanism::ALL`].
    pub totals: Vec<RunEstimate>,
}

/// Estimates what a plan for `batch` images takes on this GPU.
pub fn estimate(plan: &Plan, gpu: &Gpu, batch: u32) -> Estimate {
    let of = |launch: &Launch| time(launch, gpu, batch);
    let launches: Vec<LaunchEstimate> = plan.launches.iter().map(of).collect();
    let busy = plan.launches.iter().zip(&launches);
    let busy_us = busy
        .map(|(launch, time)| time.estimated_us * share(launch, gpu))
        .sum();
    let total = |mechanism: Mechanism| {
        let (chain, chain_us) = longest_chain(plan, &launches, mechanism.gap_us(gpu));
        RunEstimate {
            mechanism,
            chain,
            chain_us,
            estimated_us: chain_us.max(busy_us),
        }
    };
    Estimate {
        totals: Mechanism::ALL.map(total).into(),
        launches,
        busy_us,
    }
}

fn time(launch: &Launch, gpu: &Gpu, batch: u32) -> LaunchEstimate {
    let spec = launch.spec.as_ref();
    let f16 = spec.is_none_or(|spec| spec.element() == Element::F16);
    let floor_us = gpu.floor_us(launch.flops, launch.bytes, f16);
    let estimated_us = match spec.and_then(|spec| product(spec, batch)) {
        Some((product, tile)) => gpu.microseconds(clocks(gpu, &product, &tile)).max(floor_us),
        None => gpu.microseconds(LATENCY_CLOCKS) + floor_us,
    };
    LaunchEstimate {
        floor_us,
        estimated_us,
    }
}

/// The matrix product that the tile model estimates, where it applies.
fn product(spec: &KernelSpec, batch: u32) -> Option<(Product, Tile)> {
    let (window, columns, vectors, resident, tile) = match spec {
        KernelSpec::Conv { shape, tile } => {
            let vectors = shape.vectors();
            (shape.window, shape.outputs(), vectors, false, tile)
        }
        KernelSpec::Depthwise { shape, tile } => {
            let vectors = shape.vectors();
            (shape.window, shape.part.channels, vectors, true, tile)
        }
        _ => return None,
    };
    let product = Product {
        element: spec.element(),
        rows: batch * window.pixels(),
        columns,
        vectors,
        resident,
    };
    Some((product, *tile))
}

/// The fraction of the device that a launch occupies.
fn share(launch: &Launch, gpu: &Gpu) -> f64 {
    let blocks: f64 = launch.grid.iter().map(|&side| f64::from(side)).product();
    (blocks / f64::from(gpu.multiprocessors)).min(1.0)
}

/// The longest chain of launches that depend on each other (the critical path), with the launch gap
/// ahead of each.
fn longest_chain(plan: &Plan, times: &[LaunchEstimate], gap_us: f64) -> (Vec<usize>, f64) {
    let mut ends: Vec<f64> = Vec::with_capacity(times.len());
    let mut last_before = Vec::with_capacity(times.len());
    for (launch, time) in plan.launches.iter().zip(times) {
        let latest = launch.after.iter().copied();
        let latest = latest.max_by(|&a, &b| ends[a].total_cmp(&ends[b]));
        let start = latest.map_or(0.0, |before| ends[before]);
        ends.push(start + gap_us + time.estimated_us);
        last_before.push(latest);
    }
    let mut next = (0..ends.len()).max_by(|&a, &b| ends[a].total_cmp(&ends[b]));
    let total = next.map_or(0.0, |last| ends[last]);
    let mut chain = Vec::new();
    while let Some(launch) = next {
        chain.push(launch);
        next = last_before[launch];
    }
    chain.reverse();
    (chain, total)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use onelook_types::Shape;

    use super::*;
    use onelook_ptx::lang::{Builder, Target};

    /// A launch that moves so many bytes and has no tile.
    fn launch(after: &[usize], grid: u32, bytes: u64) -> Launch {
        Launch {
            name: String::new(),
            spec: None,
            kernel: Arc::new(Builder::new("empty", Target::Sm90a, 32).finish()),
            grid: [grid, 1, 1],
            arguments: Vec::new(),
            after: after.to_vec(),
            output: Shape::default(),
            choice: String::new(),
            flops: 0,
            bytes,
        }
    }

    fn plan(launches: Vec<Launch>) -> Plan {
        Plan {
            launches,
            ..Plan::default()
        }
    }

    /// Bytes of a microsecond.
    const MICROSECOND: u64 = 3_350_000;

    #[test]
    fn the_longest_chain_decides_while_the_device_has_room() {
        let gpu = Gpu::typical(Target::Sm90a);
        let plan = plan(vec![
            launch(&[], 1, 10 * MICROSECOND),
            launch(&[0], 1, 20 * MICROSECOND),
            launch(&[0], 1, 2 * MICROSECOND),
            launch(&[1, 2], 1, MICROSECOND),
        ]);
        let estimate = estimate(&plan, &gpu, 1);
        let graph = &estimate.totals[0];
        assert_eq!(graph.chain, [0, 1, 3]);
        let latency = gpu.microseconds(LATENCY_CLOCKS) + gpu.graph_gap_us;
        let expected = 10.0 + 20.0 + 1.0 + 3.0 * latency;
        assert!((graph.estimated_us - expected).abs() < 1e-9);
        let dependent = &estimate.totals[1];
        assert!(dependent.estimated_us < graph.estimated_us);
    }

    #[test]
    fn launches_that_fill_the_device_do_not_overlap() {
        let gpu = Gpu::typical(Target::Sm90a);
        let launches = (0..8).map(|_| launch(&[], 10_000, 10 * MICROSECOND));
        let estimate = estimate(&plan(launches.collect()), &gpu, 1);
        assert!(estimate.totals[0].estimated_us >= 80.0);
        assert!(estimate.totals[0].chain_us < 13.0);
    }

    #[test]
    fn no_estimate_is_below_its_lower_bound() {
        let gpu = Gpu::typical(Target::Sm90a);
        let plan = plan(vec![launch(&[], 1, MICROSECOND)]);
        for time in estimate(&plan, &gpu, 1).launches {
            assert!((time.floor_us - 1.0).abs() < 1e-9);
            assert!(time.estimated_us >= time.floor_us);
        }
        let nothing = estimate(&Plan::default(), &gpu, 1);
        assert_eq!(nothing.totals[0].estimated_us, 0.0);
    }
}
