//! Binds grouped convolutions: parts of whole output blocks, each an ordinary convolution.
//!
//! A part's outputs read the input blocks that their groups touch; weights of channels in those
//! blocks that belong to other groups are 0. Where groups are whole blocks, nothing is wasted, and at
//! the worst, for groups of one channel, fifteen products of sixteen.

use std::ops::Range;

use onelook_graph::Node;
use onelook_graph::op::Conv;

use super::Placed;
use super::conv::{ConvStep, conv_shape};
use super::maps::kernel_activation;
use super::weights::WeightCache;
use crate::kernels::conv::{self, ConvShape, ConvWeights};
use crate::kernels::{BLOCK, KernelError};
use crate::plan::{MapPlace, Memory, Step};

/// Outputs of a grouped convolution that read the same blocks of its input.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    inputs: Range<usize>,
    outputs: Range<usize>,
}

/// Cuts a convolution into parts that begin on blocks.
fn parts(conv: &Conv) -> Vec<Part> {
    let depth = conv.weight.shape()[1];
    let outputs_per_group = conv.outputs() / conv.groups;
    let mut parts: Vec<Part> = Vec::new();
    for first in (0..conv.outputs()).step_by(BLOCK) {
        let end = conv.outputs().min(first + BLOCK);
        let groups = first / outputs_per_group..(end - 1) / outputs_per_group + 1;
        let inputs = groups.start * depth / BLOCK * BLOCK
            ..(groups.end * depth)
                .next_multiple_of(BLOCK)
                .min(conv.channels());
        match parts.last_mut() {
            Some(part) if part.inputs == inputs => part.outputs.end = end,
            _ => parts.push(Part {
                inputs,
                outputs: first..end,
            }),
        }
    }
    parts
}

impl Part {
    /// The weights of these outputs for these inputs, `[outputs][inputs][ky][kx]`.
    fn weights(&self, conv: &Conv) -> Vec<f32> {
        let depth = conv.weight.shape()[1];
        let taps = conv.kernel()[0] * conv.kernel()[1];
        let row = depth * taps;
        let mut weights = vec![0.0; self.outputs.len() * self.inputs.len() * taps];
        let rows = weights.chunks_exact_mut(self.inputs.len() * taps);
        for (output, target) in self.outputs.clone().zip(rows) {
            let group = output / (conv.outputs() / conv.groups);
            let start = (group * depth - self.inputs.start) * taps;
            target[start..start + row].copy_from_slice(&conv.weight.data()[output * row..][..row]);
        }
        weights
    }
}

/// The part of a map that holds these channels; they begin on a block.
fn slice(place: MapPlace, channels: &Range<usize>) -> MapPlace {
    MapPlace {
        first_plane: place.first_plane + channels.start / BLOCK,
        channels: channels.len(),
        ..place
    }
}

impl Placed {
    pub(super) fn bind_grouped(
        &self,
        node: &Node,
        conv: &Conv,
        cache: &mut WeightCache,
    ) -> Result<Box<dyn Step>, KernelError> {
        let (input, output) = (self.map(node.inputs[0]), self.map(node.outputs[0]));
        let residual = conv.residual.then(|| self.map(node.inputs[1]));
        let mut steps = Vec::new();
        for part in parts(conv) {
            let shape = ConvShape {
                inputs: part.inputs.len(),
                outputs: part.outputs.len(),
                ..conv_shape(conv)
            };
            let packed =
                cache.packed_part(conv, part.outputs.start, input.whole.element, || {
                    let bias = conv
                        .bias
                        .as_ref()
                        .map(|bias| &bias.data()[part.outputs.clone()]);
                    ConvWeights::pack(shape, &part.weights(conv), bias, input.whole.element)
                })?;
            let (input, output) = (slice(input, &part.inputs), slice(output, &part.outputs));
            steps.push(ConvStep {
                kernel: conv::Conv::new(
                    self.isa,
                    packed,
                    kernel_activation(conv.activation),
                    input.layout(),
                    output.layout(),
                    self.threads,
                )?,
                input,
                residual: residual.map(|residual| slice(residual, &part.outputs)),
                output,
            });
        }
        let products: usize = parts(conv)
            .iter()
            .map(|part| part.inputs.len() * part.outputs.len())
            .sum();
        let needed = conv.outputs() * conv.weight.shape()[1];
        Ok(Box::new(GroupedStep {
            steps,
            zeros: 100 - 100 * needed / products.max(1),
        }))
    }
}

struct GroupedStep {
    /// One for each part.
    steps: Vec<ConvStep>,
    /// Percent of the products that are with the zeros between groups.
    zeros: usize,
}

impl Step for GroupedStep {
    fn kernel(&self) -> &'static str {
        self.steps[0].kernel()
    }

    fn choice(&self) -> String {
        let (count, zeros) = (self.steps.len(), self.zeros);
        let first = self.steps[0].choice();
        format!("groups in {count} parts, {zeros} % zeros; the first: {first}")
    }

    fn tasks(&self) -> usize {
        self.steps.iter().map(Step::tasks).sum()
    }

    unsafe fn run(&self, memory: &Memory<'_>, mut task: usize, worker: usize) {
        for step in &self.steps {
            if task < step.tasks() {
                // SAFETY: the memory has the plan's extents and the task is one of this step's, which the caller
                // guarantees; parts write blocks of their own.
                return unsafe { step.run(memory, task, worker) };
            }
            task -= step.tasks();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use onelook_types::Tensor;

    use super::*;

    fn conv(depth: usize, outputs: usize, groups: usize) -> Conv {
        let weight = Tensor::from_fn([outputs, depth, 1, 1], |k| k as f32 + 1.0);
        Conv {
            groups,
            ..Conv::new(Arc::new(weight), None)
        }
    }

    fn ranges(conv: &Conv) -> Vec<(Range<usize>, Range<usize>)> {
        let ranges = |part: Part| (part.inputs, part.outputs);
        parts(conv).into_iter().map(ranges).collect()
    }

    #[test]
    fn groups_of_whole_blocks_are_parts_of_their_own() {
        let expected = [(0..32, 0..64), (32..64, 64..128)];
        assert_eq!(ranges(&conv(32, 128, 2)), expected);
    }

    #[test]
    fn groups_within_a_block_share_a_part() {
        let expected = [(0..16, 0..32), (16..20, 32..40)];
        assert_eq!(ranges(&conv(1, 40, 20)), expected);
        let expected = [(0..48, 0..16), (16..60, 16..32), (32..60, 32..36)];
        assert_eq!(ranges(&conv(20, 36, 3)), expected);
    }

    #[test]
    fn weights_of_other_groups_are_zero() {
        let conv = conv(2, 4, 2);
        let part = parts(&conv).remove(0);
        let expected = [
            [1.0, 2.0, 0.0, 0.0],
            [3.0, 4.0, 0.0, 0.0],
            [0.0, 0.0, 5.0, 6.0],
            [0.0, 0.0, 7.0, 8.0],
        ];
        assert_eq!(part.weights(&conv), expected.concat());
    }
}
