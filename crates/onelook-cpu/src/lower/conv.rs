//! Binds convolutions: blocked, grouped, depthwise, or the first one, which reads the image's planes.

use onelook_graph::Node;
use onelook_graph::op::Conv;

use super::Placed;
use super::maps::kernel_activation;
use super::weights::WeightCache;
use crate::kernels::KernelError;
use crate::kernels::conv::winograd::Winograd;
use crate::kernels::conv::{self, ConvShape};
use crate::kernels::depthwise::Depthwise;
use crate::kernels::stem::Stem;
use crate::plan::{DensePlace, MapPlace, Memory, Step};

impl Placed {
    pub(super) fn bind_conv(
        &self,
        node: &Node,
        conv: &Conv,
        weights: &mut WeightCache,
    ) -> Result<Box<dyn Step>, KernelError> {
        if !self.is_map(node.inputs[0]) {
            return self.bind_stem(node, conv);
        }
        let (input, output) = (self.map(node.inputs[0]), self.map(node.outputs[0]));
        let residual = conv.residual.then(|| self.map(node.inputs[1]));
        let activation = kernel_activation(conv.activation);
        let shape = conv_shape(conv);
        if conv.is_depthwise() {
            let kernel = Depthwise::new(
                self.isa,
                shape,
                conv.weight.data(),
                conv.bias.as_ref().map(|bias| bias.data()),
                activation,
                [input.layout(), output.layout()],
                self.threads,
            )?;
            return Ok(Box::new(DepthwiseStep {
                kernel,
                input,
                residual,
                output,
            }));
        }
        if conv.groups != 1 {
            return self.bind_grouped(node, conv, weights);
        }
        let (from, to) = (input.layout(), output.layout());
        if Winograd::suits(&shape, activation, &to) {
            let packed = weights.transformed(conv, shape)?;
            let kernel = Winograd::new(self.isa, packed, activation, from, to, self.threads)?;
            return Ok(Box::new(WinogradStep {
                kernel,
                input,
                residual,
                output,
            }));
        }
        let packed = weights.packed(conv, shape, input.whole.element)?;
        let kernel = conv::Conv::new(self.isa, packed, activation, from, to, self.threads)?;
        Ok(Box::new(ConvStep {
            kernel,
            input,
            residual,
            output,
        }))
    }

    fn bind_stem(&self, node: &Node, conv: &Conv) -> Result<Box<dyn Step>, KernelError> {
        if conv.residual {
            let reason = "a first convolution cannot add a residual".to_owned();
            return Err(KernelError {
                kernel: "conv_f32_planar",
                reason,
            });
        }
        let Some([_, _, height, width]) = self.shape(node.inputs[0]).nchw() else {
            let reason = "its input has other than four axes".to_owned();
            return Err(KernelError {
                kernel: "conv_f32_planar",
                reason,
            });
        };
        let output = self.map(node.outputs[0]);
        let kernel = Stem::new(
            self.isa,
            conv_shape(conv),
            conv.weight.data(),
            conv.bias.as_ref().map(|bias| bias.data()),
            kernel_activation(conv.activation),
            [height, width],
            output.layout(),
            self.threads,
        )?;
        Ok(Box::new(StemStep {
            kernel,
            input: self.dense(node.inputs[0]),
            output,
        }))
    }
}

pub(super) fn conv_shape(conv: &Conv) -> ConvShape {
    ConvShape {
        inputs: conv.channels(),
        outputs: conv.outputs(),
        kernel: conv.kernel(),
        stride: conv.stride,
        padding: [conv.padding[0], conv.padding[1]],
        dilation: conv.dilation,
    }
}

pub(super) struct ConvStep {
    pub(super) kernel: conv::Conv,
    pub(super) input: MapPlace,
    pub(super) residual: Option<MapPlace>,
    pub(super) output: MapPlace,
}

impl Step for ConvStep {
    fn kernel(&self) -> &'static str {
        self.kernel.name()
    }

    fn choice(&self) -> String {
        self.kernel.describe()
    }

    fn tasks(&self) -> usize {
        self.kernel.tasks(1)
    }

    unsafe fn run(&self, memory: &Memory<'_>, task: usize, _worker: usize) {
        // SAFETY: the places are of this plan, and the plan keeps input and output apart.
        unsafe {
            let residual = self.residual.map(|residual| residual.view(memory));
            self.kernel.run(
                self.input.view(memory),
                residual,
                self.output.view_mut(memory),
                task,
            );
        }
    }
}

struct WinogradStep {
    kernel: Winograd,
    input: MapPlace,
    residual: Option<MapPlace>,
    output: MapPlace,
}

impl Step for WinogradStep {
    fn kernel(&self) -> &'static str {
        self.kernel.name()
    }

    fn choice(&self) -> String {
        self.kernel.describe()
    }

    fn tasks(&self) -> usize {
        self.kernel.tasks(1)
    }

    fn scratch_floats(&self) -> usize {
        self.kernel.scratch_floats()
    }

    unsafe fn run(&self, memory: &Memory<'_>, task: usize, worker: usize) {
        // SAFETY: the places are of this plan, and the plan keeps input and output apart; the scratch of this worker has
        // the floats that the plan reserved.
        unsafe {
            let scratch = memory.scratch_slice(worker, self.kernel.scratch_floats());
            let residual = self.residual.map(|residual| residual.view(memory));
            let (input, output) = (self.input.view(memory), self.output.view_mut(memory));
            self.kernel.run(input, residual, output, scratch, task);
        }
    }
}

struct DepthwiseStep {
    kernel: Depthwise,
    input: MapPlace,
    residual: Option<MapPlace>,
    output: MapPlace,
}

impl Step for DepthwiseStep {
    fn kernel(&self) -> &'static str {
        self.kernel.name()
    }

    fn tasks(&self) -> usize {
        self.kernel.tasks(1)
    }

    unsafe fn run(&self, memory: &Memory<'_>, task: usize, _worker: usize) {
        // SAFETY: the places are of this plan, and the plan keeps input and output apart.
        unsafe {
            let residual = self.residual.map(|residual| residual.view(memory));
            self.kernel.run(
                self.input.view(memory),
                residual,
                self.output.view_mut(memory),
                task,
            );
        }
    }
}

struct StemStep {
    kernel: Stem,
    input: DensePlace,
    output: MapPlace,
}

impl Step for StemStep {
    fn kernel(&self) -> &'static str {
        self.kernel.name()
    }

    fn choice(&self) -> String {
        self.kernel.describe()
    }

    fn tasks(&self) -> usize {
        self.kernel.tasks(1)
    }

    fn scratch_floats(&self) -> usize {
        self.kernel.scratch_floats()
    }

    unsafe fn run(&self, memory: &Memory<'_>, task: usize, worker: usize) {
        // SAFETY: the scratch of this worker has the floats that the plan reserved; the places are
        // of this plan.
        unsafe {
            let scratch = memory.scratch_slice(worker, self.kernel.scratch_floats());
            let input = self.input.read(memory);
            self.kernel
                .run(input, 0, self.output.view_mut(memory), scratch, task);
        }
    }
}
