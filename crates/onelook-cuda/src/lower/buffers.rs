//! Buffer assignment: which buffer each value lies in, as a range of its channels.
//!
//! The inputs of a concatenation share one buffer, in order, unless an earlier concatenation has
//! already placed them: then the result is complete once they are written, and nothing is copied. A
//! concatenation that cannot be placed so is read as several slices.

use onelook_graph::{Graph, NodeId, Op, ValueId};
use onelook_types::Shape;

/// A range of channels of a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChannelSlice {
    /// Which buffer.
    pub buffer: usize,
    /// First channel.
    pub channel: u32,
    /// Channels of the value.
    pub channels: u32,
    /// How often each pixel is repeated along both axes (nearest upsampling).
    pub upsample: u32,
}

impl ChannelSlice {
    /// One past the last channel, padding included.
    pub fn end(&self, per_vector: u32) -> u32 {
        self.channel + self.channels.next_multiple_of(per_vector)
    }
}

/// Memory for feature maps of one height and width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Buffer {
    /// Rows.
    pub height: u32,
    /// Pixels of a row.
    pub width: u32,
    /// Channels of all values in it.
    pub pitch: u32,
}

/// All buffers, and where the values lie in them.
#[derive(Debug, Clone, Default)]
pub struct BufferAssignment {
    /// The buffers.
    pub buffers: Vec<Buffer>,
    /// By value index: the slice of a value that is written.
    slices: Vec<Option<ChannelSlice>>,
    producers: Vec<Option<NodeId>>,
    per_vector: u32,
}

/// A value, or a range of one, that is written as a whole.
#[derive(Clone, Copy)]
struct Leaf {
    value: ValueId,
    first: u32,
    channels: u32,
    upsample: u32,
}

impl BufferAssignment {
    /// Assigns the values in `written`, which kernels write.
    pub fn new(graph: &Graph, shapes: &[Shape], written: &[ValueId], per_vector: u32) -> Self {
        let mut assignment = Self {
            buffers: Vec::new(),
            slices: vec![None; graph.values.len()],
            producers: graph.producers(),
            per_vector,
        };
        for node in &graph.nodes {
            if let (Op::Concat(_), &[output]) = (&node.op, &node.outputs[..]) {
                assignment.assign_together(
                    &assignment.leaves(graph, shapes, output),
                    shapes,
                    written,
                );
            }
        }
        for &value in written {
            if assignment.slices[value.index()].is_none() {
                assignment.assign_run(&[value], shapes);
            }
        }
        assignment
    }

    /// Where a value's channels lie, in order and in as few slices as possible. `None` when no
    /// kernel writes some of them.
    pub fn read(
        &self,
        graph: &Graph,
        shapes: &[Shape],
        value: ValueId,
    ) -> Option<Vec<ChannelSlice>> {
        let mut slices: Vec<ChannelSlice> = Vec::new();
        for leaf in self.leaves(graph, shapes, value) {
            let whole = self.slices[leaf.value.index()]?;
            let slice = ChannelSlice {
                channel: whole.channel + leaf.first,
                channels: leaf.channels,
                upsample: leaf.upsample,
                ..whole
            };
            match slices.last_mut() {
                Some(last)
                    if (last.buffer, last.upsample) == (slice.buffer, slice.upsample)
                        && last.channel + last.channels == slice.channel =>
                {
                    last.channels += slice.channels;
                }
                _ => slices.push(slice),
            }
        }
        Some(slices)
    }

    /// The written values that a value consists of, seen through splits, concatenations and
    /// upsamplings.
    fn leaves(&self, graph: &Graph, shapes: &[Shape], value: ValueId) -> Vec<Leaf> {
        let channels = shapes[value.index()].get(1).map_or(0, |&c| c as u32);
        let whole = Leaf {
            value,
            first: 0,
            channels,
            upsample: 1,
        };
        let Some(NodeId(producer)) = self.producers[value.index()] else {
            return vec![whole];
        };
        let node = &graph.nodes[producer];
        let inside = |value| self.leaves(graph, shapes, value);
        match &node.op {
            Op::Concat(concat) if concat.axis == 1 => node
                .inputs
                .iter()
                .flat_map(|&input| inside(input))
                .collect(),
            Op::Upsample(upsample) => {
                let mut leaves = inside(node.inputs[0]);
                for leaf in &mut leaves {
                    leaf.upsample *= upsample.factor as u32;
                }
                leaves
            }
            Op::Split(split) if split.axis == 1 => {
                let part = node.outputs.iter().position(|&output| output == value);
                let before = split.sizes.iter().take(part.unwrap_or(0)).sum::<usize>() as u32;
                range(&inside(node.inputs[0]), before, channels)
            }
            _ => vec![whole],
        }
    }

    fn assign_together(&mut self, leaves: &[Leaf], shapes: &[Shape], written: &[ValueId]) {
        let mut run: Vec<ValueId> = Vec::new();
        for leaf in leaves {
            // A leaf can be placed here only as a whole, once, and by this concatenation first. One
            // that cannot, or whose channels do not end on a vector (the next would not be
            // aligned), ends the run: what follows it begins another buffer.
            let whole = leaf.upsample == 1
                && shapes[leaf.value.index()].get(1) == Some(&(leaf.channels as usize));
            let free = whole
                && self.slices[leaf.value.index()].is_none()
                && written.contains(&leaf.value)
                && !run.contains(&leaf.value);
            if free {
                run.push(leaf.value);
            }
            if !free || !leaf.channels.is_multiple_of(self.per_vector) {
                self.assign_run(&std::mem::take(&mut run), shapes);
            }
        }
        self.assign_run(&run, shapes);
    }

    fn assign_run(&mut self, run: &[ValueId], shapes: &[Shape]) {
        let Some(first) = run.first() else { return };
        let extents = |value: &ValueId| {
            let extents = shapes[value.index()].nchw();
            let extents = extents.expect("lowering refuses written values of another rank");
            extents.map(|extent| extent as u32)
        };
        let [_, _, height, width] = extents(first);
        let mut channel = 0;
        for value in run {
            let [_, channels, _, _] = extents(value);
            let slice = ChannelSlice {
                buffer: self.buffers.len(),
                channel,
                channels,
                upsample: 1,
            };
            channel = slice.end(self.per_vector);
            self.slices[value.index()] = Some(slice);
        }
        self.buffers.push(Buffer {
            height,
            width,
            pitch: channel,
        });
    }
}

/// The leaves of so many channels from `first` on.
fn range(leaves: &[Leaf], mut first: u32, mut channels: u32) -> Vec<Leaf> {
    let mut picked = Vec::new();
    for leaf in leaves {
        let skipped = first.min(leaf.channels);
        let taken = (leaf.channels - skipped).min(channels);
        if taken > 0 {
            picked.push(Leaf {
                first: leaf.first + skipped,
                channels: taken,
                ..*leaf
            });
        }
        first -= skipped;
        channels -= taken;
    }
    picked
}
