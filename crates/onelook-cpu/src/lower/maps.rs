//! Binds operators on maps, and copies between maps and dense values.

use onelook_graph::op::{self, Op};
use onelook_graph::{Node, ValueId};

use super::Placed;
use crate::kernels::activation::Activate;
use crate::kernels::attention::Attention;
use crate::kernels::depth_to_space::DepthToSpace;
use crate::kernels::elementwise::{Combine, Elementwise};
use crate::kernels::pool::MaxPool;
use crate::kernels::upsample::Upsample;
use crate::kernels::{Activation, BLOCK, Element, KernelError, channels, copy, reorder};
use crate::plan::{DensePlace, MapPlace, Memory, Step};

/// The kernels' word for an operator's activation.
pub(super) fn kernel_activation(activation: Option<op::Activation>) -> Activation {
    match activation {
        None => Activation::None,
        Some(op::Activation::Relu) => Activation::Relu,
        Some(op::Activation::Silu) => Activation::Silu,
        Some(op::Activation::Sigmoid) => Activation::Sigmoid,
        Some(op::Activation::Exp) => Activation::Exp,
    }
}

impl Placed {
    pub(super) fn bind_maps(&self, node: &Node) -> Result<Box<dyn Step>, KernelError> {
        let (input, output) = (node.inputs[0], node.outputs[0]);
        let maps = || (self.map(input), self.map(output));
        Ok(match &node.op {
            Op::Copy(_) => match (self.is_map(input), self.is_map(output)) {
                (true, true) => Box::new(CopyPlanes {
                    pieces: vec![maps()],
                }),
                (true, false) => Box::new(ToDense {
                    input: self.map(input),
                    output: self.dense(output),
                }),
                _ => Box::new(ToMap {
                    input: self.dense(input),
                    output: self.map(output),
                }),
            },
            Op::Concat(_) | Op::Split(_) => self.bind_pieces(node)?,
            Op::MaxPool(pool) => {
                let (input, output) = maps();
                let layouts = [input.layout(), output.layout()];
                let padding = [pool.padding[0], pool.padding[1]];
                let (window, stride) = (pool.kernel, pool.stride);
                let kernel =
                    MaxPool::new(self.isa, window, stride, padding, layouts, self.threads)?;
                Box::new(PoolStep {
                    kernel,
                    input,
                    output,
                })
            }
            Op::Upsample(upsample) => {
                let (input, output) = maps();
                Box::new(UpsampleStep {
                    kernel: Upsample::new(upsample.factor),
                    input,
                    output,
                })
            }
            Op::DepthToSpace(op::DepthToSpace { block }) => {
                let (input, output) = maps();
                Box::new(DepthToSpaceStep {
                    kernel: DepthToSpace::new(*block),
                    input,
                    output,
                })
            }
            Op::Activation(function) => {
                let (input, output) = maps();
                let kernel = Activate::new(self.isa, kernel_activation(Some(*function)));
                Box::new(ActivationStep {
                    kernel,
                    input,
                    output,
                })
            }
            Op::Binary(function) => Box::new(BinaryStep {
                kernel: Elementwise::new(self.isa, combine(*function)?),
                operands: [self.map(input), self.map(node.inputs[1])],
                output: self.map(output),
            }),
            Op::Attention(attention) => Box::new(self.bind_attention(node, attention)?),
            other => {
                let reason = format!("{} has no kernel for maps", other.name());
                return Err(KernelError {
                    kernel: "map",
                    reason,
                });
            }
        })
    }

    /// Joins or cuts channels that could not be made views.
    fn bind_pieces(&self, node: &Node) -> Result<Box<dyn Step>, KernelError> {
        let joined = matches!(node.op, Op::Concat(_));
        let (whole, parts) = match joined {
            true => (node.outputs[0], &node.inputs),
            false => (node.inputs[0], &node.outputs),
        };
        let mut channel = 0;
        let mut pieces = Vec::with_capacity(parts.len());
        for &part in parts {
            pieces.push((self.map(part), channel));
            channel += self.map(part).channels;
        }
        Ok(Box::new(ChannelPieces {
            whole: self.map(whole),
            pieces,
            joined,
        }))
    }

    fn bind_attention(
        &self,
        node: &Node,
        attention: &op::Attention,
    ) -> Result<AttentionStep, KernelError> {
        let &op::Attention {
            heads,
            key_size,
            head_size,
            scale,
        } = attention;
        let whole = self.map(node.inputs[0]);
        let part = |channel: usize, channels: usize| MapPlace {
            first_plane: whole.first_plane + channel / BLOCK,
            channels,
            ..whole
        };
        let keys = heads * key_size;
        let layout = whole.layout();
        let kernel = Attention::new(
            self.isa,
            heads,
            key_size,
            head_size,
            scale,
            layout,
            self.threads,
        )?;
        Ok(AttentionStep {
            kernel,
            parts: [
                part(0, keys),
                part(keys, keys),
                part(2 * keys, heads * head_size),
            ],
            output: self.map(node.outputs[0]),
        })
    }

    /// The step that brings graph output `index` to the caller.
    pub(super) fn bind_output(&self, index: usize, value: ValueId) -> Box<dyn Step> {
        match self.is_map(value) {
            true => Box::new(ToDense {
                input: self.map(value),
                output: DensePlace::Output(index),
            }),
            false => self.bind_dense_output(index, value),
        }
    }
}

struct ToDense {
    input: MapPlace,
    output: DensePlace,
}

impl Step for ToDense {
    fn kernel(&self) -> &'static str {
        reorder::name()
    }

    fn tasks(&self) -> usize {
        self.input.planes()
    }

    unsafe fn run(&self, memory: &Memory<'_>, task: usize, _worker: usize) {
        // SAFETY: the plan reserved both sides; a task is one plane.
        unsafe {
            reorder::run_to_dense(self.input.view(memory), self.output.write(memory), 0, task)
        }
    }
}

struct ToMap {
    input: DensePlace,
    output: MapPlace,
}

impl Step for ToMap {
    fn kernel(&self) -> &'static str {
        reorder::name()
    }

    fn tasks(&self) -> usize {
        self.output.planes()
    }

    unsafe fn run(&self, memory: &Memory<'_>, task: usize, _worker: usize) {
        // SAFETY: the plan reserved both sides; a task is one plane.
        unsafe {
            reorder::run_to_blocked(
                self.input.read(memory),
                0,
                self.output.view_mut(memory),
                task,
            )
        }
    }
}

/// Whole planes copied from place to place.
struct CopyPlanes {
    pieces: Vec<(MapPlace, MapPlace)>,
}

impl Step for CopyPlanes {
    fn kernel(&self) -> &'static str {
        let first = self.pieces.first();
        copy::name(first.map_or(Element::F32, |(from, _)| from.whole.element))
    }

    fn tasks(&self) -> usize {
        self.pieces.iter().map(|(from, _)| from.planes()).sum()
    }

    unsafe fn run(&self, memory: &Memory<'_>, mut task: usize, _worker: usize) {
        for (from, to) in &self.pieces {
            if task < from.planes() {
                // SAFETY: the plan keeps the places apart; a task is one plane.
                return unsafe { copy::run(from.view(memory), to.view_mut(memory), task) };
            }
            task -= from.planes();
        }
    }
}

/// Parts whose channels do not start on a block within the whole.
struct ChannelPieces {
    whole: MapPlace,
    /// Each part with its first channel in the whole.
    pieces: Vec<(MapPlace, usize)>,
    joined: bool,
}

impl Step for ChannelPieces {
    fn kernel(&self) -> &'static str {
        channels::name(self.whole.whole.element)
    }

    fn tasks(&self) -> usize {
        match self.joined {
            true => self.whole.planes(),
            false => self.pieces.iter().map(|(part, _)| part.planes()).sum(),
        }
    }

    unsafe fn run(&self, memory: &Memory<'_>, mut task: usize, _worker: usize) {
        // SAFETY: the places are of this plan and apart; a task is one plane of what is written.
        unsafe {
            if self.joined {
                let whole = self.whole.view_mut(memory);
                let parts = self
                    .pieces
                    .iter()
                    .map(|(part, channel)| (part.view(memory), *channel));
                return channels::gather_plane(parts, whole, 0, task);
            }
            for (part, channel) in &self.pieces {
                if task < part.planes() {
                    let whole = std::iter::once((self.whole.view(memory), 0));
                    return channels::gather_plane(whole, part.view_mut(memory), *channel, task);
                }
                task -= part.planes();
            }
        }
    }
}

macro_rules! one_to_one {
    ($step:ident, $kernel:ty, $tasks:expr) => {
        struct $step {
            kernel: $kernel,
            input: MapPlace,
            output: MapPlace,
        }

        impl Step for $step {
            fn kernel(&self) -> &'static str {
                self.kernel.name(self.output.whole.element)
            }

            fn tasks(&self) -> usize {
                let tasks: fn(&Self) -> usize = $tasks;
                tasks(self)
            }

            unsafe fn run(&self, memory: &Memory<'_>, task: usize, _worker: usize) {
                // SAFETY: the places are of this plan and apart.
                unsafe {
                    self.kernel
                        .run(self.input.view(memory), self.output.view_mut(memory), task)
                }
            }
        }
    };
}

one_to_one!(PoolStep, MaxPool, |step| step.kernel.tasks(1));
one_to_one!(UpsampleStep, Upsample, |step| step
    .kernel
    .tasks(step.input.planes(), 1));
one_to_one!(DepthToSpaceStep, DepthToSpace, |step| step
    .kernel
    .tasks(step.output.planes(), 1));
one_to_one!(ActivationStep, Activate, |step| step
    .kernel
    .tasks(step.input.planes(), 1));

struct BinaryStep {
    kernel: Elementwise,
    operands: [MapPlace; 2],
    output: MapPlace,
}

impl Step for BinaryStep {
    fn kernel(&self) -> &'static str {
        self.kernel.name(self.output.whole.element)
    }

    fn tasks(&self) -> usize {
        self.kernel.tasks(self.output.planes(), 1)
    }

    unsafe fn run(&self, memory: &Memory<'_>, task: usize, _worker: usize) {
        // SAFETY: the places are of this plan and apart.
        unsafe {
            let [a, b] = self.operands.map(|operand| operand.view(memory));
            self.kernel.run(a, b, self.output.view_mut(memory), task);
        }
    }
}

struct AttentionStep {
    kernel: Attention,
    parts: [MapPlace; 3],
    output: MapPlace,
}

impl Step for AttentionStep {
    fn kernel(&self) -> &'static str {
        self.kernel.name()
    }

    fn tasks(&self) -> usize {
        self.kernel.tasks(1)
    }

    fn scratch_floats(&self) -> usize {
        self.kernel.scratch_floats()
    }

    unsafe fn run(&self, memory: &Memory<'_>, task: usize, worker: usize) {
        // SAFETY: the places are of this plan and apart; the scratch is this worker's.
        unsafe {
            let scratch = memory.scratch_slice(worker, self.kernel.scratch_floats());
            let parts = self.parts.map(|part| part.view(memory));
            self.kernel
                .run(parts, self.output.view_mut(memory), scratch, task);
        }
    }
}

fn combine(function: op::Binary) -> Result<Combine, KernelError> {
    match function {
        op::Binary::Add => Ok(Combine::Add),
        op::Binary::Sub => Ok(Combine::Subtract),
        op::Binary::Mul => Ok(Combine::Multiply),
        op::Binary::Div => {
            let reason = "maps are not divided: unused channels would be 0 / 0".to_owned();
            Err(KernelError {
                kernel: "div",
                reason,
            })
        }
    }
}
