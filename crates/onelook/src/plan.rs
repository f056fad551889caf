//! What a GPU would do with a model, on a machine that needs none: a model and a kind of GPU in,
//! launches with their predicted times out.
//!
//! Never opens a driver, and never runs anything.

use onelook_cuda::kernels::Element;
use onelook_cuda::lower::estimate::{LaunchTime, Prediction, predict};
use onelook_cuda::lower::gpu::Gpu;
use onelook_cuda::lower::{LowerError, Options, lower};
use onelook_cuda::plan::{Launch, Plan};
use onelook_graph::read::ModelFile;
use onelook_graph::{CompileError, pass};
use onelook_ptx::lang::{Kernel, live_registers};
use onelook_ptx::occupancy::blocks_per_multiprocessor;
use onelook_types::{HeadOutputs, Precision, Shape};

pub use onelook_ptx::lang::Target as GpuTarget;

use crate::Error;

/// Launches for inputs of one shape.
#[derive(Debug, Clone)]
pub struct GpuPlan {
    /// The device whose figures were used, such as `H100 SXM`.
    pub gpu: &'static str,
    /// Whether pictures go in and boxes come out; else planes go in and the graph's outputs come
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
    /// Microseconds that all launches take if they share the device without loss.
    pub busy_us: f64,
    /// By mechanism of launching, the fastest last.
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
    /// Microseconds below which it cannot end.
    pub floor_us: f64,
    /// Microseconds that it probably takes.
    pub predicted_us: f64,
}

/// A whole run under one mechanism of launching.
#[derive(Debug, Clone)]
pub struct PlannedRun {
    /// Such as `plain graph`.
    pub mechanism: &'static str,
    /// Launches on the chain that takes longest.
    pub chain: usize,
    /// Microseconds of that chain.
    pub chain_us: f64,
    /// Microseconds of the run.
    pub predicted_us: f64,
    /// The floor that was computed for the model before there was an engine, with an estimated cost
    /// of each dependent stage.
    pub design_floor: Option<DesignFloor>,
}

/// A floor from stages and traffic.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DesignFloor {
    /// Microseconds of a run.
    pub run_us: f64,
    /// Microseconds that were counted for each dependent stage.
    pub stage_us: f64,
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
        detect: (metadata.head.outputs == HeadOutputs::Maps).then_some(&metadata.head),
    };
    let plan =
        lower(&graph, input, &options).map_err(|error| refused(&metadata.architecture, error))?;
    let prediction = predict(&plan, &gpu, input[0] as u32);
    let floors = design_floors(&metadata.architecture, target, precision, input);
    Ok(described(
        &plan,
        &gpu,
        &prediction,
        options.detect.is_some(),
        floors,
    ))
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

/// Microseconds that were counted for a dependent stage: a plain graph, dependent launches, one
/// persistent kernel.
const STAGES_US: [f64; 3] = [3.0, 2.0, 1.2];

/// Microseconds of a run of one picture of 640x640 on an H100 in half precision under each.
const DESIGN_FLOORS_US: [(&str, [f64; 3]); 5] = [
    ("yolo11n", [249.0, 183.0, 130.0]),
    ("yolo11s", [293.0, 227.0, 174.0]),
    ("yolo11m", [481.0, 395.0, 326.0]),
    ("yolo11l", [733.0, 594.0, 483.0]),
    ("yolo11x", [1045.0, 906.0, 795.0]),
];

fn design_floors(
    architecture: &str,
    target: GpuTarget,
    precision: Precision,
    input: &Shape,
) -> Option<[f64; 3]> {
    let asked = (target, precision, input[..] == [1, 3, 640, 640]);
    if asked != (GpuTarget::Sm90a, Precision::F16, true) {
        return None;
    }
    let mut floors = DESIGN_FLOORS_US.into_iter();
    floors.find_map(|(name, floors)| (name == architecture).then_some(floors))
}

fn described(
    plan: &Plan,
    gpu: &Gpu,
    prediction: &Prediction,
    whole: bool,
    floors: Option<[f64; 3]>,
) -> GpuPlan {
    let launches = plan.launches.iter().zip(&prediction.launches);
    let totals = prediction
        .totals
        .iter()
        .enumerate()
        .map(|(index, total)| PlannedRun {
            mechanism: total.mechanism.name(),
            chain: total.chain.len(),
            chain_us: total.chain_us,
            predicted_us: total.predicted_us,
            design_floor: floors.map(|floors| DesignFloor {
                run_us: floors[index],
                stage_us: STAGES_US[index],
            }),
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
        busy_us: prediction.busy_us,
        totals: totals.collect(),
    }
}

fn planned(launch: &Launch, time: &LaunchTime) -> PlannedLaunch {
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
        predicted_us: time.predicted_us,
    }
}
