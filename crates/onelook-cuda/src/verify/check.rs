//! Checks a GPU: every kernel of a network against f64 and the interpreter, launch latencies,
//! memory bandwidth, and the network's times.
//!
//! Comes in: an open GPU and graphs. Goes out: a [`CheckReport`], filled by the [`Checker`]'s steps
//! one by one, so that earlier results survive a step that fails. Outputs are filled with NaN
//! beforehand, so that a value that was never written is noticed.

mod kernels;
mod launching;
mod memory;
mod network;
mod times;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use onelook_graph::{Graph, GraphError};
use onelook_types::DetectHead;
use serde::Serialize;

use crate::driver::{
    Constants, Context, CubinCache, CudaError, ExecutionContext, LoadedPlan, Modules,
};
use crate::kernels::Element;
use crate::lower::gpu::Gpu;
use crate::lower::{LowerError, Options, lower};
use crate::plan::Plan;

pub use kernels::KernelCheck;
pub use launching::Latency;
pub use memory::Bandwidth;
pub use network::NetworkCheck;
pub use times::{BatchTimes, GraphTimes, LaunchTimes};

/// What is checked.
#[derive(Debug, Clone)]
pub struct CheckOptions {
    /// Where random operands start.
    pub seed: u64,
    /// Bytes that are copied in device memory, at most an eighth of it.
    pub copied_bytes: usize,
    /// How long the times of which one median is made are taken for at least.
    pub span: Duration,
}

impl Default for CheckOptions {
    fn default() -> Self {
        Self {
            seed: 1,
            copied_bytes: 1 << 30,
            span: Duration::from_millis(500),
        }
    }
}

/// A network and what it is run on.
#[derive(Debug, Clone)]
pub struct Run<'a> {
    /// The network, optimised.
    pub graph: &'a Graph,
    /// With a head images go in and its boxes come out; without one planes go in and the graph's
    /// outputs come out.
    pub head: Option<&'a DetectHead>,
    /// Number of images.
    pub batch: usize,
    /// Height and width of the network's input.
    pub size: [usize; 2],
    /// The bytes of each input: of images [`pack`](crate::images::pack) makes them, of settings
    /// [`Settings::encode`](crate::settings::Settings::encode); planes are floats.
    pub inputs: Vec<Vec<u8>>,
}

impl Run<'_> {
    /// Runs it where nothing is left of earlier runs; the outputs.
    fn poisoned(&self, loaded: &mut ExecutionContext) -> Result<Vec<Vec<u8>>, CudaError> {
        let sizes = &loaded.plan().outputs;
        let mut outputs: Vec<Vec<u8>> = sizes.iter().map(|&bytes| vec![0; bytes]).collect();
        let inputs: Vec<&[u8]> = self.inputs.iter().map(Vec::as_slice).collect();
        loaded.poison()?;
        let mut slices: Vec<&mut [u8]> = outputs.iter_mut().map(Vec::as_mut_slice).collect();
        loaded.run(&inputs, &mut slices)?;
        Ok(outputs)
    }
}

/// Why a step did not come to its end. A kernel that computes nonsense is no error but a line of
/// the report.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The driver refused.
    #[error(transparent)]
    Cuda(#[from] CudaError),
    /// A kernel failed, after which the driver runs no other.
    #[error("'{kernel}' left the GPU unusable: {source}")]
    Kernel {
        /// Its name.
        kernel: String,
        /// What the driver said.
        source: CudaError,
    },
    /// The network has no plan.
    #[error(transparent)]
    Lower(#[from] LowerError),
    /// The network does not fit the images that it is tried with.
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
    /// Where random operands started.
    pub seed: u64,
    /// Each distinct kernel of the network, in both formats.
    pub kernels: Vec<KernelCheck>,
    /// The network from planes to maps, in both formats.
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
            && self.times.iter().all(BatchTimes::passed)
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

    /// A report that has only the names of GPU and driver, and the seed.
    pub fn report(&self) -> CheckReport {
        CheckReport {
            device: self.context.device().to_string(),
            driver: self.context.driver().version().to_string(),
            seed: self.options.seed,
            ..CheckReport::default()
        }
    }

    /// Refuses a network that the engine has no kernels for.
    ///
    /// # Errors
    /// There is no plan.
    pub fn examine(&self, run: &Run<'_>) -> Result<(), CheckError> {
        self.plan(run, Element::F16)?;
        Ok(())
    }

    /// Gives back memory that is no longer used.
    pub fn tidy_up(&self) {
        self.context.trim();
    }

    /// Runs a network once, in memory where nothing is left of earlier runs; the bytes of each
    /// output, all bits set where nothing was written.
    ///
    /// # Errors
    /// There is no plan, or the driver refused.
    pub fn outputs(&self, run: &Run<'_>, element: Element) -> Result<Vec<Vec<u8>>, CheckError> {
        let plan = self.plan(run, element)?;
        Ok(run.poisoned(&mut self.loaded(&plan)?)?)
    }

    fn loaded(&self, plan: &Plan) -> Result<ExecutionContext, CudaError> {
        let constants = Constants::upload(self.context, &plan.constants)?;
        let mut modules = Modules::default();
        let loaded = LoadedPlan::new(self.context, plan, constants, &mut modules, self.cache)?;
        ExecutionContext::new(&loaded)
    }

    fn plan(&self, run: &Run<'_>, element: Element) -> Result<Plan, LowerError> {
        let options = Options {
            gpu: self.gpu,
            element,
            detect: run.head,
        };
        let [height, width] = run.size;
        lower(run.graph, &[run.batch, 3, height, width].into(), &options)
    }
}

impl fmt::Display for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}, driver {}, seed {}",
            self.device, self.driver, self.seed
        )?;
        section(
            f,
            "kernels: off from f64, off from the interpreter, registers",
            &self.kernels,
        )?;
        section(
            f,
            "network, planes to maps: off from the reference",
            &self.networks,
        )?;
        section(f, "a launch after another", &self.latencies)?;
        section(f, "memory", &self.bandwidths)?;
        section(f, "times", &self.times)
    }
}

/// A title and a line each, unless there are none.
fn section<T: fmt::Display>(f: &mut fmt::Formatter<'_>, title: &str, lines: &[T]) -> fmt::Result {
    if lines.is_empty() {
        return Ok(());
    }
    writeln!(f, "\n{title}")?;
    lines.iter().try_for_each(|line| writeln!(f, "{line}"))
}
