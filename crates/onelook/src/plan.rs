//! What a GPU would run for a model, worked out on any machine: a model and a kind of GPU in,
//! launches with their estimated times out.
//!
//! Never opens a driver, and never runs anything.

use onelook_cuda::driver::module_count;
use onelook_cuda::kernels::Element;
use onelook_cuda::lower::estimate::{Estimate, LaunchEstimate, estimate};
use onelook_cuda::lower::gpu::Gpu;
use onelook_cuda::lower::{LowerError, Options, lower, plan_batch};
use onelook_cuda::plan::{Launch, Plan};
use onelook_graph::read::ModelFile;
use onelook_graph::{CompileError, pass};
use onelook_ptx::lang::{Kernel, live_registers};
use onelook_ptx::occupancy::blocks_per_multiprocessor;
use onelook_types::{Precision, Shape};

pub use onelook_ptx::lang::Target as GpuTarget;

use crate::Error;
use crate::packed::image_plan_head;

/// Launches for inputs of one shape.
#[derive(Debug, Clone)]
pub struct GpuPlan {
    /// The device whose figures were used, such as `H100 SXM`.
    pub gpu: &'static str,
    /// Whether images go in and boxes come out; else tensors go in and the graph's outputs come
    /// out.
    pub whole: bool,
    /// In order.
    pub launches: Vec<PlannedLaunch>,
    /// Bytes of values between launches.
    pub arena_bytes: usize,
    /// Bytes of values if no two shared memory.
    pub unshared_bytes: usize,
    /// Bytes of packed weights and tables.
    pub constant_bytes: usize,
    /// Kernels that the driver loads, equal ones once.
    pub modules: usize,
    /// Estimated microseconds that all launches take if they share the device without loss.
    pub busy_us: f64,
    /// Estimates of a whole run, one per launch mechanism.
    pub totals: Vec<PlannedRun>,
}

/// One launch.
#[derive(Debug, Clone)]
pub struct PlannedLaunch {
    /// The layers that it computes.
    pub layers: String,
    /// The kernel's name.
    pub kernel: String,
    /// Blocks along x, y and z.
    pub grid: [u32; 3],
    /// Threads of a block.
    pub threads: u32,
    /// The tiles in words.
    pub choice: String,
    /// Registers of a thread, estimated.
    pub registers: u32,
    /// Shared memory of a block.
    pub shared_bytes: u32,
    /// Blocks that a multiprocessor holds at a time.
    pub blocks_per_multiprocessor: u32,
    /// Multiplications and additions.
    pub flops: u64,
    /// Bytes that must be read and written.
    pub bytes: u64,
    /// The earlier launches that it must wait for.
    pub after: Vec<usize>,
    /// A lower bound in microseconds.
    pub floor_us: f64,
    /// Estimated microseconds.
    pub estimated_us: f64,
}

/// The estimate of a whole run under one launch mechanism.
#[derive(Debug, Clone)]
pub struct PlannedRun {
    /// Such as `plain graph`.
    pub mechanism: &'static str,
    /// Launches on the longest chain of launches that depend on each other.
    pub chain: usize,
    /// Estimated microseconds of that chain.
    pub chain_us: f64,
    /// Estimated microseconds of the run.
    pub estimated_us: f64,
}

/// Plans the launches of a model for an input of `[batch, 3, height, width]`.
///
/// # Errors
/// The format is not one of f32 and f16, the input does not fit, or kernels are lacking.
pub fn plan_for_gpu(
    model: ModelFile,
    target: GpuTarget,
    precision: Precision,
    input: &Shape,
) -> Result<GpuPlan, Error> {
    let ModelFile {
        mut graph,
        metadata,
    } = model;
    check(input, metadata.stride)?;
    pass::optimise(&mut graph);
    let gpu = Gpu::typical(target);
    let options = Options {
        gpu,
        element: element(precision)?,
        detect: image_plan_head(&metadata.head),
    };
    // What runs is a plan for so many images or somewhat more.
    let batch = plan_batch(input[0]);
    let input = [batch, input[1], input[2], input[3]].into();
    let plan =
        lower(&graph, &input, &options).map_err(|error| refused(&metadata.architecture, error))?;
    let estimate = estimate(&plan, &gpu, batch as u32);
    let modules = module_count(&plan).map_err(|error| Error::Setting {
        name: "input",
        reason: error.to_string(),
    })?;
    let whole = options.detect.is_some();
    Ok(described(&plan, &gpu, &estimate, whole, modules))
}

fn check(input: &Shape, stride: usize) -> Result<(), Error> {
    match input.nchw() {
        Some([batch, 3, height, width])
            if ![batch, height, width].contains(&0)
                && height % stride == 0
                && width % stride == 0 =>
        {
            Ok(())
        }
        _ => Err(Error::Setting {
            name: "input",
            reason: format!("{input} does not fit: height and width must be multiples of {stride}"),
        }),
    }
}

fn element(precision: Precision) -> Result<Element, Error> {
    match precision {
        Precision::F16 => Ok(Element::F16),
        Precision::F32 => Ok(Element::F32),
        Precision::Int8 => Err(Error::Setting {
            name: "precision",
            reason: "int8 is not available on GPUs yet; use 16 or 32".to_owned(),
        }),
    }
}

fn refused(name: &str, error: LowerError) -> Error {
    match error {
        LowerError::Graph(error) => Error::Graph(error),
        LowerError::Unsupported(nodes) => Error::Compile {
            name: name.to_owned(),
            source: CompileError::Unsupported {
                device: "the CUDA engine".to_owned(),
                operators: nodes,
            },
        },
        error => Error::Setting {
            name: "input",
            reason: error.to_string(),
        },
    }
}

fn described(plan: &Plan, gpu: &Gpu, estimate: &Estimate, whole: bool, modules: usize) -> GpuPlan {
    let launches = plan.launches.iter().zip(&estimate.launches);
    let totals = estimate.totals.iter().map(|total| PlannedRun {
        mechanism: total.mechanism.name(),
        chain: total.chain.len(),
        chain_us: total.chain_us,
        estimated_us: total.estimated_us,
    });
    GpuPlan {
        gpu: gpu.name,
        whole,
        launches: launches
            .map(|(launch, time)| planned(launch, time))
            .collect(),
        arena_bytes: plan.arena_bytes,
        unshared_bytes: plan.unshared_bytes,
        constant_bytes: plan.constants.len(),
        modules,
        busy_us: estimate.busy_us,
        totals: totals.collect(),
    }
}

fn planned(launch: &Launch, time: &LaunchEstimate) -> PlannedLaunch {
    let Kernel {
        name,
        target,
        threads,
        shared_bytes,
        ..
    } = &*launch.kernel;
    let registers = live_registers(&launch.kernel);
    PlannedLaunch {
        layers: launch.name.clone(),
        kernel: name.clone(),
        grid: launch.grid,
        threads: *threads,
        choice: launch.choice.clone(),
        registers,
        shared_bytes: *shared_bytes,
        blocks_per_multiprocessor: blocks_per_multiprocessor(
            *target,
            *threads,
            registers,
            *shared_bytes,
        ),
        flops: launch.flops,
        bytes: launch.bytes,
        after: launch.after.clone(),
        floor_us: time.floor_us,
        estimated_us: time.estimated_us,
    }
}
