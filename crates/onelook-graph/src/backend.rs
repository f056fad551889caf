//! The door to the engines: a graph goes in, something that runs comes out.

use std::time::Duration;

use onelook_types::{
    AxisTap, DetectHead, Detections, LetterboxPlacement, Precision, Shape, Tensor, Thresholds,
};

use crate::{Graph, GraphError};

/// An engine for one kind of device.
pub trait Backend: Send + Sync {
    /// The device in words, such as `cpu, 8 threads, avx512`.
    fn describe(&self) -> String;

    /// Makes an optimised graph ready to run. What depends on the input's shape is prepared at the
    /// first run with that shape and kept.
    fn compile(&self, graph: &Graph) -> Result<Box<dyn Executable>, CompileError>;

    /// As [`compile`](Self::compile), for a network whose outputs are those of this head: what runs
    /// may then [detect](Executable::detect), where the engine has kernels for that.
    fn compile_detector(
        &self,
        graph: &Graph,
        head: &DetectHead,
    ) -> Result<Box<dyn Executable>, CompileError> {
        let _ = head;
        self.compile(graph)
    }
}

/// A picture as it came, and how it is fitted into the network's input.
#[derive(Debug, Clone, Copy)]
pub struct PlacedPicture<'a> {
    /// Rows of pixels of 3 bytes; the placement has the picture's size.
    pub pixels: &'a [u8],
    /// Whether the bytes of a pixel are blue, green, red.
    pub bgr: bool,
    /// Where it lands, and its size.
    pub placement: LetterboxPlacement,
    /// Grey of the padding.
    pub padding: u8,
    /// One per column of the scaled picture.
    pub columns: &'a [AxisTap],
    /// One per row of the scaled picture.
    pub rows: &'a [AxisTap],
}

/// A network that is ready to run, from any number of threads at once.
pub trait Executable: Send + Sync {
    /// Runs the network. Inputs and outputs are dense, in the order of [`Graph::inputs`] and
    /// [`Graph::outputs`]; `outputs` is resized and its memory reused. Results for one picture do
    /// not depend on the number of threads; on the batch it is in they depend by rounding at most, for
    /// a GPU adds up large and small batches in another order, and on the CPU not at all.
    fn run_into(&self, inputs: &[&Tensor], outputs: &mut Vec<Tensor>) -> Result<(), RunError>;

    /// Like [`run_into`](Self::run_into) with fresh outputs.
    fn run(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, RunError> {
        let mut outputs = Vec::new();
        self.run_into(inputs, &mut outputs)?;
        Ok(outputs)
    }

    /// Whether [`detect`](Self::detect) is worth a try.
    fn detects(&self) -> bool {
        false
    }

    /// From pictures that share the size of their input to the detections on each, in one go, as
    /// fitting, [`run_into`](Self::run_into) and reading the boxes off would give them but for
    /// rounding. Nothing where the engine has no kernels for it, for this network or for what is
    /// asked: then the caller goes step by step.
    fn detect(
        &self,
        pictures: &[PlacedPicture<'_>],
        thresholds: &Thresholds,
    ) -> Result<Option<Vec<Detections>>, RunError> {
        let _ = (pictures, thresholds);
        Ok(None)
    }

    /// Pictures in one run from which the engine gains; 1 where it runs them one after the other.
    fn preferred_batch(&self) -> usize {
        1
    }

    /// What would be executed for inputs of these shapes, and why.
    fn explain(&self, inputs: &[Shape]) -> Result<Explanation, RunError>;

    /// Runs once and tells the time of each node, in the order of [`Explanation::nodes`].
    fn profile(&self, inputs: &[&Tensor]) -> Result<Vec<Duration>, RunError>;
}

/// What an engine made of a graph.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// The device in words.
    pub device: String,
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
}

/// Why a run failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// The inputs do not fit the graph.
    #[error(transparent)]
    Graph(#[from] GraphError),
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
    /// The device failed, or has no memory left for this.
    #[error("{0}")]
    Device(String),
    /// A worker thread panicked; the result is lost, the engine is not.
    #[error("a worker thread failed: this is a bug in onelook, please report it")]
    Worker,
}
