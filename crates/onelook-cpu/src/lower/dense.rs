//! Binds operators on dense values.

use onelook_graph::Node;
use onelook_graph::op::{Binary, Op, Reduction};
use onelook_types::Shape;

use super::Placed;
use crate::isa::Isa;
use crate::kernels::activation::Activate;
use crate::kernels::broadcast::Broadcast;
use crate::kernels::gemm::Gemm;
use crate::kernels::reduce::AlongAxis;
use crate::kernels::strided_copy::StridedCopy;
use crate::kernels::{KernelError, share, softmax};
use crate::plan::{DensePlace, Memory, Step};

/// Floats below which a row of element-wise work is not cut further.
const FLOATS_PER_TASK: usize = 1 << 14;

impl Placed {
    pub(super) fn bind_dense(&self, node: &Node) -> Result<Box<dyn Step>, KernelError> {
        let input = |index: usize| self.dense(node.inputs[index]);
        let output = || self.dense(node.outputs[0]);
        let shape = |index: usize| self.shape(node.inputs[index]);
        let target = self.shape(node.outputs[0]);
        Ok(match &node.op {
            Op::Activation(function) => Box::new(ActivationStep {
                kernel: Activate::new(self.isa, super::maps::kernel_activation(Some(*function))),
                input: input(0),
                output: output(),
                floats: target.elements(),
            }),
            Op::Binary(function) => Box::new(BinaryStep {
                kernel: broadcast(*function, shape(0), shape(1), target),
                operands: [input(0), input(1)],
                output: output(),
            }),
            Op::Concat(_) | Op::Split(_) | Op::Slice(_) | Op::Transpose(_) => {
                Box::new(self.strided(node))
            }
            Op::Reshape(_) | Op::Copy(_) => {
                Box::new(whole_copy(target.elements(), input(0), output()))
            }
            Op::MatMul(_) => Box::new(self.mat_mul(node)),
            Op::Program(program) => Box::new(self.program(node, program)),
            Op::Reduce(reduce) => Box::new(ReduceStep {
                along: AlongAxis::new(shape(0), reduce.axis),
                reduction: reduce.reduction,
                input: input(0),
                output: output(),
            }),
            Op::Softmax(softmax) if softmax.axis + 1 == target.len() => Box::new(RowSoftmaxStep {
                isa: self.isa,
                rows: target[..softmax.axis].iter().product(),
                extent: target[softmax.axis],
                input: input(0),
                output: output(),
            }),
            Op::Softmax(softmax) => Box::new(SoftmaxStep {
                along: AlongAxis::new(shape(0), softmax.axis),
                exp: Activate::new(self.isa, crate::kernels::Activation::Exp),
                input: input(0),
                output: output(),
            }),
            other => {
                let reason = format!("{} has no dense kernel", other.name());
                return Err(KernelError {
                    kernel: "dense",
                    reason,
                });
            }
        })
    }

    pub(super) fn bind_dense_output(
        &self,
        index: usize,
        value: onelook_graph::ValueId,
    ) -> Box<dyn Step> {
        let floats = self.shape(value).elements();
        Box::new(whole_copy(
            floats,
            self.dense(value),
            DensePlace::Output(index),
        ))
    }

    fn strided(&self, node: &Node) -> CopyStep {
        let source_shape = self.shape(node.inputs[0]);
        let target_shape = self.shape(node.outputs[0]);
        let (sources, targets) = (source_shape.strides(), target_shape.strides());
        let place = |value| self.dense(value);
        let copies = match &node.op {
            Op::Transpose(transpose) => {
                let steps: Vec<usize> = transpose.order.iter().map(|&axis| sources[axis]).collect();
                let copy = StridedCopy::new(target_shape, (&steps, 0), (&targets, 0));
                vec![(copy, place(node.inputs[0]), place(node.outputs[0]))]
            }
            Op::Slice(slice) => {
                let from = (&sources[..], slice.start * sources[slice.axis]);
                let copy = StridedCopy::new(target_shape, from, (&targets, 0));
                vec![(copy, place(node.inputs[0]), place(node.outputs[0]))]
            }
            Op::Split(split) => {
                let starts = starts(split.sizes.iter().copied());
                let piece = |(&output, start): (&_, usize)| {
                    let shape = self.shape(output);
                    let from = (&sources[..], start * sources[split.axis]);
                    let copy = StridedCopy::new(shape, from, (&shape.strides(), 0));
                    (copy, place(node.inputs[0]), place(output))
                };
                node.outputs.iter().zip(starts).map(piece).collect()
            }
            Op::Concat(concat) => {
                let starts = starts(node.inputs.iter().map(|&v| self.shape(v)[concat.axis]));
                let piece = |(&input, start): (&_, usize)| {
                    let shape = self.shape(input);
                    let to = (&targets[..], start * targets[concat.axis]);
                    let copy = StridedCopy::new(shape, (&shape.strides(), 0), to);
                    (copy, place(input), place(node.outputs[0]))
                };
                node.inputs.iter().zip(starts).map(piece).collect()
            }
            _ => Vec::new(),
        };
        CopyStep { copies }
    }

    fn mat_mul(&self, node: &Node) -> MatMulStep {
        let (a, b) = (self.shape(node.inputs[0]), self.shape(node.inputs[1]));
        let rank = a.len();
        let (rows, depth, columns) = (a[rank - 2], a[rank - 1], b[rank - 1]);
        MatMulStep {
            kernel: Gemm::new(self.isa, rows, columns, depth, self.threads),
            matrices: a[..rank - 2].iter().product(),
            floats: [rows * depth, depth * columns, rows * columns],
            a: self.dense(node.inputs[0]),
            b: self.dense(node.inputs[1]),
            output: self.dense(node.outputs[0]),
        }
    }
}

fn starts(sizes: impl Iterator<Item = usize>) -> impl Iterator<Item = usize> {
    sizes.scan(0, |next, size| {
        let start = *next;
        *next += size;
        Some(start)
    })
}

fn broadcast(function: Binary, a: &Shape, b: &Shape, target: &Shape) -> Broadcast {
    let strides = |operand: &Shape| -> Vec<usize> {
        let own = operand.strides();
        let missing = target.len() - operand.len();
        (0..target.len())
            .map(|axis| match axis.checked_sub(missing) {
                Some(inner) if operand[inner] != 1 => own[inner],
                _ => 0,
            })
            .collect()
    };
    Broadcast::new(function, target, &strides(a), &strides(b))
}

fn whole_copy(floats: usize, input: DensePlace, output: DensePlace) -> CopyStep {
    CopyStep {
        copies: vec![(
            StridedCopy::new(&[floats], (&[1], 0), (&[1], 0)),
            input,
            output,
        )],
    }
}

struct CopyStep {
    copies: Vec<(StridedCopy, DensePlace, DensePlace)>,
}

impl Step for CopyStep {
    fn kernel(&self) -> &'static str {
        "strided_copy_f32_dense_portable"
    }

    fn tasks(&self) -> usize {
        self.copies.iter().map(|(copy, ..)| copy.tasks()).sum()
    }

    unsafe fn run(&self, memory: &Memory<'_>, mut task: usize, _worker: usize) {
        for (copy, input, output) in &self.copies {
            if task < copy.tasks() {
                // SAFETY: the plan reserved both sides with the copy's extents.
                return unsafe { copy.run(input.read(memory), output.write(memory), task) };
            }
            task -= copy.tasks();
        }
    }
}

struct ActivationStep {
    kernel: Activate,
    input: DensePlace,
    output: DensePlace,
    floats: usize,
}

impl Step for ActivationStep {
    fn kernel(&self) -> &'static str {
        "activate_f32_dense"
    }

    fn tasks(&self) -> usize {
        self.floats.div_ceil(FLOATS_PER_TASK)
    }

    unsafe fn run(&self, memory: &Memory<'_>, task: usize, _worker: usize) {
        let range = share(self.floats, self.tasks(), task);
        let source = self.input.read(memory).wrapping_add(range.start);
        let target = self.output.write(memory).wrapping_add(range.start);
        // SAFETY: the plan reserved both sides, which do not overlap, and the task owns its range.
        unsafe {
            target.copy_from_nonoverlapping(source, range.len());
            self.kernel
                .run_dense(std::slice::from_raw_parts_mut(target, range.len()));
        }
    }
}

struct BinaryStep {
    kernel: Broadcast,
    operands: [DensePlace; 2],
    output: DensePlace,
}

impl Step for BinaryStep {
    fn kernel(&self) -> &'static str {
        self.kernel.name()
    }

    fn tasks(&self) -> usize {
        self.kernel.tasks()
    }

    unsafe fn run(&self, memory: &Memory<'_>, task: usize, _worker: usize) {
        let [a, b] = [self.operands[0].read(memory), self.operands[1].read(memory)];
        // SAFETY: the plan reserved operands and output with the kernel's extents.
        unsafe { self.kernel.run(a, b, self.output.write(memory), task) }
    }
}

struct ReduceStep {
    along: AlongAxis,
    reduction: Reduction,
    input: DensePlace,
    output: DensePlace,
}

impl Step for ReduceStep {
    fn kernel(&self) -> &'static str {
        "reduce_f32_dense_portable"
    }

    fn tasks(&self) -> usize {
        self.along.tasks()
    }

    unsafe fn run(&self, memory: &Memory<'_>, task: usize, _worker: usize) {
        let (source, target) = (self.input.read(memory), self.output.write(memory));
        // SAFETY: the plan reserved both sides with these extents.
        unsafe { self.along.reduce(self.reduction, source, target, task) }
    }
}

struct SoftmaxStep {
    along: AlongAxis,
    exp: Activate,
    input: DensePlace,
    output: DensePlace,
}

impl Step for SoftmaxStep {
    fn kernel(&self) -> &'static str {
        "softmax_f32_dense"
    }

    fn tasks(&self) -> usize {
        self.along.tasks()
    }

    fn scratch_floats(&self) -> usize {
        self.along.inner
    }

    unsafe fn run(&self, memory: &Memory<'_>, task: usize, worker: usize) {
        let (source, target) = (self.input.read(memory), self.output.write(memory));
        // SAFETY: the plan reserved both sides and the scratch.
        unsafe {
            self.along
                .softmax(self.exp, source, target, memory.scratch(worker), task)
        }
    }
}

/// Softmax along the last axis.
struct RowSoftmaxStep {
    isa: Isa,
    rows: usize,
    extent: usize,
    input: DensePlace,
    output: DensePlace,
}

impl Step for RowSoftmaxStep {
    fn kernel(&self) -> &'static str {
        softmax::name(self.isa)
    }

    fn tasks(&self) -> usize {
        (self.rows * self.extent)
            .div_ceil(FLOATS_PER_TASK)
            .min(self.rows)
    }

    unsafe fn run(&self, memory: &Memory<'_>, task: usize, _worker: usize) {
        let rows = share(self.rows, self.tasks(), task);
        let (first, floats) = (rows.start * self.extent, rows.len() * self.extent);
        let target = self.output.write(memory).wrapping_add(first);
        // SAFETY: the plan reserved both sides, which do not overlap, and the task owns its rows.
        unsafe {
            target.copy_from_nonoverlapping(self.input.read(memory).wrapping_add(first), floats);
            softmax::run(
                self.isa,
                std::slice::from_raw_parts_mut(target, floats),
                self.extent,
            );
        }
    }
}

struct MatMulStep {
    kernel: Gemm,
    matrices: usize,
    floats: [usize; 3],
    a: DensePlace,
    b: DensePlace,
    output: DensePlace,
}

impl Step for MatMulStep {
    fn kernel(&self) -> &'static str {
        self.kernel.name()
    }

    fn tasks(&self) -> usize {
        self.kernel.tasks() * self.matrices
    }

    fn scratch_floats(&self) -> usize {
        self.kernel.scratch_floats()
    }

    unsafe fn run(&self, memory: &Memory<'_>, task: usize, worker: usize) {
        let (matrix, task) = (task / self.kernel.tasks(), task % self.kernel.tasks());
        let [a_floats, b_floats, output_floats] = self.floats.map(|floats| floats * matrix);
        let a = self.a.read(memory).wrapping_add(a_floats);
        let b = self.b.read(memory).wrapping_add(b_floats);
        let output = self.output.write(memory).wrapping_add(output_floats);
        // SAFETY: the plan reserved the matrices with the kernel's extents, and the scratch.
        unsafe {
            let scratch = memory.scratch_slice(worker, self.kernel.scratch_floats());
            self.kernel.run(a, b, output, scratch, task);
        }
    }
}
