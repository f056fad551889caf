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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::{Activation, Concat, Split};

    fn joined(order: &[usize], axis: usize) -> Graph {
        let mut graph = Graph::new();
        let input = graph.add_input("in");
        let sizes = vec![2, 2];
        let pieces = graph.add_with_outputs("cut", Split { axis: 1, sizes }, &[input], 2);
        let on = graph.add("on", Activation::Relu, &[pieces[1]]);
        let mut inputs: Vec<ValueId> = order.iter().map(|&piece| pieces[piece]).collect();
        inputs.push(on);
        let joined = graph.add("join", Concat { axis }, &inputs);
        graph.outputs.push(joined);
        simplify_concat(&mut graph);
        graph
    }

    #[test]
    fn all_pieces_in_order_are_the_whole() {
        insta::assert_snapshot!(joined(&[0, 1], 1), @r"
        input %0
        %1, %2 = split axis 1 into 2+2 (%0)  # cut
        %3 = relu (%2)  # on
        %4 = concat axis 1 (%0, %3)  # join
        output %4
        ");
    }

    #[test]
    fn pieces_in_another_order_or_along_another_axis_stay() {
        insta::assert_snapshot!(joined(&[1, 0], 1), @r"
        input %0
        %1, %2 = split axis 1 into 2+2 (%0)  # cut
        %3 = relu (%2)  # on
        %4 = concat axis 1 (%2, %1, %3)  # join
        output %4
        ");
        insta::assert_snapshot!(joined(&[0, 1], 2), @r"
        input %0
        %1, %2 = split axis 1 into 2+2 (%0)  # cut
        %3 = relu (%2)  # on
        %4 = concat axis 2 (%1, %2, %3)  # join
        output %4
        ");
    }
}
