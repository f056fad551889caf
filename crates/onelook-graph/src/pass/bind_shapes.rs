//! Settles what only waited for shapes: for an engine that plans for one shape of its input.

use std::sync::Arc;

use onelook_types::Shape;

use crate::op::program::{Data, Reads};
use crate::op::{Constant, Op};
use crate::{Graph, GraphError};

/// Replaces programs that read shapes by their results and reshapes to computed extents by plain
/// ones, given the shape of every value. The values whose shapes were read are no inputs any more.
pub fn bind_shapes(graph: &mut Graph, shapes: &[Shape]) -> Result<(), GraphError> {
    for node in &mut graph.nodes {
        let read: Vec<&Shape> = node.inputs.iter().map(|id| &shapes[id.index()]).collect();
        node.op = match &node.op {
            Op::Program(program) if program.reads == Reads::Shapes => {
                let bound = program.bind(&read).map_err(|error| error.at(&node.name))?;
                let Data::Floats(tensor) = bound else {
                    let reason = "its result is no tensor of floats";
                    return Err(GraphError::inconsistent(&node.name, reason));
                };
                node.inputs.clear();
                let tensor = Arc::clone(&tensor);
                Constant { tensor }.into()
            }
            Op::ReshapeTo(reshape) => {
                let bound = reshape.bind(&read).map_err(|error| error.at(&node.name))?;
                node.inputs.truncate(1);
                bound.into()
            }
            _ => continue,
        };
    }
    Ok(())
}
