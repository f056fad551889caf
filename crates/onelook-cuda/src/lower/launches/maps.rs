//! Pools and attention as launches.

use onelook_graph::{Op, ValueId};

use super::{Draft, Lowering};
use crate::kernels::KernelSpec;
use crate::kernels::attention::AttentionShape;
use crate::kernels::pool::{ChainShape, PoolShape};
use crate::kernels::window::Window;
use crate::lower::LowerError;
use crate::lower::buffers::ChannelSlice;
use crate::plan::Argument;

impl Lowering<'_> {
    pub(super) fn pools(&mut self, nodes: &[usize]) -> Result<(), LowerError> {
        let first = &self.graph.nodes[nodes[0]];
        let Op::MaxPool(pool) = &first.op else {
            unreachable!("steps name pools");
        };
        let pool = *pool;
        let outputs = nodes.iter().map(|&node| self.graph.nodes[node].outputs[0]);
        let outputs: Vec<ValueId> = outputs.collect();
        let input = self.slice(first.inputs[0])?;
        let writes: Result<Vec<ChannelSlice>, _> = outputs.iter().map(|&v| self.slice(v)).collect();
        let writes = writes?;
        let batch = self.nchw(outputs[0])[0];
        let mut arguments = vec![self.argument(&input)];
        arguments.extend(writes.iter().map(|slice| self.argument(slice)));
        let [side, across] = pool.kernel;
        let [top, left, bottom, right] = pool.padding;
        let centred =
            side == across && side % 2 == 1 && [top, left, bottom, right] == [side / 2; 4];
        let spec = if centred && pool.stride == [1, 1] {
            KernelSpec::PoolChain(ChainShape {
                element: self.element(),
                input: self.map(&input),
                window: side as u32,
                pitches: writes.iter().map(|slice| self.map(slice).pitch).collect(),
            })
        } else {
            let output = self.map(&writes[0]);
            arguments.push(Argument::Word(batch * output.pixels()));
            KernelSpec::Pool(PoolShape {
                element: self.element(),
                input: self.map(&input),
                window: Window {
                    kernel: pool.kernel.map(|side| side as u32),
                    stride: pool.stride.map(|side| side as u32),
                    padding: [top as u32, left as u32],
                    output: [output.height, output.width],
                },
                pitch: output.pitch,
            })
        };
        self.launch(Draft {
            name: self.names(nodes),
            spec,
            arguments,
            reads: vec![input],
            writes,
            flops: 0,
            bytes: 0,
        });
        Ok(())
    }

    pub(super) fn attention(&mut self, index: usize) -> Result<(), LowerError> {
        let node = &self.graph.nodes[index];
        let Op::Attention(attention) = &node.op else {
            unreachable!("steps name attentions");
        };
        let (input, output) = (self.slice(node.inputs[0])?, self.slice(node.outputs[0])?);
        let shape = AttentionShape {
            element: self.element(),
            attention: *attention,
            input: self.map(&input),
            pitch: self.map(&output).pitch,
        };
        if !shape.is_supported() {
            let (keys, size) = (attention.key_size, attention.head_size);
            let reason = format!(
                "attention with keys of {keys} and heads of {size} channels ('{}')",
                node.name
            );
            return Err(LowerError::Unsupported(vec![reason]));
        }
        let draft = Draft {
            name: self.names(&[index]),
            spec: KernelSpec::Attention(shape),
            arguments: vec![self.argument(&input), self.argument(&output)],
            reads: vec![input],
            writes: vec![output],
            flops: self.flops(&[index]),
            bytes: 0,
        };
        self.launch(draft);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use onelook_graph::Graph;
    use onelook_graph::op::{Attention, Conv};
    use onelook_types::Tensor;

    use crate::kernels::Element;
    use crate::lower::gpu::Gpu;
    use crate::lower::{LowerError, Options, lower};
    use onelook_ptx::lang::Target;

    #[test]
    fn attention_that_no_kernel_can_be_written_for_is_refused_by_name() {
        let mut graph = Graph::new();
        let input = graph.add_input("image");
        let weight = Tensor::zeros([2 * 12 + 16, 3, 1, 1]);
        let map = graph.add("qkv", Conv::new(Arc::new(weight), None), &[input]);
        let attention = Attention {
            heads: 1,
            key_size: 12,
            head_size: 16,
            scale: 0.5,
        };
        let output = graph.add("attend", attention, &[map]);
        graph.outputs.push(output);
        let options = Options {
            gpu: Gpu::typical(Target::Sm90a),
            element: Element::F16,
            detect: None,
        };
        let refused = lower(&graph, &[1, 3, 8, 8].into(), &options).unwrap_err();
        let reason = "attention with keys of 12 and heads of 16 channels ('attend')".to_owned();
        assert_eq!(refused, LowerError::Unsupported(vec![reason]));
    }
}
