//! Recognises SiLU, and lets convolutions apply the activation behind them.

use super::fold_batch_norm::take_over;
use crate::op::{Activation, Binary, Op};
use crate::{Graph, NodeId, ValueId};

/// Turns x · sigmoid(x) into SiLU, then moves every activation into the convolution that feeds it
/// alone.
pub fn fuse_activation(graph: &mut Graph) {
    recognise_silu(graph);
    absorb_activations(graph);
}

fn recognise_silu(graph: &mut Graph) {
    let producers = graph.producers();
    for index in 0..graph.nodes.len() {
        let node = &graph.nodes[index];
        if !matches!(node.op, Op::Binary(Binary::Mul)) {
            continue;
        }
        let [a, b] = [node.inputs[0], node.inputs[1]];
        let gate = [(a, b), (b, a)]
            .into_iter()
            .find(|&(x, gate)| sigmoid_input(graph, &producers, gate) == Some(x));
        if let Some((x, _)) = gate {
            graph.nodes[index].op = Op::Activation(Activation::Silu);
            graph.nodes[index].inputs = vec![x];
        }
    }
    super::dead_code(graph);
}

fn sigmoid_input(graph: &Graph, producers: &[Option<NodeId>], gate: ValueId) -> Option<ValueId> {
    let node = &graph.nodes[producers[gate.index()]?.0];
    matches!(node.op, Op::Activation(Activation::Sigmoid)).then(|| node.inputs[0])
}

fn absorb_activations(graph: &mut Graph) {
    let producers = graph.producers();
    let readers = graph.readers();
    for index in 0..graph.nodes.len() {
        let Op::Activation(activation) = graph.nodes[index].op else {
            continue;
        };
        let (input, output) = (graph.nodes[index].inputs[0], graph.nodes[index].outputs[0]);
        let Some(producer) = producers[input.index()] else {
            continue;
        };
        if readers[input.index()].len() != 1 || graph.outputs.contains(&input) {
            continue;
        }
        let Op::Conv(conv) = &mut graph.nodes[producer.0].op else {
            continue;
        };
        if conv.activation.is_some() || conv.residual {
            continue;
        }
        conv.activation = Some(activation);
        take_over(graph, producer.0, index, output);
    }
    graph.nodes.retain(|node| !node.outputs.is_empty());
}
