//! Whether a GPU computes what it should, and how quickly: every kernel of a network against f64 and
//! the interpreter, the ways to launch, memory, and the network's times.
//!
//! Comes in: a GPU that is open and graphs. Goes out: a [`CheckReport`] for people and machines.
//! Results land in memory full of NaN, so that what was never written shows.

mod kernels;
mod launching;
mod memory;
mod network;
mod times;

use std::fmt;
use std::sync::Arc;

use onelook_graph::{Graph, GraphError};
use onelook_types::DetectHead;
use serde::Serialize;

use crate::driver::{Context, CubinCache, CudaError};
use crate::kernels::Element;
use crate::lower::gpu::Gpu;
use crate::lower::{LowerError, Options, lower};
use crate::plan::Plan;

pub use kernels::KernelCheck;
pub use launching::Latency;
pub use memory::Bandwidth;
pub use network::NetworkCheck;
pub use times::{BatchTimes, LaunchTimes};

/// What is checked.
#[derive(Debug, Clone)]
pub struct CheckOptions {
    /// Height and width of the pictures.
    pub size: [usize; 2],
    /// Pictures in a run whose time is taken.
    pub batches: Vec<usize>,
    /// Where random operands start.
    pub seed: u64,
    /// Bytes that are copied in device memory, at most an eighth of it.
    pub copied_bytes: usize,
}

impl Default for CheckOptions {
    fn default() -> Self {
        Self {
            size: [640, 640],
            batches: vec![1, 8, 32],
            seed: 1,
            copied_bytes: 1 << 30,
        }
    }
}

/// Why a check did not come to its end. A kernel that computes nonsense is no error but a line of
/// the report.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The driver refused.
    #[error(transparent)]
    Cuda(#[from] CudaError),
    /// The network has no plan.
    #[error(transparent)]
    Lower(#[from] LowerError),
    /// The network does not fit the pictures that it is tried with.
    #[error(transparent)]
    Graph(#[from] GraphError),
}

/// What was found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct CheckReport {
    /// The GPU's name.
    pub device: String,
    /// The driver's version.
    pub driver: String,
    /// Each distinct kernel of the network, in both formats.
    pub kernels: Vec<KernelCheck>,
    /// The network as a whole, in both formats.
    pub networks: Vec<NetworkCheck>,
    /// What a launch costs, by mechanism.
    pub latencies: Vec<Latency>,
    /// Bytes per second.
    pub bandwidths: Vec<Bandwidth>,
    /// The network's times by batch.
    pub times: Vec<BatchTimes>,
}

impl CheckReport {
    /// Whether every kernel and the network did what they should.
    pub fn passed(&self) -> bool {
        self.kernels.iter().all(KernelCheck::passed)
            && self.networks.iter().all(NetworkCheck::passed)
    }
}

/// A GPU that is being checked.
pub struct Checker<'a> {
    context: &'a Arc<Context>,
    cache: Option<&'a CubinCache>,
    gpu: Gpu,
    options: CheckOptions,
}

impl<'a> Checker<'a> {
    /// A checker of an open GPU.
    ///
    /// # Errors
    /// No kernels are written for such a GPU.
    pub fn new(
        context: &'a Arc<Context>,
        cache: Option<&'a CubinCache>,
        options: CheckOptions,
    ) -> Result<Self, CheckError> {
        let device = context.device();
        let mut gpu = Gpu::typical(device.target()?);
        gpu.multiprocessors = device.multiprocessors;
        Ok(Self {
            context,
            cache,
            gpu,
            options,
        })
    }

    /// Everything, telling `progress` what is next.
    ///
    /// # Errors
    /// The driver refused, or the network has no plan.
    pub fn run(
        &self,
        graph: &Graph,
        head: Option<&DetectHead>,
        mut progress: impl FnMut(&str),
    ) -> Result<CheckReport, CheckError> {
        let mut report = CheckReport {
            device: self.context.device().to_string(),
            driver: self.context.driver().version().to_string(),
            ..CheckReport::default()
        };
        for element in [Element::F16, Element::F32] {
            let plan = self.plan(graph, head, 1, element)?;
            report.kernels.extend(self.kernels(&plan, &mut progress)?);
        }
        progress("the network against the reference");
        report.networks = self.networks(graph)?;
        progress("launch latency");
        report.latencies = self.latencies()?;
        progress("memory bandwidth");
        report.bandwidths = self.bandwidths()?;
        for &batch in &self.options.batches {
            progress(&format!("times at batch {batch}"));
            let plan = self.plan(graph, None, batch, Element::F16)?;
            report.times.push(self.times(&plan, batch)?);
        }
        Ok(report)
    }

    fn plan(
        &self,
        graph: &Graph,
        detect: Option<&DetectHead>,
        batch: usize,
        element: Element,
    ) -> Result<Plan, LowerError> {
        self.plan_for(graph, detect, batch, self.options.size, element)
    }

    fn plan_for(
        &self,
        graph: &Graph,
        detect: Option<&DetectHead>,
        batch: usize,
        [height, width]: [usize; 2],
        element: Element,
    ) -> Result<Plan, LowerError> {
        let options = Options {
            gpu: self.gpu,
            element,
            detect,
        };
        lower(graph, &[batch, 3, height, width].into(), &options)
    }
}

impl fmt::Display for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, driver {}\n", self.device, self.driver)?;
        writeln!(
            f,
            "kernels: off from f64, off from the interpreter, registers"
        )?;
        self.kernels
            .iter()
            .try_for_each(|line| writeln!(f, "{line}"))?;
        writeln!(f, "\nnetwork: off from the reference")?;
        self.networks
            .iter()
            .try_for_each(|line| writeln!(f, "{line}"))?;
        writeln!(f, "\na launch after another")?;
        self.latencies
            .iter()
            .try_for_each(|line| writeln!(f, "{line}"))?;
        writeln!(f, "\nmemory")?;
        self.bandwidths
            .iter()
            .try_for_each(|line| writeln!(f, "{line}"))?;
        writeln!(f, "\ntimes")?;
        self.times.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}
