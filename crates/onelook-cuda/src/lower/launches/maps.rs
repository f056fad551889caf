//! Pools and attention as launches.

use onelook_graph::{Op, ValueId};

use super::{Draft, Lowering};
use crate::kernels::attention::{self, AttentionShape};
use crate::kernels::pool::{self, ChainShape, PoolShape};
use crate::lower::LowerError;
use crate::lower::places::Seat;
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
        let input = self.seat(first.inputs[0])?;
        let writes: Result<Vec<Seat>, _> = outputs.iter().map(|&v| self.seat(v)).collect();
        let writes = writes?;
        let batch = self.nchw(outputs[0])[0];
        let (element, target) = (self.element(), self.options.gpu.target);
        let mut arguments = vec![self.argument(&input)];
        arguments.extend(writes.iter().map(|seat| self.argument(seat)));
        let mut draft = Draft {
            name: self.names(nodes),
            key: String::new(),
            arguments,
            reads: vec![input],
            writes: writes.clone(),
            flops: 0,
            bytes: 0,
        };
        let base = format!("max_pool_{}_nhwc", element.name());
        let [side, across] = pool.kernel;
        let [top, left, bottom, right] = pool.padding;
        let centred =
            side == across && side % 2 == 1 && [top, left, bottom, right] == [side / 2; 4];
        if centred && pool.stride == [1, 1] {
            let shape = ChainShape {
                element,
                input: self.map(&input),
                window: side as u32,
                pitches: writes.iter().map(|seat| self.map(seat).pitch).collect(),
            };
            draft.key = format!("{shape:?}");
            self.launch(&base, draft, |name| {
                pool::pool_chain(target, name, &shape, batch)
            });
            return Ok(());
        }
        let output = self.map(&writes[0]);
        let shape = PoolShape {
            element,
            input: self.map(&input),
            kernel: pool.kernel.map(|side| side as u32),
            stride: pool.stride.map(|side| side as u32),
            padding: [top as u32, left as u32],
            output: [output.height, output.width],
            pitch: output.pitch,
        };
        draft
            .arguments
            .push(Argument::Word(batch * output.pixels()));
        draft.key = format!("{shape:?}");
        self.launch(&base, draft, |name| pool::pool(target, name, &shape, batch));
        Ok(())
    }

    pub(super) fn attention(&mut self, index: usize) -> Result<(), LowerError> {
        let node = &self.graph.nodes[index];
        let Op::Attention(attention) = &node.op else {
            unreachable!("steps name attentions");
        };
        let (input, output) = (self.seat(node.inputs[0])?, self.seat(node.outputs[0])?);
        let batch = self.nchw(node.inputs[0])[0];
        let shape = AttentionShape {
            element: self.element(),
            attention: *attention,
            input: self.map(&input),
            pitch: self.map(&output).pitch,
        };
        let draft = Draft {
            name: self.names(&[index]),
            key: format!("{shape:?}"),
            arguments: vec![self.argument(&input), self.argument(&output)],
            reads: vec![input],
            writes: vec![output],
            flops: self.flops(&[index]),
            bytes: 0,
        };
        let target = self.options.gpu.target;
        let base = format!("attention_{}_nhwc", shape.element.name());
        self.launch(&base, draft, |name| {
            attention::attention(target, name, &shape, batch)
        });
        Ok(())
    }
}
