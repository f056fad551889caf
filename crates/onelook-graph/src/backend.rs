//! What all engines have in common: a graph is compiled, what comes out runs.
//!
//! There is one way in: prepared images, as tensors or, where the engine fits images into its input
//! itself, as pixels. There is one way out: the graph's raw outputs or, where the engine decodes
//! them itself, predictions. Which of them an engine can do is settled when a graph is compiled.

use std::time::Duration;

use onelook_types::{
    AxisTap, FrameView, Head, LetterboxPlacement, Precision, Prediction, Shape, Tensor, Thresholds,
};

use crate::{Graph, GraphError};

/// An engine for one kind of device.
pub trait Backend: Send + Sync {
    /// The device in words, such as `cpu, 8 threads, avx512`.
    fn describe(&self) -> String;

    /// Makes an optimised graph ready to run. What depends on the input's shape is prepared at the
    /// first run with that shape and kept.
    ///
    /// # Errors
    /// The graph has operators that the engine lacks, or the engine cannot do what the options ask.
    fn compile(
        &self,
        graph: &Graph,
        options: &CompileOptions,
    ) -> Result<Box<dyn Executable>, CompileError>;
}

/// How a graph is to be compiled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CompileOptions {
    /// What the graph's outputs are. With it an engine may decode them itself.
    pub head: Option<Head>,
    /// The number format of weights and activations.
    pub precision: Precision,
    /// What runs may take.
    pub limits: RunLimits,
}

/// What the runs of one executable may take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RunLimits {
    /// Bytes of all values, weights not counted; the engine's own limit when absent.
    pub memory_bytes: Option<usize>,
}

/// How images go into a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PlanKind {
    /// As tensors; raw outputs come out.
    Tensor,
    /// As pixels, with what is to be reported; predictions come out.
    Image,
}

impl PlanKind {
    /// For engines that take only tensors.
    ///
    /// # Errors
    /// It is [`Image`](Self::Image).
    pub fn expect_tensor(self) -> Result<(), RunError> {
        match self {
            Self::Tensor => Ok(()),
            Self::Image => Err(RunError::Input(
                "this engine takes tensors, not images".to_owned(),
            )),
        }
    }
}

/// One item of a batch, in the form that the engine takes.
#[derive(Debug, Clone, Copy)]
pub enum Prepared<'a> {
    /// One tensor per input of the graph, in its order. They share their first extent, the number of
    /// images, which may be more than one.
    Tensors(&'a [Tensor]),
    /// One image as it came, for engines with [`Executable::placed_limits`].
    Placed(PlacedImage<'a>),
}

/// An image as it came, how it is fitted into the network's input, and what is to be reported.
#[derive(Debug, Clone, Copy)]
pub struct PlacedImage<'a> {
    /// The pixels; the placement has their size.
    pub frame: FrameView<'a>,
    /// Where the image lands.
    pub placement: LetterboxPlacement,
    /// Grey value of the padding.
    pub padding: u8,
    /// One per column of the scaled image.
    pub columns: &'a [AxisTap],
    /// One per row of the scaled image.
    pub rows: &'a [AxisTap],
    /// What is reported; each image of a batch has its own.
    pub thresholds: &'a Thresholds,
}

/// Which images an executable takes as [`Prepared::Placed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlacedLimits {
    /// Bytes of one image at most, as red, green, blue.
    pub image_bytes: usize,
    /// Objects per image at most.
    pub max_detections: usize,
}

impl PlacedLimits {
    /// Whether the executable takes an image of this size with these thresholds.
    pub fn admit(&self, frame: &FrameView<'_>, thresholds: &Thresholds) -> bool {
        let bytes = frame.width().saturating_mul(frame.height());
        bytes.saturating_mul(3) <= self.image_bytes
            && thresholds.max_detections <= self.max_detections
    }
}

/// What a run gives, for the images of all items in their order.
#[derive(Debug, Clone, PartialEq)]
pub enum RunOutput {
    /// The graph's outputs in its order, those of [`Head::outputs`], all images stacked along the
    /// first axis.
    Raw(Vec<Tensor>),
    /// A prediction per image, in pixels of the original images.
    Predictions(Vec<Prediction>),
}

impl RunOutput {
    /// The raw outputs.
    ///
    /// # Errors
    /// The engine decoded them itself.
    pub fn into_raw(self) -> Result<Vec<Tensor>, RunError> {
        match self {
            Self::Raw(outputs) => Ok(outputs),
            Self::Predictions(_) => Err(RunError::Input(
                "images were given where raw outputs are wanted: give tensors".to_owned(),
            )),
        }
    }
}

/// A network that is ready to run, from any number of threads at once.
pub trait Executable: Send + Sync {
    /// Runs a batch: all items as [`Prepared::Tensors`] with equal shapes but for the number of
    /// images, or all as [`Prepared::Placed`] with inputs of one size. The former give raw outputs,
    /// the latter predictions.
    ///
    /// Results for one image do not depend on the number of threads. On the batch that it is in they
    /// depend by rounding at most, because a GPU adds up large and small batches in another order,
    /// and on the CPU not at all.
    ///
    /// # Errors
    /// The items do not fit the graph or each other, or the device fails.
    fn run(&self, batch: &[Prepared<'_>]) -> Result<RunOutput, RunError>;

    /// Which images may be given as [`Prepared::Placed`], settled when the graph was compiled; `None`
    /// where the engine takes only tensors.
    fn placed_limits(&self) -> Option<PlacedLimits> {
        None
    }

    /// Images in one run from which the engine gains; 1 where it runs them one after the other.
    fn preferred_batch(&self) -> usize {
        1
    }

    /// Runs from which the engine gains when they are under way at the same time, each in a thread of
    /// its own: it copies one batch while it computes another. 1 where they would take turns.
    fn batches_in_flight(&self) -> usize {
        1
    }

    /// What would be executed for inputs of these shapes given in this way, and why.
    ///
    /// # Errors
    /// The shapes do not fit the graph, or the engine does not take images.
    fn explain(&self, kind: PlanKind, inputs: &[Shape]) -> Result<Explanation, RunError>;

    /// Runs the batch once and tells the time of each node, in the order of [`Explanation::nodes`].
    ///
    /// # Errors
    /// As [`run`](Self::run).
    fn profile(&self, batch: &[Prepared<'_>]) -> Result<Vec<Duration>, RunError>;

    /// What the instruction of the convolutions can do at most on the device in use, measured now; `None`
    /// where the engine does not measure it. It loads the device for a moment.
    fn ceiling(&self) -> Option<Ceiling> {
        None
    }
}

/// The most that the convolutions of an executable could reach.
#[derive(Debug, Clone, PartialEq)]
pub struct Ceiling {
    /// Instructions and number format of the convolutions, such as `avx512 f32`.
    pub path: String,
    /// 10⁹ multiplications and additions a second, on the threads in use, from registers to registers.
    pub gflops: f64,
}

/// What an engine made of a graph.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// The device in words.
    pub device: String,
    /// How images go in.
    pub kind: PlanKind,
    /// The number format of the arithmetic.
    pub precision: Precision,
    /// What is executed, in order.
    pub nodes: Vec<ExplainedNode>,
    /// Bytes of all values at the moment when most are alive; the size of the arena.
    pub arena_bytes: usize,
    /// Bytes of all values if none shared memory.
    pub unshared_bytes: usize,
    /// Bytes of the weights as the engine holds them.
    pub weight_bytes: usize,
    /// Kernels that the device's driver loads for it, equal ones once; `None` where an engine loads
    /// none.
    pub modules: Option<usize>,
}

/// One step of an [`Explanation`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExplainedNode {
    /// The node's name in the graph.
    pub name: String,
    /// Operator and attributes.
    pub op: String,
    /// The kernel chosen.
    pub kernel: String,
    /// How the kernel goes about it: tiles, partition.
    pub choice: String,
    /// Shape of the (first) output.
    pub output: Shape,
    /// Multiplications and additions.
    pub flops: u64,
    /// Bytes read and written, weights included, each once.
    pub bytes: u64,
}

/// Why an engine cannot take a graph.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// The graph itself is wrong.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// Operators that the engine has no kernel for, all of them.
    #[error("{device} has no kernel for: {}", operators.join("; "))]
    Unsupported {
        /// The device in words.
        device: String,
        /// Operator with attributes and node name, each.
        operators: Vec<String>,
    },
    /// A number format that the engine does not compute in.
    #[error("{device} does not compute in {precision}; use {}", available.join(" or "))]
    Precision {
        /// The device in words.
        device: String,
        /// What was asked for.
        precision: Precision,
        /// What there is.
        available: Vec<&'static str>,
    },
}

impl CompileError {
    /// Refuses a precision that is not among those that an engine has.
    ///
    /// # Errors
    /// It is not.
    pub fn check_precision(
        device: &str,
        precision: Precision,
        available: &[Precision],
    ) -> Result<(), Self> {
        match available.contains(&precision) {
            true => Ok(()),
            false => Err(Self::Precision {
                device: device.to_owned(),
                precision,
                available: available.iter().map(|available| available.name()).collect(),
            }),
        }
    }
}

/// Why a run failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// The inputs do not fit the graph.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// The items of a batch do not fit each other or the engine.
    #[error("{0}")]
    Input(String),
    /// The values would need more memory than allowed.
    #[error(
        "an input of {shape} needs {needed} bytes of memory, more than the {limit} allowed: use a smaller image size or batch"
    )]
    Memory {
        /// The input's shape.
        shape: Shape,
        /// Bytes needed.
        needed: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// More candidates for objects than the engine's buffers hold: which of them would be lost is
    /// left to chance, so there is no result. Given as tensors, the same images can be run.
    #[error("an image has {found} candidates for objects, more than the {capacity} that fit")]
    TooManyCandidates {
        /// How many there are.
        found: usize,
        /// How many fit.
        capacity: usize,
    },
    /// The device failed, or has no memory left for this.
    #[error("{0}")]
    Device(String),
    /// A worker thread panicked; the result is lost, the engine is not.
    #[error("a worker thread failed: this is a bug in onelook, please report it")]
    Worker,
}

/// The tensors of a batch of [`Prepared::Tensors`], item by item.
///
/// # Errors
/// The batch is empty, has images in it, or items whose tensors differ in number or, but for the
/// number of images, in shape.
pub fn tensor_items<'a>(
    batch: &[Prepared<'a>],
    inputs: usize,
) -> Result<Vec<&'a [Tensor]>, RunError> {
    let tensors = |item: &Prepared<'a>| match *item {
        Prepared::Tensors(tensors) if tensors.len() == inputs => Ok(tensors),
        Prepared::Tensors(tensors) => Err(RunError::Graph(GraphError::Inputs {
            expected: inputs,
            actual: tensors.len(),
        })),
        Prepared::Placed(_) => Err(RunError::Input(
            "this engine takes tensors, not images, or a batch mixes both".to_owned(),
        )),
    };
    let items = batch.iter().map(tensors).collect::<Result<Vec<_>, _>>()?;
    let Some(first) = items.first() else {
        return Err(RunError::Input("the batch is empty".to_owned()));
    };
    for item in &items {
        let images = item.first().and_then(|tensor| tensor.shape().first());
        for (tensor, of_first) in item.iter().zip(*first) {
            let (shape, other) = (tensor.shape(), of_first.shape());
            let is_batched = images.is_some() && shape.first() == images && !shape.contains(&0);
            if !is_batched || shape[1..] != other[1..] {
                let reason = "the inputs of a batch must have the same number of images each, \
                              equal shapes otherwise, and no empty axis";
                return Err(GraphError::shape("input", &[shape, other], reason).into());
            }
        }
    }
    Ok(items)
}
