//! Lets a convolution add the residual as it stores its result.

use super::fold_batch_norm::take_over;
use super::map_shape::maps;
use crate::op::{Binary, Op};
use crate::{Graph, NodeId, ValueId};

/// Moves every addition into the convolution that feeds it alone, if the other operand is ready
/// before that convolution and surely has the same shape, whatever the input's is.
pub fn fuse_residual(graph: &mut Graph) {
    let maps = maps(graph);
    let mut producers = graph.producers();
    let readers = graph.readers();
    for index in 0..graph.nodes.len() {
        let node = &graph.nodes[index];
        if !matches!(node.op, Op::Binary(Binary::Add)) {
            continue;
        }
        let [a, b] = [node.inputs[0], node.inputs[1]];
        let output = node.outputs[0];
        let ready = |value: ValueId, before: usize| match producers[value.index()] {
            Some(NodeId(producer)) => producer < before,
            None => true,
        };
        let fusible = [(a, b), (b, a)]
            .into_iter()
            .find_map(|(convolved, residual)| {
                let NodeId(producer) = producers[convolved.index()]?;
                let Op::Conv(conv) = &graph.nodes[producer].op else {
                    return None;
                };
                let alone =
                    readers[convolved.index()].len() == 1 && !graph.outputs.contains(&convolved);
                let map = maps[convolved.index()];
                let same = map.is_some() && map == maps[residual.index()];
                (alone && a != b && !conv.residual && same && ready(residual, producer))
                    .then_some((producer, residual))
            });
        let Some((producer, residual)) = fusible else {
            continue;
        };
        if let Op::Conv(conv) = &mut graph.nodes[producer].op {
            conv.residual = true;
        }
        graph.nodes[producer].inputs.push(residual);
        take_over(graph, producer, index, output);
        producers[output.index()] = Some(NodeId(producer));
    }
    graph.nodes.retain(|node| !node.outputs.is_empty());
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use onelook_types::Tensor;

    use super::*;
    use crate::op::{Concat, Conv, Reduce, Reduction, Upsample};

    fn conv(graph: &mut Graph, name: &str, input: ValueId) -> ValueId {
        let weight = Arc::new(Tensor::zeros([3, 3, 3, 3]));
        let conv = Conv {
            padding: [1; 4],
            ..Conv::new(weight, None)
        };
        graph.add(name, conv, &[input])
    }

    #[test]
    fn the_later_convolution_adds_the_earlier_result() {
        let mut graph = Graph::new();
        let input = graph.add_input("in");
        let first = conv(&mut graph, "first", input);
        let second = conv(&mut graph, "second", first);
        let sum = graph.add("sum", Binary::Add, &[second, first]);
        let third = conv(&mut graph, "third", sum);
        let sum = graph.add("sum", Binary::Add, &[sum, third]);
        graph.outputs.push(sum);
        fuse_residual(&mut graph);
        insta::assert_snapshot!(graph, @r"
        input %0
        %1 = conv 3x3 3->3 padding 1 (%0)  # first
        %3 = conv 3x3 3->3 padding 1 + residual (%1, %1)  # second
        %5 = conv 3x3 3->3 padding 1 + residual (%3, %3)  # third
        output %5
        ");
    }

    #[test]
    fn behind_pieces_of_unlike_grids_a_residual_is_found() {
        let mut graph = Graph::new();
        let input = graph.add_input("in");
        let fine = conv(&mut graph, "fine", input);
        let half = Conv {
            stride: [2, 2],
            padding: [1; 4],
            ..Conv::new(Arc::new(Tensor::zeros([3, 3, 3, 3])), None)
        };
        let coarse = graph.add("coarse", half, &[fine]);
        let larger = graph.add("larger", Upsample { factor: 2 }, &[coarse]);
        let joined = graph.add("joined", Concat { axis: 1 }, &[larger, fine]);
        let narrow = Conv::new(Arc::new(Tensor::zeros([3, 6, 1, 1])), None);
        let first = graph.add("first", narrow, &[joined]);
        let second = conv(&mut graph, "second", first);
        let sum = graph.add("sum", Binary::Add, &[first, second]);
        graph.outputs.push(sum);
        fuse_residual(&mut graph);
        assert!(
            !graph
                .nodes
                .iter()
                .any(|node| matches!(node.op, Op::Binary(_)))
        );
    }

    #[test]
    fn what_is_broadcast_is_not_taken_for_a_residual() {
        let mut graph = Graph::new();
        let input = graph.add_input("in");
        let first = conv(&mut graph, "first", input);
        let reduction = Reduction::Mean;
        let rows = graph.add("rows", Reduce { reduction, axis: 2 }, &[first]);
        let gate = conv(&mut graph, "gate", rows);
        let second = conv(&mut graph, "second", first);
        let sum = graph.add("sum", Binary::Add, &[second, gate]);
        graph.outputs.push(sum);
        fuse_residual(&mut graph);
        insta::assert_snapshot!(graph, @r"
        input %0
        %1 = conv 3x3 3->3 padding 1 (%0)  # first
        %2 = reduce_mean axis 2 (%1)  # rows
        %3 = conv 3x3 3->3 padding 1 (%2)  # gate
        %4 = conv 3x3 3->3 padding 1 (%1)  # second
        %5 = add (%4, %3)  # sum
        output %5
        ");
    }
}
