//! Whether a graph is well formed: ids in range, values written once and before they are read,
//! operators with as many operands as they take, weights that fit each other.

use crate::{Graph, GraphError, Node, ValueId};

impl Graph {
    /// Checks what does not depend on the input's shape; [`infer_shapes`](crate::infer_shapes)
    /// checks the rest. Every reader calls it on graphs that come from a file as they are.
    pub fn validate(&self) -> Result<(), GraphError> {
        let mut written = vec![false; self.values.len()];
        for &input in &self.inputs {
            self.write(&mut written, input, "input")?;
        }
        for node in &self.nodes {
            self.validate_node(node)?;
            for &input in &node.inputs {
                self.read(&written, input, &node.name)?;
            }
            for &output in &node.outputs {
                self.write(&mut written, output, &node.name)?;
            }
        }
        self.outputs
            .iter()
            .try_for_each(|&output| self.read(&written, output, "output"))?;
        self.validate_views()
    }

    fn validate_node(&self, node: &Node) -> Result<(), GraphError> {
        let refuse = |reason: String| GraphError::inconsistent(&node.name, reason);
        let (inputs, outputs) = node.op.as_operator().operands();
        let name = node.op.name();
        if inputs.is_some_and(|count| count != node.inputs.len()) || node.inputs.len() > 1 << 16 {
            return Err(refuse(format!(
                "{name} cannot have {} inputs",
                node.inputs.len()
            )));
        }
        if inputs.is_none() && node.inputs.is_empty() {
            return Err(refuse(format!("{name} needs an input")));
        }
        if outputs != node.outputs.len() {
            return Err(refuse(format!(
                "{name} cannot have {} outputs",
                node.outputs.len()
            )));
        }
        node.op.as_operator().check().map_err(refuse)
    }

    fn read(&self, written: &[bool], value: ValueId, node: &str) -> Result<(), GraphError> {
        match written.get(value.index()) {
            Some(true) => Ok(()),
            Some(false) => Err(GraphError::Order {
                node: node.to_owned(),
                value: self.value(value).name.clone(),
            }),
            None => Err(out_of_range(node, value)),
        }
    }

    fn write(&self, written: &mut [bool], value: ValueId, node: &str) -> Result<(), GraphError> {
        match written.get_mut(value.index()) {
            Some(place) if *place => Err(GraphError::inconsistent(
                node,
                format!("value '{}' is written twice", self.value(value).name),
            )),
            Some(place) => {
                *place = true;
                Ok(())
            }
            None => Err(out_of_range(node, value)),
        }
    }

    /// Chains of views must end.
    fn validate_views(&self) -> Result<(), GraphError> {
        for value in &self.values {
            let mut view = value.view;
            let mut steps = 0;
            while let Some(outer) = view {
                steps += 1;
                let root = self.values.get(outer.of.index());
                let root = root.ok_or_else(|| out_of_range(&value.name, outer.of))?;
                if steps > self.values.len() {
                    return Err(GraphError::inconsistent(
                        &value.name,
                        "it is a view of itself",
                    ));
                }
                view = root.view;
            }
        }
        Ok(())
    }
}

fn out_of_range(node: &str, value: ValueId) -> GraphError {
    GraphError::inconsistent(node, format!("there is no value {}", value.index()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use onelook_types::Tensor;

    use super::*;
    use crate::View;
    use crate::op::{Activation, Conv, Split};

    fn chain() -> Graph {
        let mut graph = Graph::new();
        let input = graph.add_input("in");
        let middle = graph.add("middle", Activation::Relu, &[input]);
        let end = graph.add("end", Activation::Relu, &[middle]);
        graph.outputs.push(end);
        graph
    }

    fn refusal(mend: impl FnOnce(&mut Graph)) -> String {
        let mut graph = chain();
        mend(&mut graph);
        graph.validate().unwrap_err().to_string()
    }

    #[test]
    fn a_chain_is_well_formed() {
        chain().validate().unwrap();
    }

    #[test]
    fn every_way_to_be_inconsistent_is_named() {
        let texts = [
            refusal(|graph| graph.nodes[1].inputs[0] = ValueId(9)),
            refusal(|graph| graph.outputs[0] = ValueId(9)),
            refusal(|graph| graph.nodes.swap(0, 1)),
            refusal(|graph| graph.nodes[1].outputs = vec![ValueId(1)]),
            refusal(|graph| graph.nodes[1].inputs.clear()),
            refusal(|graph| graph.nodes[1].outputs.clear()),
            refusal(|graph| {
                let sizes = vec![1, 2];
                graph.nodes[1].op = Split { axis: 1, sizes }.into();
            }),
            refusal(|graph| {
                let weight = Arc::new(Tensor::zeros([2, 2]));
                graph.nodes[1].op = Conv::new(weight, None).into();
            }),
            refusal(|graph| {
                let of = ValueId(1);
                graph.values[1].view = Some(View { of, channel: 0 });
            }),
        ];
        insta::assert_snapshot!(texts.join("\n"), @r"
        'end': there is no value 9
        'output': there is no value 9
        node 'end' reads value 'middle', which nothing before it produces
        'end': value 'middle' is written twice
        'end': relu cannot have 0 inputs
        'end': relu cannot have 0 outputs
        'end': split cannot have 1 outputs
        'end': its weight has shape 2x2
        'middle': it is a view of itself
        ");
    }
}
