//! The first and last launches: from planes or images, to planes or boxes.

use onelook_graph::ValueId;

use super::{Draft, Lowering, window};
use crate::kernels::KernelSpec;
use crate::kernels::reorder::ReorderShape;
use crate::kernels::stem::{self, StemShape};
use crate::lower::LowerError;
use crate::lower::buffers::ChannelSlice;
use crate::plan::{Argument, Region};

impl Lowering<'_> {
    fn planes(&self, slice: &ChannelSlice, channels: u32) -> ReorderShape {
        ReorderShape {
            element: self.element(),
            map: self.map(slice),
            channels,
        }
    }

    pub(super) fn enter(&mut self, value: ValueId) -> Result<(), LowerError> {
        let [batch, channels, height, width] = self.nchw(value);
        let slice = self.slice(value)?;
        let bytes = (batch * channels * height * width * 4) as usize;
        let input = Argument::Memory {
            region: Region::Input(0),
            offset: 0,
            bytes,
        };
        self.plan.inputs.push(bytes);
        let draft = Draft {
            name: self.graph.value(value).name.clone(),
            spec: KernelSpec::ToMap(self.planes(&slice, channels)),
            arguments: vec![input, self.argument(&slice), self.pixels(value)],
            reads: Vec::new(),
            writes: vec![slice],
            flops: 0,
            bytes: bytes as u64,
        };
        self.launch(draft);
        Ok(())
    }

    pub(super) fn leave(&mut self, value: ValueId, output: usize) -> Result<(), LowerError> {
        let [batch, channels, height, width] = self.nchw(value);
        let slice = self.slice(value)?;
        let bytes = (batch * channels * height * width * 4) as usize;
        let planes = Argument::Memory {
            region: Region::Output(output),
            offset: 0,
            bytes,
        };
        self.plan.outputs.push(bytes);
        let draft = Draft {
            name: format!("{}.output", self.graph.value(value).name),
            spec: KernelSpec::FromMap(self.planes(&slice, channels)),
            arguments: vec![self.argument(&slice), planes, self.pixels(value)],
            reads: vec![slice],
            writes: Vec::new(),
            flops: 0,
            bytes: bytes as u64,
        };
        self.launch(draft);
        Ok(())
    }

    pub(super) fn stem(&mut self, node: usize) -> Result<(), LowerError> {
        let (node_, conv) = self.node_conv(node);
        let (input, output) = (node_.inputs[0], node_.outputs[0]);
        let slice = self.slice(output)?;
        let map = self.map(&slice);
        let [batch, _, height, width] = self.nchw(input);
        let shape = StemShape {
            element: self.element(),
            input: [height, width],
            window: window(conv, [map.height, map.width]),
            channels: map.channels,
            pitch: map.pitch,
            activation: conv.activation,
        };
        let mut weights = conv.weight.data().to_vec();
        let row = conv.weight.data().len() / conv.outputs();
        weights.resize(row * map.channels as usize, 0.0);
        let weights = shape.element.encode(stem::pack_weights(&weights, &shape));
        let mut biases = conv.bias.as_ref().map_or(Vec::new(), |b| b.data().to_vec());
        biases.resize(map.channels as usize, 0.0);
        let biases: Vec<u8> = biases.into_iter().flat_map(f32::to_le_bytes).collect();
        let pixels = u64::from(batch * height * width * 3);
        let draft = Draft {
            name: self.names(&[node]),
            spec: KernelSpec::Stem(shape),
            arguments: vec![
                Argument::Memory {
                    region: Region::Input(0),
                    offset: 0,
                    bytes: Argument::WHOLE,
                },
                self.constant(&weights),
                self.constant(&biases),
                self.argument(&slice),
            ],
            reads: Vec::new(),
            writes: vec![slice],
            flops: self.flops(&[node]),
            bytes: pixels + (weights.len() + biases.len()) as u64,
        };
        self.plan.inputs.push(Argument::WHOLE);
        self.launch(draft);
        Ok(())
    }
}
