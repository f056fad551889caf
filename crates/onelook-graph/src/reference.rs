//! Executes a graph plainly, node by node; the truth that engines are compared with.

use std::collections::HashMap;

use onelook_types::Tensor;

use crate::{Graph, GraphError, ValueId};

/// Runs an unoptimised or optimised graph. Views of [`pass::elide_views`](crate::pass) are not
/// understood here: run the graph as it was before that pass.
pub fn run(graph: &Graph, inputs: &[&Tensor]) -> Result<Vec<Tensor>, GraphError> {
    if inputs.len() != graph.inputs.len() {
        return Err(GraphError::Inputs {
            expected: graph.inputs.len(),
            actual: inputs.len(),
        });
    }
    let mut values: HashMap<ValueId, Tensor> = HashMap::new();
    for (value, &input) in graph.inputs.iter().zip(inputs) {
        values.insert(*value, input.clone());
    }
    let readers = graph.readers();
    for (index, node) in graph.nodes.iter().enumerate() {
        let read: Result<Vec<&Tensor>, GraphError> = node
            .inputs
            .iter()
            .map(|&input| find(graph, &values, &node.name, input))
            .collect();
        let written = node
            .op
            .as_operator()
            .execute(&read?)
            .map_err(|error| error.at(&node.name))?;
        values.extend(node.outputs.iter().copied().zip(written));
        let is_last_reader = |value: &ValueId| {
            readers[value.index()]
                .last()
                .is_some_and(|last| last.0 == index)
                && !graph.outputs.contains(value)
        };
        for value in node.inputs.iter().filter(|value| is_last_reader(value)) {
            values.remove(value);
        }
    }
    graph
        .outputs
        .iter()
        .map(|&output| find(graph, &values, "output", output).cloned())
        .collect()
}

fn find<'a>(
    graph: &Graph,
    values: &'a HashMap<ValueId, Tensor>,
    node: &str,
    value: ValueId,
) -> Result<&'a Tensor, GraphError> {
    values.get(&value).ok_or_else(|| GraphError::Order {
        node: node.to_owned(),
        value: graph.value(value).name.clone(),
    })
}
