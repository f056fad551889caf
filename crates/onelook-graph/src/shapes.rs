//! Shape inference: from the input's shape to that of every value.

use onelook_types::Shape;

use crate::{Graph, GraphError};

/// The shape of every value, by value index, given those of the graph's inputs. A value that no
/// node writes and that is no input stays a scalar's shape.
pub fn infer_shapes(graph: &Graph, inputs: &[Shape]) -> Result<Vec<Shape>, GraphError> {
    if inputs.len() != graph.inputs.len() {
        return Err(GraphError::Inputs {
            expected: graph.inputs.len(),
            actual: inputs.len(),
        });
    }
    let mut shapes: Vec<Option<Shape>> = vec![None; graph.values.len()];
    for (value, shape) in graph.inputs.iter().zip(inputs) {
        shapes[value.index()] = Some(shape.clone());
    }
    for node in &graph.nodes {
        let mut read = Vec::with_capacity(node.inputs.len());
        for input in &node.inputs {
            read.push(
                shapes[input.index()]
                    .as_ref()
                    .ok_or_else(|| GraphError::Order {
                        node: node.name.clone(),
                        value: graph.value(*input).name.clone(),
                    })?,
            );
        }
        let written = node
            .op
            .as_operator()
            .infer(&read)
            .map_err(|error| error.at(&node.name))?;
        if written.len() != node.outputs.len() {
            let reason = format!(
                "it has {} outputs, not {}",
                written.len(),
                node.outputs.len()
            );
            return Err(GraphError::shape(node.op.name(), &read, reason).at(&node.name));
        }
        if written
            .iter()
            .any(|shape| shape.checked_elements().is_none())
        {
            let reason = "its result does not fit any memory";
            return Err(GraphError::shape(node.op.name(), &read, reason).at(&node.name));
        }
        for (output, shape) in node.outputs.iter().zip(written) {
            shapes[output.index()] = Some(shape);
        }
    }
    Ok(shapes.into_iter().map(Option::unwrap_or_default).collect())
}
