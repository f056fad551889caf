//! The graph: nodes in topological order, joined by values that are written once.

use std::sync::Arc;

use onelook_types::Tensor;

use crate::op::{Constant, Op};

/// Names a value of one graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueId(pub(crate) u32);

/// Names a node of one graph: its position in [`Graph::nodes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub usize);

impl ValueId {
    /// The value's position in [`Graph::values`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// What flows between nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// The name of who made it, for people.
    pub name: String,
    /// Where it lies inside another value, if it has no memory of its own.
    pub view: Option<View>,
}

/// A value that is a range of channels of another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// The value with the memory, or a view in turn.
    pub of: ValueId,
    /// First channel inside it.
    pub channel: usize,
}

/// One operation.
#[derive(Debug, Clone)]
pub struct Node {
    /// For people: the module's path in the model file.
    pub name: String,
    /// What is computed.
    pub op: Op,
    /// What is read.
    pub inputs: Vec<ValueId>,
    /// What is written.
    pub outputs: Vec<ValueId>,
}

/// A network without shapes: those follow from the input's, see
/// [`infer_shapes`](crate::infer_shapes).
#[derive(Debug, Clone, Default)]
pub struct Graph {
    /// All values; a pass may leave some unused.
    pub values: Vec<Value>,
    /// Nodes, each after those whose values it reads.
    pub nodes: Vec<Node>,
    /// What the caller provides.
    pub inputs: Vec<ValueId>,
    /// What the caller gets.
    pub outputs: Vec<ValueId>,
}

impl Graph {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    /// A new value that no node writes yet.
    pub fn add_value(&mut self, name: impl Into<String>) -> ValueId {
        let id = ValueId(u32::try_from(self.values.len()).expect("readers bound the node count"));
        self.values.push(Value {
            name: name.into(),
            view: None,
        });
        id
    }

    /// A new graph input.
    pub fn add_input(&mut self, name: impl Into<String>) -> ValueId {
        let value = self.add_value(name);
        self.inputs.push(value);
        value
    }

    /// Appends a node with one output and returns the output.
    pub fn add(&mut self, name: &str, op: impl Into<Op>, inputs: &[ValueId]) -> ValueId {
        self.add_with_outputs(name, op, inputs, 1)[0]
    }

    /// Appends a node with `outputs` outputs and returns them.
    pub fn add_with_outputs(
        &mut self,
        name: &str,
        op: impl Into<Op>,
        inputs: &[ValueId],
        outputs: usize,
    ) -> Vec<ValueId> {
        let outputs: Vec<ValueId> = (0..outputs)
            .map(|index| match outputs {
                1 => self.add_value(name),
                _ => self.add_value(format!("{name}.{index}")),
            })
            .collect();
        self.nodes.push(Node {
            name: name.to_owned(),
            op: op.into(),
            inputs: inputs.to_vec(),
            outputs: outputs.clone(),
        });
        outputs
    }

    /// Appends a constant.
    pub fn add_constant(&mut self, name: &str, tensor: Tensor) -> ValueId {
        self.add(
            name,
            Constant {
                tensor: Arc::new(tensor),
            },
            &[],
        )
    }

    /// The value `id`.
    pub fn value(&self, id: ValueId) -> &Value {
        &self.values[id.index()]
    }

    /// The node that writes each value, by value index.
    pub fn producers(&self) -> Vec<Option<NodeId>> {
        let mut producers = vec![None; self.values.len()];
        for (index, node) in self.nodes.iter().enumerate() {
            for output in &node.outputs {
                producers[output.index()] = Some(NodeId(index));
            }
        }
        producers
    }

    /// The nodes that read each value, by value index, in order.
    pub fn readers(&self) -> Vec<Vec<NodeId>> {
        let mut readers = vec![Vec::new(); self.values.len()];
        for (index, node) in self.nodes.iter().enumerate() {
            for input in &node.inputs {
                readers[input.index()].push(NodeId(index));
            }
        }
        readers
    }

    /// The value with memory of its own under a chain of views, and the first channel inside it.
    pub fn root(&self, id: ValueId) -> (ValueId, usize) {
        let (mut root, mut channel) = (id, 0);
        while let Some(view) = self.value(root).view {
            root = view.of;
            channel += view.channel;
        }
        (root, channel)
    }

    /// Lets every reader of `from`, and the graph's outputs, use `to` instead.
    pub fn replace_uses(&mut self, from: ValueId, to: ValueId) {
        let inputs = self
            .nodes
            .iter_mut()
            .flat_map(|node| node.inputs.iter_mut());
        for value in inputs.chain(self.outputs.iter_mut()) {
            if *value == from {
                *value = to;
            }
        }
    }

    /// The constant that `id` is, if it is one.
    pub fn constant(&self, id: ValueId, producers: &[Option<NodeId>]) -> Option<&Arc<Tensor>> {
        match &self.nodes[producers[id.index()]?.0].op {
            Op::Constant(constant) => Some(&constant.tensor),
            _ => None,
        }
    }

    /// Learned parameters, counting every weight and bias once.
    pub fn parameters(&self) -> usize {
        self.nodes
            .iter()
            .map(|node| node.op.as_operator().parameters())
            .sum()
    }
}
