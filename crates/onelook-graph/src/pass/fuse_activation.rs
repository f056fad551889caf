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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use onelook_types::Tensor;

    use super::*;
    use crate::op::Conv;

    fn conv(graph: &mut Graph, input: ValueId) -> ValueId {
        let weight = Arc::new(Tensor::zeros([3, 3, 1, 1]));
        graph.add("conv", Conv::new(weight, None), &[input])
    }

    #[test]
    fn silu_spelled_out_moves_into_the_convolution() {
        let mut graph = Graph::new();
        let input = graph.add_input("in");
        let value = conv(&mut graph, input);
        let gate = graph.add("gate", Activation::Sigmoid, &[value]);
        let on = graph.add("on", Binary::Mul, &[gate, value]);
        graph.outputs.push(on);
        fuse_activation(&mut graph);
        insta::assert_snapshot!(graph, @r"
        input %0
        %3 = conv 1x1 3->3 silu (%0)  # conv
        output %3
        ");
    }

    #[test]
    fn a_second_activation_stays_by_itself() {
        let mut graph = Graph::new();
        let input = graph.add_input("in");
        let value = conv(&mut graph, input);
        let first = graph.add("first", Activation::Relu, &[value]);
        let second = graph.add("second", Activation::Exp, &[first]);
        graph.outputs.push(second);
        fuse_activation(&mut graph);
        insta::assert_snapshot!(graph, @r"
        input %0
        %2 = conv 1x1 3->3 relu (%0)  # conv
        %3 = exp (%2)  # second
        output %3
        ");
    }

    #[test]
    fn a_result_that_is_also_an_output_stays_as_it_is() {
        let mut graph = Graph::new();
        let input = graph.add_input("in");
        let value = conv(&mut graph, input);
        let on = graph.add("on", Activation::Relu, &[value]);
        graph.outputs.extend([on, value]);
        fuse_activation(&mut graph);
        insta::assert_snapshot!(graph, @r"
        input %0
        %1 = conv 1x1 3->3 (%0)  # conv
        %2 = relu (%1)  # on
        output %2
        output %1
        ");
    }
}
