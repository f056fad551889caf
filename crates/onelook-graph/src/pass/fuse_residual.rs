//! Lets a convolution add the residual as it stores its result.

use super::fold_batch_norm::take_over;
use crate::op::{Binary, Op};
use crate::{Graph, NodeId, ValueId};

/// Moves every addition into the convolution that feeds it alone, if the other operand is ready
/// before that convolution and has the same shape.
pub fn fuse_residual(graph: &mut Graph) {
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
                let same = is_map(graph, &producers, residual);
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

/// Whether a value is surely a map of the convolution's shape. No model that we read broadcasts a
/// map onto a convolution's output, so what an operator on maps made is taken for one.
fn is_map(graph: &Graph, producers: &[Option<NodeId>], value: ValueId) -> bool {
    producers[value.index()].is_some_and(|NodeId(producer)| {
        matches!(
            graph.nodes[producer].op,
            Op::Conv(_)
                | Op::Split(_)
                | Op::Concat(_)
                | Op::MaxPool(_)
                | Op::Upsample(_)
                | Op::Attention(_)
                | Op::BatchNorm(_)
                | Op::Activation(_)
        )
    })
}
