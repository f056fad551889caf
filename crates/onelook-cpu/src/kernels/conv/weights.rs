//! A convolution's parameters, checked and packed once: any plan of any extents shares them.

use crate::kernels::KernelError;
use crate::kernels::buffer::AlignedBuffer;
use crate::kernels::layout::{BLOCK, MapLayout};

/// What a convolution does, apart from its weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConvShape {
    /// Input channels.
    pub inputs: usize,
    /// Output channels.
    pub outputs: usize,
    /// Kernel height and width.
    pub kernel: [usize; 2],
    /// Steps down and right.
    pub stride: [usize; 2],
    /// Zero rows above and zero pixels left of the image.
    pub padding: [usize; 2],
    /// Distances between taps down and right.
    pub dilation: [usize; 2],
}

impl ConvShape {
    pub(super) const KERNEL: &'static str = "conv_f32_blocked";

    /// Multiplications and additions for an output of `pixels` pixels.
    pub fn operations(&self, pixels: usize) -> usize {
        2 * self.inputs * self.outputs * self.kernel[0] * self.kernel[1] * pixels
    }

    /// Whether the maps have the channels that the weights are for.
    pub(crate) fn check_channels(
        &self,
        inputs: usize,
        output: &MapLayout,
    ) -> Result<(), KernelError> {
        let refuse = |reason: String| Err(KernelError::new(Self::KERNEL, reason));
        if (self.inputs, self.outputs) != (inputs, output.channels) {
            return refuse(format!(
                "takes {} to {} channels, the maps have {inputs} and {}",
                self.inputs, self.outputs, output.channels
            ));
        }
        if output.pixels() == 0 {
            return refuse("the output has no pixels".to_owned());
        }
        Ok(())
    }

    /// Whether all reads for `output` stay within `input` and its padding.
    pub(crate) fn check(&self, input: &MapLayout, output: &MapLayout) -> Result<(), KernelError> {
        self.check_channels(input.channels, output)?;
        for (axis, extent, outputs) in [
            (0, input.height, output.height),
            (1, input.width, output.width),
        ] {
            let last =
                (outputs - 1) * self.stride[axis] + (self.kernel[axis] - 1) * self.dilation[axis];
            if self.padding[axis] > input.pad || last >= extent + input.pad + self.padding[axis] {
                let reason = format!("reads beyond the padding of {} around its input", input.pad);
                return Err(KernelError::new(Self::KERNEL, reason));
            }
        }
        Ok(())
    }
}

/// Packed weights and bias: `[output block][input block][ky][kx][input channel][16 output channels]`.
///
/// The last input block holds only the channels there are; the last output block is filled with zeros.
#[derive(Debug)]
pub struct ConvWeights {
    shape: ConvShape,
    weights: AlignedBuffer,
    bias: AlignedBuffer,
    block_floats: usize,
}

impl ConvWeights {
    /// Packs `weight`, `[outputs][inputs][ky][kx]`, and `bias`, zeros if there is none.
    pub fn pack(
        shape: ConvShape,
        weight: &[f32],
        bias: Option<&[f32]>,
    ) -> Result<Self, KernelError> {
        check_lengths(&shape, weight, bias)?;
        let taps = shape.kernel[0] * shape.kernel[1];
        Ok(Self::pack_in_order(shape, weight, bias, |emit| {
            for first in (0..shape.inputs).step_by(BLOCK) {
                for tap in 0..taps {
                    for channel in first..shape.inputs.min(first + BLOCK) {
                        emit(channel * taps + tap);
                    }
                }
            }
        }))
    }

    /// Packs for planar input: `[output block][input channel][ky][kx][16 output channels]`.
    pub(crate) fn pack_planar(
        shape: ConvShape,
        weight: &[f32],
        bias: Option<&[f32]>,
    ) -> Result<Self, KernelError> {
        check_lengths(&shape, weight, bias)?;
        let taps = shape.inputs * shape.kernel[0] * shape.kernel[1];
        Ok(Self::pack_in_order(shape, weight, bias, |emit| {
            (0..taps).for_each(emit)
        }))
    }

    /// `order` emits the places within one output channel's weights in the order of the sum.
    fn pack_in_order(
        shape: ConvShape,
        weight: &[f32],
        bias: Option<&[f32]>,
        order: impl Fn(&mut dyn FnMut(usize)),
    ) -> Self {
        let per_output = shape.inputs * shape.kernel[0] * shape.kernel[1];
        let blocks = shape.outputs.div_ceil(BLOCK);
        let mut weights = AlignedBuffer::zeroed(blocks * per_output * BLOCK);
        let mut places = Vec::with_capacity(per_output);
        order(&mut |place| places.push(place));
        for output in 0..shape.outputs {
            let target = &mut weights[output / BLOCK * per_output * BLOCK + output % BLOCK..];
            for (step, &place) in places.iter().enumerate() {
                target[step * BLOCK] = weight[output * per_output + place];
            }
        }
        let mut padded_bias = AlignedBuffer::zeroed(blocks * BLOCK);
        if let Some(bias) = bias {
            padded_bias[..shape.outputs].copy_from_slice(bias);
        }
        ConvWeights {
            shape,
            weights,
            bias: padded_bias,
            block_floats: per_output * BLOCK,
        }
    }

    /// What the convolution does.
    pub fn shape(&self) -> &ConvShape {
        &self.shape
    }

    /// Bytes of the packed weights.
    pub fn bytes(&self) -> usize {
        self.weights.len() * size_of::<f32>()
    }

    pub(crate) fn block_floats(&self) -> usize {
        self.block_floats
    }

    /// The first weight of an output block.
    pub(crate) fn block(&self, block: usize) -> *const f32 {
        self.weights[block * self.block_floats..].as_ptr()
    }

    /// The bias of an output block.
    pub(crate) fn bias(&self, block: usize) -> *const f32 {
        self.bias[block * BLOCK..].as_ptr()
    }
}

pub(super) fn check_lengths(
    shape: &ConvShape,
    weight: &[f32],
    bias: Option<&[f32]>,
) -> Result<(), KernelError> {
    let ConvShape {
        inputs,
        outputs,
        kernel,
        stride,
        dilation,
        ..
    } = *shape;
    let extents = [
        inputs,
        outputs,
        kernel[0],
        kernel[1],
        stride[0],
        stride[1],
        dilation[0],
        dilation[1],
    ];
    if extents.contains(&0) {
        return Err(KernelError::new(
            ConvShape::KERNEL,
            format!("an extent is zero in {shape:?}"),
        ));
    }
    let expected = inputs * outputs * kernel[0] * kernel[1];
    if weight.len() != expected || bias.is_some_and(|bias| bias.len() != outputs) {
        let reason = format!(
            "{expected} weights and {outputs} biases are expected, {} weights came",
            weight.len()
        );
        return Err(KernelError::new(ConvShape::KERNEL, reason));
    }
    Ok(())
}
