//! Convolutions as launches: shapes, tiles, packed weights.

use onelook_graph::ValueId;

use super::{Draft, Lowering, window};
use crate::kernels::KernelSpec;
use crate::kernels::conv::{ConvShape, Segment, pack_weights};
use crate::kernels::depthwise::{DepthwiseShape, pack_depthwise};
use crate::kernels::gemm::Tile;
use crate::lower::LowerError;
use crate::lower::buffers::ChannelSlice;
use crate::lower::tiling::Product;
use crate::plan::Argument;

impl Lowering<'_> {
    pub(super) fn conv(&mut self, nodes: &[usize]) -> Result<(), LowerError> {
        let (first, conv) = self.node_conv(nodes[0]);
        let (input, residual) = (first.inputs[0], first.inputs.get(1).copied());
        let outputs: Vec<ValueId> = nodes
            .iter()
            .map(|&n| self.graph.nodes[n].outputs[0])
            .collect();
        let slices = self.slices(input)?;
        let residual = residual.map(|value| self.slice(value)).transpose()?;
        let mut writes: Vec<ChannelSlice> = Vec::new();
        for &output in &outputs {
            let slice = self.slice(output)?;
            match writes.last_mut() {
                Some(last)
                    if last.buffer == slice.buffer
                        && last.channel + last.channels == slice.channel =>
                {
                    last.channels += slice.channels;
                }
                _ => writes.push(slice),
            }
        }
        let [batch, _, height, width] = self.nchw(outputs[0]);
        let segment = |slice: &ChannelSlice| Segment {
            map: self.map(slice),
            upsample: slice.upsample,
        };
        let shape = ConvShape {
            element: self.element(),
            inputs: slices.iter().map(segment).collect(),
            window: window(conv, [height, width]),
            parts: writes.iter().map(|slice| self.part(slice)).collect(),
            activation: conv.activation,
            residual: residual.map(|slice| self.map(&slice).pitch),
        };
        let product = Product {
            element: shape.element,
            rows: batch * height * width,
            columns: shape.outputs(),
            vectors: shape.vectors(),
            resident: false,
        };
        let tile = self.tiles.choose(&self.options.gpu, &product);
        let (weights, biases) = self.weights(nodes, &slices, &tile);
        let weight_bytes = (weights.len() + biases.len() * 4) as u64;
        let mut arguments: Vec<Argument> =
            slices.iter().map(|slice| self.argument(slice)).collect();
        arguments.push(self.constant(&weights));
        arguments.push(self.biases(biases, &tile));
        arguments.extend(residual.map(|slice| self.argument(&slice)));
        arguments.extend(writes.iter().map(|slice| self.argument(slice)));
        arguments.push(self.pixels(outputs[0]));
        arguments.extend(shape.extent_words().into_iter().map(Argument::Word));
        let draft = Draft {
            name: self.names(nodes),
            spec: KernelSpec::Conv { shape, tile },
            arguments,
            reads: slices.into_iter().chain(residual).collect(),
            writes,
            flops: self.flops(nodes),
            bytes: weight_bytes,
        };
        self.launch(draft);
        Ok(())
    }

    /// Packed weights and biases of convolutions side by side. Outputs that pad a part's last
    /// vector have neither.
    fn weights(
        &self,
        nodes: &[usize],
        slices: &[ChannelSlice],
        tile: &Tile,
    ) -> (Vec<u8>, Vec<f32>) {
        let per_vector = self.element().per_vector() as usize;
        let segments: Vec<usize> = slices.iter().map(|slice| slice.channels as usize).collect();
        let (mut weights, mut biases) = (Vec::new(), Vec::new());
        let mut taps = 1;
        for (index, &node) in nodes.iter().enumerate() {
            let (_, conv) = self.node_conv(node);
            taps = conv.kernel().iter().product();
            let row = conv.channels() * taps;
            let outputs = match index + 1 == nodes.len() {
                true => conv.outputs(),
                false => conv.outputs().next_multiple_of(per_vector),
            };
            let before = biases.len();
            weights.extend_from_slice(conv.weight.data());
            weights.resize((before + outputs) * row, 0.0);
            biases.extend(conv.bias.iter().flat_map(|bias| bias.data()));
            biases.resize(before + outputs, 0.0);
        }
        let packed = pack_weights(&weights, &segments, taps, self.element(), tile);
        (self.element().encode(packed), biases)
    }

    pub(super) fn depthwise(
        &mut self,
        depthwise: usize,
        pointwise: usize,
    ) -> Result<(), LowerError> {
        let (inner, inner_conv) = self.node_conv(depthwise);
        let (outer, outer_conv) = self.node_conv(pointwise);
        let input = self.slice(inner.inputs[0])?;
        let optional = |value: Option<&ValueId>| value.map(|&v| self.slice(v)).transpose();
        let inner_residual = optional(inner.inputs.get(1))?;
        let residual = optional(outer.inputs.get(1))?;
        let output = outer.outputs[0];
        let write = self.slice(output)?;
        let [batch, _, height, width] = self.nchw(output);
        let shape = DepthwiseShape {
            element: self.element(),
            input: self.map(&input),
            window: window(inner_conv, [height, width]),
            inner_activation: inner_conv.activation,
            inner_residual: inner_residual.map(|slice| self.map(&slice).pitch),
            part: self.part(&write),
            activation: outer_conv.activation,
            residual: residual.map(|slice| self.map(&slice).pitch),
        };
        let product = Product {
            element: shape.element,
            rows: batch * height * width,
            columns: shape.part.channels,
            vectors: shape.vectors(),
            resident: true,
        };
        let taps = inner_conv.kernel().iter().product();
        let inner_weights = pack_depthwise(inner_conv.weight.data(), taps, shape.element);
        let mut inner_biases = inner_conv
            .bias
            .as_ref()
            .map_or(Vec::new(), |b| b.data().to_vec());
        inner_biases.resize(shape.input.channels as usize, 0.0);
        let tile = self.tiles.choose(&self.options.gpu, &product);
        let (weights, biases) = self.weights(&[pointwise], &[input], &tile);
        let floats = |values: Vec<f32>| -> Vec<u8> {
            values.into_iter().flat_map(f32::to_le_bytes).collect()
        };
        let (inner_weights, inner_biases) = (floats(inner_weights), floats(inner_biases));
        let bytes = inner_weights.len() + inner_biases.len() + weights.len() + 4 * biases.len();
        let mut arguments = vec![self.argument(&input)];
        arguments.push(self.constant(&inner_weights));
        arguments.push(self.constant(&inner_biases));
        arguments.extend(inner_residual.map(|slice| self.argument(&slice)));
        arguments.push(self.constant(&weights));
        arguments.push(self.biases(biases, &tile));
        arguments.extend(residual.map(|slice| self.argument(&slice)));
        arguments.push(self.argument(&write));
        arguments.push(self.pixels(output));
        arguments.extend(shape.extent_words().into_iter().map(Argument::Word));
        let reads = [Some(input), inner_residual, residual];
        let draft = Draft {
            name: self.names(&[depthwise, pointwise]),
            spec: KernelSpec::Depthwise { shape, tile },
            arguments,
            reads: reads.into_iter().flatten().collect(),
            writes: vec![write],
            flops: self.flops(&[depthwise, pointwise]),
            bytes: bytes as u64,
        };
        self.launch(draft);
        Ok(())
    }
}
