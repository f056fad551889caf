//! Folds a batch normalisation into the convolution before it; one that stands elsewhere becomes a
//! depthwise convolution of one pixel, which every engine has a kernel for.

use std::sync::Arc;

use onelook_types::Tensor;

use crate::op::{BatchNorm, Conv, Op};
use crate::{Graph, ValueId};

/// Scales the weights of every convolution whose only reader is a batch normalisation, and moves
/// the normalisation's offset into the bias. Leaves no batch normalisation.
pub fn fold_batch_norm(graph: &mut Graph) {
    let producers = graph.producers();
    let readers = graph.readers();
    for index in 0..graph.nodes.len() {
        let Op::BatchNorm(norm) = &graph.nodes[index].op else {
            continue;
        };
        let norm = norm.clone();
        let (input, output) = (graph.nodes[index].inputs[0], graph.nodes[index].outputs[0]);
        graph.nodes[index].op = as_convolution(&norm).into();
        let Some(producer) = producers[input.index()] else {
            continue;
        };
        let alone = readers[input.index()].len() == 1 && !graph.outputs.contains(&input);
        let Op::Conv(conv) = &mut graph.nodes[producer.0].op else {
            continue;
        };
        if !alone || conv.activation.is_some() || conv.residual || !fits(conv, &norm) {
            continue;
        }
        let (factors, offsets) = norm.as_affine();
        scale_and_shift(conv, &factors, &offsets);
        take_over(graph, producer.0, index, output);
    }
    graph.nodes.retain(|node| !node.outputs.is_empty());
}

/// Lets node `producer` write what node `absorbed` wrote; the latter is left without outputs.
pub(super) fn take_over(graph: &mut Graph, producer: usize, absorbed: usize, output: ValueId) {
    graph.nodes[absorbed].outputs.clear();
    graph.nodes[absorbed].inputs.clear();
    graph.nodes[producer].outputs = vec![output];
}

fn fits(conv: &Conv, norm: &BatchNorm) -> bool {
    [&norm.scale, &norm.shift, &norm.mean, &norm.variance]
        .iter()
        .all(|tensor| tensor.data().len() == conv.outputs())
}

/// The normalisation as a convolution that sees one pixel of one channel at a time.
fn as_convolution(norm: &BatchNorm) -> Conv {
    let (factors, offsets) = norm.as_affine();
    let channels = factors.len();
    let weight = Tensor::from_fn([channels, 1, 1, 1], |channel| factors[channel]);
    let bias = Tensor::from_fn([channels], |channel| offsets[channel]);
    Conv {
        groups: channels,
        ..Conv::new(Arc::new(weight), Some(Arc::new(bias)))
    }
}

/// Multiplies what the convolution gives by a factor per output and adds an offset. In place where
/// nobody shares the weights: a large model should not be in memory twice.
pub(super) fn scale_and_shift(conv: &mut Conv, factors: &[f32], offsets: &[f32]) {
    let outputs = conv.outputs();
    let per_output = (conv.weight.data().len() / outputs.max(1)).max(1);
    let weight = Arc::make_mut(&mut conv.weight);
    for (row, factor) in weight.data_mut().chunks_exact_mut(per_output).zip(factors) {
        row.iter_mut().for_each(|value| *value *= factor);
    }
    let bias = Tensor::from_fn([outputs], |output| {
        let own = conv.bias.as_ref().map_or(0.0, |bias| bias.data()[output]);
        own * factors[output] + offsets[output]
    });
    conv.bias = Some(Arc::new(bias));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(reads_twice: bool) -> Graph {
        let vector = |value: f32| Arc::new(Tensor::from_fn([2], |_| value));
        let mut graph = Graph::new();
        let input = graph.add_input("in");
        let weight = Arc::new(Tensor::from_fn([2, 3, 1, 1], |k| k as f32));
        let conv = graph.add("conv", Conv::new(weight, None), &[input]);
        let norm = BatchNorm {
            scale: vector(2.0),
            shift: vector(1.0),
            mean: vector(3.0),
            variance: vector(3.0),
            epsilon: 1.0,
        };
        let norm = graph.add("norm", norm, &[conv]);
        graph.outputs.push(norm);
        if reads_twice {
            graph.outputs.push(conv);
        }
        graph
    }

    #[test]
    fn the_convolution_takes_the_normalisation_in() {
        let mut graph = graph(false);
        fold_batch_norm(&mut graph);
        insta::assert_snapshot!(graph, @r"
        input %0
        %2 = conv 1x1 3->2 (%0)  # conv
        output %2
        ");
        let Op::Conv(conv) = &graph.nodes[0].op else {
            panic!("not a convolution");
        };
        assert_eq!(conv.weight.data(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(conv.bias.as_ref().unwrap().data(), [-2.0, -2.0]);
    }

    #[test]
    fn a_result_that_is_also_read_before_the_normalisation_stays() {
        let mut graph = graph(true);
        fold_batch_norm(&mut graph);
        insta::assert_snapshot!(graph, @r"
        input %0
        %1 = conv 1x1 3->2 (%0)  # conv
        %2 = conv 1x1 2->2 groups 2 (%1)  # norm
        output %2
        output %1
        ");
    }
}
