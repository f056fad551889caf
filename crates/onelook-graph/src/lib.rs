//! Model files become a [`Graph`], passes optimise it, [`MemoryPlan`] lays its values out in memory.
//!
//! Bytes come in, an optimised graph goes to a [`Backend`], which makes an [`Executable`] of it.
//! [`mod@reference`] executes any graph slowly and plainly: what backends are tested against. This
//! crate never knows a device, a thread or a path.

mod backend;
mod error;
pub mod family;
mod graph;
pub mod op;
pub mod pass;
mod plan;
pub mod read;
pub mod reference;
mod shapes;
mod text;
mod validate;

pub use backend::{
    Backend, Ceiling, CompileError, CompileOptions, Executable, ExplainedNode, Explanation,
    PlacedImage, PlacedLimits, PlanKind, Prepared, RunError, RunLimits, RunOutput, tensor_items,
};
pub use error::GraphError;
pub use graph::{Graph, Node, NodeId, Value, ValueId, View};
pub use op::Op;
pub use plan::{MemoryPlan, Region, place_regions};
pub use shapes::infer_shapes;
