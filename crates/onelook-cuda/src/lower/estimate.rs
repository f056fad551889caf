//! How long a plan takes, before any device has run it: a plan and a GPU's figures in, a floor and
//! an estimate for each launch and for the whole out.
//!
//! Every constant here is an estimate until it is measured. Never changes the plan.

use super::gpu::Gpu;
use super::tiling::{Product, clocks};
use crate::kernels::gemm::Tile;
use crate::kernels::{Element, Work};
use crate::plan::{Launch, Plan};

/// Clocks of a kernel besides its arithmetic and traffic, where no tile model says: starting,
/// first loads from L2, last stores. An estimate.
const LATENCY_CLOCKS: f64 = 1600.0;

/// Microseconds from one stage of a persistent kernel to the next, through a counter in L2. An
/// estimate, from published megakernels.
const COUNTER_GAP_US: f64 = 0.5;

/// What one launch takes, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LaunchTime {
    /// It cannot take less: the larger of arithmetic and traffic.
    pub floor_us: f64,
    /// It probably takes this, from its start to its end.
    pub predicted_us: f64,
}

/// How launches follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// Nodes of a graph, each started when the ones before it have ended.
    Graph,
    /// As before, but each is started early and waits by itself.
    DependentLaunch,
    /// Stages of one kernel that never ends between them.
    Persistent,
}

impl Mechanism {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Graph, Self::DependentLaunch, Self::Persistent];

    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Graph => "plain graph",
            Self::DependentLaunch => "dependent launch",
            Self::Persistent => "persistent kernel",
        }
    }

    /// Microseconds between the end of one launch and the start of the next.
    fn gap_us(self, gpu: &Gpu) -> f64 {
        match self {
            Self::Graph => gpu.graph_gap_us,
            Self::DependentLaunch => gpu.dependent_gap_us,
            Self::Persistent => COUNTER_GAP_US,
        }
    }
}

/// What a whole run takes under one mechanism.
#[derive(Debug, Clone, PartialEq)]
pub struct Total {
    /// How launches follow each other.
    pub mechanism: Mechanism,
    /// Launches of the chain that takes longest, in order.
    pub chain: Vec<usize>,
    /// Microseconds of that chain.
    pub chain_us: f64,
    /// Microseconds of the run: the chain, or all work where that fills the device for longer.
    pub predicted_us: f64,
}

/// The times of a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// By launch.
    pub launches: Vec<LaunchTime>,
    /// Microseconds that the device would be busy if launches shared it without loss.
    pub busy_us: f64,
    /// One per mechanism, in the order of [`Mechanism::ALL`].
    pub totals: Vec<Total>,
}

/// What the plan for so many pictures takes on this GPU.
pub fn predict(plan: &Plan, gpu: &Gpu, batch: u32) -> Prediction {
    let of = |launch: &Launch| time(launch, gpu, batch);
    let launches: Vec<LaunchTime> = plan.launches.iter().map(of).collect();
    let busy = plan.launches.iter().zip(&launches);
    let busy_us = busy
        .map(|(launch, time)| time.predicted_us * share(launch, gpu))
        .sum();
    let total = |mechanism: Mechanism| {
        let (chain, chain_us) = longest_chain(plan, &launches, mechanism.gap_us(gpu));
        Total {
            mechanism,
            chain,
            chain_us,
            predicted_us: chain_us.max(busy_us),
        }
    };
    Prediction {
        totals: Mechanism::ALL.map(total).into(),
        launches,
        busy_us,
    }
}

fn time(launch: &Launch, gpu: &Gpu, batch: u32) -> LaunchTime {
    let work = launch.work.as_ref();
    let halves = work.is_none_or(|work| work.element() == Element::F16);
    let floor_us = gpu.floor_us(launch.flops, launch.bytes, halves);
    let predicted_us = match work.and_then(|work| product(work, batch)) {
        Some((product, tile)) => gpu.microseconds(clocks(gpu, &product, &tile)).max(floor_us),
        None => gpu.microseconds(LATENCY_CLOCKS) + floor_us,
    };
    LaunchTime {
        floor_us,
        predicted_us,
    }
}

/// The product of matrices that the tile model can price.
fn product(work: &Work, batch: u32) -> Option<(Product, Tile)> {
    let (window, columns, pieces, resident, tile) = match work {
        Work::Conv { shape, tile } => {
            let pieces = shape.pieces();
            (shape.window, shape.outputs(), pieces, false, tile)
        }
        Work::Depthwise { shape, tile } => {
            let pieces = shape.pieces();
            (shape.window, shape.part.channels, pieces, true, tile)
        }
        _ => return None,
    };
    let product = Product {
        element: work.element(),
        rows: batch * window.pixels(),
        columns,
        pieces,
        resident,
    };
    Some((product, *tile))
}

/// The part of the device that a launch occupies.
fn share(launch: &Launch, gpu: &Gpu) -> f64 {
    let blocks: f64 = launch.grid.iter().map(|&side| f64::from(side)).product();
    (blocks / f64::from(gpu.multiprocessors)).min(1.0)
}

/// The chain of launches, each after the one before it, that takes longest with a gap ahead of each.
fn longest_chain(plan: &Plan, times: &[LaunchTime], gap_us: f64) -> (Vec<usize>, f64) {
    let mut ends: Vec<f64> = Vec::with_capacity(times.len());
    let mut last_before = Vec::with_capacity(times.len());
    for (launch, time) in plan.launches.iter().zip(times) {
        let latest = launch.after.iter().copied();
        let latest = latest.max_by(|&a, &b| ends[a].total_cmp(&ends[b]));
        let start = latest.map_or(0.0, |before| ends[before]);
        ends.push(start + gap_us + time.predicted_us);
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
            work: None,
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
        let prediction = predict(&plan, &gpu, 1);
        let graph = &prediction.totals[0];
        assert_eq!(graph.chain, [0, 1, 3]);
        let latency = gpu.microseconds(LATENCY_CLOCKS) + gpu.graph_gap_us;
        let expected = 10.0 + 20.0 + 1.0 + 3.0 * latency;
        assert!((graph.predicted_us - expected).abs() < 1e-9);
        let dependent = &prediction.totals[1];
        assert!(dependent.predicted_us < graph.predicted_us);
    }

    #[test]
    fn launches_that_fill_the_device_do_not_overlap() {
        let gpu = Gpu::typical(Target::Sm90a);
        let launches = (0..8).map(|_| launch(&[], 10_000, 10 * MICROSECOND));
        let prediction = predict(&plan(launches.collect()), &gpu, 1);
        assert!(prediction.totals[0].predicted_us >= 80.0);
        assert!(prediction.totals[0].chain_us < 13.0);
    }

    #[test]
    fn nothing_is_predicted_below_its_floor() {
        let gpu = Gpu::typical(Target::Sm90a);
        let plan = plan(vec![launch(&[], 1, MICROSECOND)]);
        for time in predict(&plan, &gpu, 1).launches {
            assert!((time.floor_us - 1.0).abs() < 1e-9);
            assert!(time.predicted_us >= time.floor_us);
        }
        let nothing = predict(&Plan::default(), &gpu, 1);
        assert_eq!(nothing.totals[0].predicted_us, 0.0);
    }
}
