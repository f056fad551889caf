//! The graph as text, one node a line; for people and for snapshot tests.

use std::fmt;

use onelook_types::Shape;

use crate::{Graph, ValueId};

impl Graph {
    /// The graph as text with the shape of every output.
    pub fn to_text(&self, shapes: Option<&[Shape]>) -> String {
        let mut text = String::new();
        for &input in &self.inputs {
            text += &format!("input {}\n", self.written(input, shapes));
        }
        for node in &self.nodes {
            let outputs: Vec<String> = node
                .outputs
                .iter()
                .map(|&output| self.written(output, shapes))
                .collect();
            let inputs: Vec<String> = node.inputs.iter().map(|&input| name(input)).collect();
            let operator = node.op.as_operator();
            let attributes = operator.attributes();
            let space = if attributes.is_empty() { "" } else { " " };
            text += &format!(
                "{} = {}{space}{attributes} ({})  # {}\n",
                outputs.join(", "),
                operator.name(),
                inputs.join(", "),
                node.name,
            );
        }
        for &output in &self.outputs {
            text += &format!("output {}\n", name(output));
        }
        text
    }

    fn written(&self, id: ValueId, shapes: Option<&[Shape]>) -> String {
        let mut text = name(id);
        if let Some(shapes) = shapes {
            text += &format!(": {}", shapes[id.index()]);
        }
        if let Some(view) = self.value(id).view {
            text += &format!(" @ {}[{}..]", name(view.of), view.channel);
        }
        text
    }
}

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text(None))
    }
}

fn name(id: ValueId) -> String {
    format!("%{}", id.index())
}
