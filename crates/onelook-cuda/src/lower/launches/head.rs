//! The end of a detection head, and the suppression behind it, as launches.

use onelook_graph::ValueId;
use onelook_types::DetectHead;

use super::{Draft, Lowering};
use crate::kernels::KernelSpec;
use crate::kernels::head::{self, CANDIDATE_BYTES, HeadLevel, HeadShape};
use crate::kernels::nms::NmsShape;
use crate::lower::LowerError;
use crate::lower::buffers::ChannelSlice;
use crate::plan::{Argument, Region};
use crate::settings::{MAX_ROWS, Settings};

/// The capacity for candidates per anchor: with all classes counted there may be several.
const CANDIDATES_PER_ANCHOR: u32 = 4;

impl Lowering<'_> {
    pub(super) fn head(&mut self, levels: &[[usize; 2]]) -> Result<(), LowerError> {
        let Some(detect) = self.options.detect else {
            unreachable!("only steps towards boxes have a head");
        };
        let nodes: Vec<usize> = levels.iter().flatten().copied().collect();
        let inputs: Vec<ValueId> = nodes
            .iter()
            .map(|&n| self.graph.nodes[n].inputs[0])
            .collect();
        let slices: Result<Vec<ChannelSlice>, _> =
            inputs.iter().map(|&value| self.slice(value)).collect();
        let slices = slices?;
        let target = self.options.gpu.target;
        let mut shape = HeadShape {
            element: self.element(),
            levels: self.head_levels(&slices, detect),
            reg_max: detect.reg_max as u32,
            classes: detect.classes as u32,
            capacity: 0,
            filter: !detect.end_to_end,
            raw: false,
        };
        shape.capacity = shape.anchors() * CANDIDATES_PER_ANCHOR;
        if !shape.is_supported(target) {
            let reason = format!("the end of a head with {} classes", shape.classes);
            return Err(LowerError::Unsupported(vec![reason]));
        }
        let (weights, biases) = self.head_weights(levels, &shape);
        let batch = self.batch;
        let candidates = self.scratch((batch * shape.capacity * CANDIDATE_BYTES) as usize);
        let counters = Argument::Memory {
            region: Region::Counters,
            offset: 0,
            bytes: 4 * batch as usize,
        };
        self.plan.counter_bytes = 4 * batch as usize;
        let settings = self.settings(detect.classes);
        let bytes = (weights.len() + biases.len()) as u64;
        let mut arguments: Vec<Argument> =
            slices.iter().map(|slice| self.argument(slice)).collect();
        arguments.push(self.constant(&weights));
        arguments.push(self.constant(&biases));
        arguments.extend([settings, candidates, counters]);
        let nms = NmsShape {
            capacity: shape.capacity,
            classes: shape.classes,
            rows: MAX_ROWS,
            end_to_end: detect.end_to_end,
        };
        let draft = Draft {
            name: self.names(&nodes),
            spec: KernelSpec::Head(shape),
            arguments,
            reads: slices,
            writes: Vec::new(),
            flops: self.flops(&nodes),
            bytes,
        };
        self.launch(draft);
        self.nms(nms, [settings, candidates, counters]);
        Ok(())
    }

    /// The suppression of what the launch before found.
    fn nms(&mut self, shape: NmsShape, [settings, candidates, counters]: [Argument; 3]) {
        let batch = self.batch;
        let bytes = (batch * shape.output_bytes()) as usize;
        let images = Argument::Memory {
            region: Region::Input(0),
            offset: 0,
            bytes: Argument::WHOLE,
        };
        let scratch = self.scratch((batch * shape.scratch_bytes()) as usize);
        let output = Argument::Memory {
            region: Region::Output(0),
            offset: 0,
            bytes,
        };
        self.plan.outputs.push(bytes);
        self.launch(Draft {
            name: "suppression".to_owned(),
            spec: KernelSpec::Nms(shape),
            arguments: vec![images, settings, candidates, counters, scratch, output],
            reads: Vec::new(),
            writes: Vec::new(),
            flops: 0,
            bytes: bytes as u64,
        });
        let before = self.plan.launches.len() - 2;
        self.plan.launches[before + 1].after = vec![before];
    }

    fn head_levels(&self, slices: &[ChannelSlice], detect: &DetectHead) -> Vec<HeadLevel> {
        let pairs = slices.as_chunks().0.iter().zip(&detect.strides);
        let level = |([boxes, classes], &stride): (&[ChannelSlice; 2], &usize)| HeadLevel {
            boxes: self.map(boxes),
            classes: self.map(classes),
            stride: stride as u32,
        };
        pairs.map(level).collect()
    }

    /// Weights and biases of all levels as the kernel takes them.
    fn head_weights(&self, levels: &[[usize; 2]], shape: &HeadShape) -> (Vec<u8>, Vec<u8>) {
        let zeros = vec![0.0; 4 * shape.reg_max.max(shape.classes) as usize];
        let part = |&node: &usize| {
            let (_, conv) = self.node_conv(node);
            let bias = conv
                .bias
                .as_ref()
                .map_or(&zeros[..conv.outputs()], |bias| bias.data());
            (conv.weight.data(), bias)
        };
        let parts: Vec<[(&[f32], &[f32]); 2]> = levels
            .iter()
            .map(|level| [part(&level[0]), part(&level[1])])
            .collect();
        let target = self.options.gpu.target;
        let (weights, biases) = head::pack(target, shape, self.batch, &parts);
        let biases = biases.into_iter().flat_map(f32::to_le_bytes).collect();
        (shape.element.encode(weights), biases)
    }

    /// The settings of each image as the second input.
    fn settings(&mut self, classes: usize) -> Argument {
        let bytes = Settings::bytes(classes) * self.batch as usize;
        if self.plan.inputs.len() < 2 {
            self.plan.inputs.push(bytes);
        }
        Argument::Memory {
            region: Region::Input(1),
            offset: 0,
            bytes,
        }
    }

    /// Memory of the arena that nothing else ever uses.
    fn scratch(&mut self, bytes: usize) -> Argument {
        let offset = self.plan.arena_bytes.next_multiple_of(super::ALIGNMENT);
        self.plan.arena_bytes = offset + bytes;
        self.plan.unshared_bytes += bytes;
        Argument::Memory {
            region: Region::Arena,
            offset,
            bytes,
        }
    }
}
