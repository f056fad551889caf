//! Joins what was just cut apart: concat(split(x), …) reads x itself.

use crate::op::Op;
use crate::{Graph, NodeId, ValueId};

/// Replaces a run of concat inputs that are all pieces of one split, in order and along the same
/// axis, by the split's input.
pub fn simplify_concat(graph: &mut Graph) {
    let producers = graph.producers();
    for index in 0..graph.nodes.len() {
        let Op::Concat(concat) = graph.nodes[index].op else {
            continue;
        };
        let inputs = graph.nodes[index].inputs.clone();
        let mut joined: Vec<ValueId> = Vec::with_capacity(inputs.len());
        let mut position = 0;
        while position < inputs.len() {
            match whole_split(graph, &producers, concat.axis, &inputs[position..]) {
                Some((source, pieces)) => {
                    joined.push(source);
                    position += pieces;
                }
                None => {
                    joined.push(inputs[position]);
                    position += 1;
                }
            }
        }
        graph.nodes[index].inputs = joined;
    }
}

/// The split's input and how many of `inputs` it stands for.
fn whole_split(
    graph: &Graph,
    producers: &[Option<NodeId>],
    axis: usize,
    inputs: &[ValueId],
) -> Option<(ValueId, usize)> {
    let node = &graph.nodes[producers[inputs[0].index()]?.0];
    let Op::Split(split) = &node.op else {
        return None;
    };
    (split.axis == axis && inputs.starts_with(&node.outputs))
        .then(|| (node.inputs[0], node.outputs.len()))
}
