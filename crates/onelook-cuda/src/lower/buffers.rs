//! Where maps lie: buffers of pixels, values as ranges of their channels.
//!
//! Pieces of a concatenation that nobody else has placed share a buffer in its order, so that the
//! whole is there once they are written. What cannot share is read piece by piece.

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
    /// How often each pixel is seen along both axes.
    pub upsample: u32,
}

impl ChannelSlice {
    /// The channel behind the last, padding included.
    pub fn end(&self, per_vector: u32) -> u32 {
        self.channel + self.channels.next_multiple_of(per_vector)
    }
}

/// A map in memory for which a kernel writes pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Buffer {
    /// Rows.
    pub height: u32,
    /// Pixels of a row.
    pub width: u32,
    /// Channels of all values in it.
    pub pitch: u32,
}

/// All buffers, and the values in them.
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
    /// Seats the values that `written` names.
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

    /// Where a value's channels lie, in order; as few slices as possible. `None` when part of it is
    /// written by no step.
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

    /// The written values under splits, concatenations and upsamplings.
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
                let piece = node.outputs.iter().position(|&output| output == value);
                let before = split.sizes.iter().take(piece.unwrap_or(0)).sum::<usize>() as u32;
                range(&inside(node.inputs[0]), before, channels)
            }
            _ => vec![whole],
        }
    }

    fn assign_together(&mut self, leaves: &[Leaf], shapes: &[Shape], written: &[ValueId]) {
        let mut run: Vec<ValueId> = Vec::new();
        for leaf in leaves {
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
        let side = |axis: usize| {
            shapes[first.index()]
                .get(axis)
                .map_or(1, |&side| side as u32)
        };
        let mut channel = 0;
        for value in run {
            let channels = shapes[value.index()].get(1).map_or(0, |&c| c as u32);
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
            height: side(2),
            width: side(3),
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
