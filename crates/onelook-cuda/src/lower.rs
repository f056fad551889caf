//! Lowering: from a graph and the shape of its input to a plan. Nodes are fused, values get
//! buffers, products get tiles, launches get their order.
//!
//! Never runs a kernel or knows a driver: the plan is the same on any machine.

mod buffers;
mod constants;
pub mod estimate;
mod fusion;
pub mod gpu;
mod launches;
mod order;
pub mod tiling;

use onelook_graph::{Graph, GraphError, infer_shapes};
use onelook_types::{DetectHead, Shape};

use crate::kernels::Element;
use crate::plan::Plan;
use gpu::Gpu;

/// How a network is to be run.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// The device that tiles are chosen for.
    pub gpu: Gpu,
    /// Format of maps and weights.
    pub element: Element,
    /// From images to boxes with this head; from planes to the graph's outputs without.
    pub detect: Option<&'a DetectHead>,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LowerError {
    /// The graph does not fit the input.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// Nodes that no kernel computes, all of them.
    #[error("the CUDA engine has no kernel for: {}", .0.join("; "))]
    Unsupported(Vec<String>),
    /// A map whose bytes do not fit 32 bits.
    #[error("an input of {0} is too large for the CUDA engine: use a smaller image size or batch")]
    TooLarge(Shape),
}

/// The nodes that no kernel computes, in words, whatever the input's shape.
pub fn unsupported(graph: &Graph, options: &Options<'_>) -> Vec<String> {
    launches::all_steps(graph, options)
        .err()
        .unwrap_or_default()
}

/// Whether there are plans from images to boxes: every reader of the input is a convolution that
/// takes images, and the outputs are what this head says.
pub fn reads_boxes(graph: &Graph, head: &DetectHead, options: &Options<'_>) -> bool {
    let options = Options {
        detect: Some(head),
        ..*options
    };
    launches::all_steps(graph, &options)
        .is_ok_and(|stages| launches::are_images_to_boxes(graph, &stages, head))
}

/// Images that a plan has for a run of so many, so that runs of all sizes need few plans: what is
/// missing produces nothing, and results do not depend on it.
pub fn plan_batch(images: usize) -> usize {
    match images {
        0..=8 => images.next_power_of_two(),
        more => more.checked_next_multiple_of(8).unwrap_or(more),
    }
}

/// The plan for an input of `[batch, 3, height, width]`.
pub fn lower(graph: &Graph, input: &Shape, options: &Options<'_>) -> Result<Plan, LowerError> {
    let shapes = infer_shapes(graph, std::slice::from_ref(input))?;
    let bytes = options.element.bytes() as usize;
    let too_large = |shape: &Shape| {
        let values = shape.checked_elements();
        values.is_none_or(|values| values.saturating_mul(bytes) > 1 << 31)
    };
    if shapes.iter().any(too_large) {
        return Err(LowerError::TooLarge(input.clone()));
    }
    let steps = launches::all_steps(graph, options).map_err(LowerError::Unsupported)?;
    launches::launches(graph, &shapes, &steps, options)
}
