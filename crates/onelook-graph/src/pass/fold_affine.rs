//! Folds what is multiplied or added per channel into the convolution before it; quantised exports
//! scale and shift that way what their integer convolutions give.

use onelook_types::Tensor;

use super::fold_batch_norm::{scale_and_shift, take_over};
use crate::op::{Binary, Op};
use crate::{Graph, NodeId};

/// Moves a constant factor or summand behind a convolution into its weights and bias, where the
/// convolution has no other reader.
pub fn fold_affine(graph: &mut Graph) {
    let mut producers = graph.producers();
    let readers = graph.readers();
    for index in 0..graph.nodes.len() {
        let Op::Binary(function) = graph.nodes[index].op else {
            continue;
        };
        let (inputs, output) = (
            graph.nodes[index].inputs.clone(),
            graph.nodes[index].outputs[0],
        );
        let swaps = matches!(function, Binary::Add | Binary::Mul);
        let constant = |value| graph.constant(value, &producers).cloned();
        let (input, constant) = match (constant(inputs[0]), constant(inputs[1])) {
            (None, Some(constant)) => (inputs[0], constant),
            (Some(constant), None) if swaps => (inputs[1], constant),
            _ => continue,
        };
        let alone = readers[input.index()].len() == 1 && !graph.outputs.contains(&input);
        let Some(producer) = producers[input.index()].filter(|_| alone) else {
            continue;
        };
        let Op::Conv(conv) = &mut graph.nodes[producer.0].op else {
            continue;
        };
        let Some(values) = per_output(&constant, conv.outputs()) else {
            continue;
        };
        if conv.activation.is_some() || conv.residual {
            continue;
        }
        let map = |function: fn(f32) -> f32| values.iter().map(|&x| function(x)).collect();
        let (ones, zeros) = (vec![1.0; values.len()], vec![0.0; values.len()]);
        let (factors, offsets): (Vec<f32>, Vec<f32>) = match function {
            Binary::Add => (ones, values),
            Binary::Sub => (ones, map(|x| -x)),
            Binary::Mul => (values, zeros),
            Binary::Div => (map(|x| 1.0 / x), zeros),
        };
        scale_and_shift(conv, &factors, &offsets);
        take_over(graph, producer.0, index, output);
        producers[output.index()] = Some(NodeId(producer.0));
    }
    graph.nodes.retain(|node| !node.outputs.is_empty());
}

/// The constant's value for each output channel of a map, if it is the same for all pixels.
fn per_output(constant: &Tensor, outputs: usize) -> Option<Vec<f32>> {
    match (&constant.shape()[..], constant.data()) {
        ([] | [1] | [1, 1] | [1, 1, 1] | [1, 1, 1, 1], &[value]) => Some(vec![value; outputs]),
        (&[channels, 1, 1] | &[1, channels, 1, 1], values) if channels == outputs => {
            Some(values.to_vec())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::op::{Activation, Conv};
    use crate::reference;

    fn conv(graph: &mut Graph, input: crate::ValueId) -> crate::ValueId {
        let weight = Arc::new(Tensor::from_fn([2, 3, 1, 1], |k| k as f32));
        graph.add("conv", Conv::new(weight, None), &[input])
    }

    #[test]
    fn factors_and_summands_go_into_the_convolution() {
        let mut graph = Graph::new();
        let input = graph.add_input("in");
        let mut value = conv(&mut graph, input);
        let scale = graph.add_constant("scale", Tensor::from_fn([1, 2, 1, 1], |k| k as f32 + 2.0));
        let shift = graph.add_constant("shift", Tensor::from_fn([2, 1, 1], |k| k as f32 - 5.0));
        let half = graph.add_constant("half", Tensor::scalar(2.0));
        value = graph.add("mul", Binary::Mul, &[scale, value]);
        value = graph.add("add", Binary::Add, &[value, shift]);
        value = graph.add("sub", Binary::Sub, &[value, half]);
        value = graph.add("div", Binary::Div, &[value, half]);
        let end = graph.add("end", Activation::Relu, &[value]);
        graph.outputs.push(end);
        let image = Tensor::from_fn([1, 3, 2, 2], |k| k as f32);
        let before = reference::run(&graph, &[&image]).unwrap();
        fold_affine(&mut graph);
        super::super::dead_code(&mut graph);
        insta::assert_snapshot!(graph, @r"
        input %0
        %8 = conv 1x1 3->2 (%0)  # conv
        %9 = relu (%8)  # end
        output %9
        ");
        assert_eq!(reference::run(&graph, &[&image]).unwrap(), before);
    }

    #[test]
    fn other_shapes_orders_and_readers_stay() {
        let mut graph = Graph::new();
        let input = graph.add_input("in");
        let row = graph.add_constant("row", Tensor::zeros([1, 1, 1, 2]));
        let one = graph.add_constant("one", Tensor::scalar(1.0));
        let first = conv(&mut graph, input);
        let wide = graph.add("row", Binary::Mul, &[first, row]);
        let second = conv(&mut graph, input);
        let swapped = graph.add("swapped", Binary::Sub, &[one, second]);
        let third = conv(&mut graph, input);
        let shared = graph.add("shared", Binary::Add, &[third, one]);
        let again = graph.add("again", Binary::Add, &[third, shared]);
        graph.outputs.extend([wide, swapped, again]);
        let before = graph.to_text(None);
        fold_affine(&mut graph);
        assert_eq!(graph.to_text(None), before);
    }
}
