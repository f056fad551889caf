//! A convolution's parameters, checked and packed once: any plan of any extents shares them.

use crate::kernels::KernelError;
use crate::kernels::buffer::AlignedBuffer;
use crate::kernels::element::pair;
use crate::kernels::layout::{BLOCK, Element, MapLayout};

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

/// Packed weights and bias: `[output block][input block][ky][kx][word of input channels][16 output channels][channel of
/// the word]`. A word is one channel of f32 or two of bf16, the second of which is zero beyond the last channel.
///
/// The last input block holds only the channels there are; the last output block is filled with zeros.
#[derive(Debug)]
pub struct ConvWeights {
    shape: ConvShape,
    element: Element,
    weights: AlignedBuffer,
    bias: AlignedBuffer,
    block_words: usize,
}

impl ConvWeights {
    /// Packs `weight`, `[outputs][inputs][ky][kx]`, and `bias`, zeros if there is none, for maps of type `element`.
    pub fn pack(
        shape: ConvShape,
        weight: &[f32],
        bias: Option<&[f32]>,
        element: Element,
    ) -> Result<Self, KernelError> {
        check_lengths(&shape, weight, bias)?;
        let taps = shape.kernel[0] * shape.kernel[1];
        let mut places = Vec::with_capacity(shape.inputs * taps);
        for first in (0..shape.inputs).step_by(BLOCK) {
            let end = shape.inputs.min(first + BLOCK);
            for tap in 0..taps {
                let used = (first..end).map(|channel| Some(channel * taps + tap));
                places.extend(used);
                places.resize(places.len().next_multiple_of(element.per_word()), None);
            }
        }
        Ok(Self::pack_in_order(shape, weight, bias, element, &places))
    }

    /// Packs for planar input: `[output block][input channel][ky][kx][16 output channels]`.
    pub(crate) fn pack_planar(
        shape: ConvShape,
        weight: &[f32],
        bias: Option<&[f32]>,
    ) -> Result<Self, KernelError> {
        check_lengths(&shape, weight, bias)?;
        let taps = shape.inputs * shape.kernel[0] * shape.kernel[1];
        let places: Vec<_> = (0..taps).map(Some).collect();
        Ok(Self::pack_in_order(
            shape,
            weight,
            bias,
            Element::F32,
            &places,
        ))
    }

    /// `places` are those within one output channel's weights in the order of the sum, whole words of them; zero stands
    /// where there is none.
    fn pack_in_order(
        shape: ConvShape,
        weight: &[f32],
        bias: Option<&[f32]>,
        element: Element,
        places: &[Option<usize>],
    ) -> Self {
        let per_output = shape.inputs * shape.kernel[0] * shape.kernel[1];
        let blocks = shape.outputs.div_ceil(BLOCK);
        let block_words = places.len() / element.per_word() * BLOCK;
        let mut weights = AlignedBuffer::zeroed(blocks * block_words);
        for output in 0..shape.outputs {
            let target = &mut weights[output / BLOCK * block_words + output % BLOCK..];
            let row = &weight[output * per_output..][..per_output];
            let value = |place: Option<usize>| place.map_or(0.0, |place| row[place]);
            for (step, word) in places.chunks_exact(element.per_word()).enumerate() {
                target[step * BLOCK] = match element {
                    Element::F32 => value(word[0]),
                    Element::Bf16 => pair(value(word[0]), value(word[1])),
                };
            }
        }
        let mut padded_bias = AlignedBuffer::zeroed(blocks * BLOCK);
        if let Some(bias) = bias {
            padded_bias[..shape.outputs].copy_from_slice(bias);
        }
        ConvWeights {
            shape,
            element,
            weights,
            bias: padded_bias,
            block_words,
        }
    }

    /// What the convolution does.
    pub fn shape(&self) -> &ConvShape {
        &self.shape
    }

    /// The type of the maps that they are for.
    pub fn element(&self) -> Element {
        self.element
    }

    /// Bytes of the packed weights.
    pub fn bytes(&self) -> usize {
        self.weights.len() * size_of::<f32>()
    }

    pub(crate) fn block_words(&self) -> usize {
        self.block_words
    }

    /// The first weight of an output block.
    pub(crate) fn block(&self, block: usize) -> *const f32 {
        self.weights[block * self.block_words..].as_ptr()
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
