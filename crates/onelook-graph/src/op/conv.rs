//! Two-dimensional convolution with what may be fused behind it.

use std::sync::Arc;

use onelook_types::{Shape, Tensor};

use super::{Activation, Operator, nchw, window_extent};
use crate::GraphError;

/// Cross-correlation, then bias, then activation, then the residual:
/// `y = activation(w * x + b) + residual`.
///
/// Inputs: x `[batch, channels, h, w]`, and with `residual` a second one of the output's shape.
#[derive(Debug, Clone)]
pub struct Conv {
    /// `[outputs, channels / groups, kernel height, kernel width]`.
    pub weight: Arc<Tensor>,
    /// `[outputs]`.
    pub bias: Option<Arc<Tensor>>,
    /// Steps down and right.
    pub stride: [usize; 2],
    /// Zeros above, left, below, right.
    pub padding: [usize; 4],
    /// Distance between taps, down and right.
    pub dilation: [usize; 2],
    /// Independent groups of channels; as many as channels for a depthwise convolution.
    pub groups: usize,
    /// Applied after the bias.
    pub activation: Option<Activation>,
    /// Whether a second input is added last.
    pub residual: bool,
}

impl Conv {
    /// A convolution with stride and dilation 1, no padding, one group, nothing fused.
    pub fn new(weight: Arc<Tensor>, bias: Option<Arc<Tensor>>) -> Self {
        Self {
            weight,
            bias,
            stride: [1, 1],
            padding: [0; 4],
            dilation: [1, 1],
            groups: 1,
            activation: None,
            residual: false,
        }
    }

    /// Output channels.
    pub fn outputs(&self) -> usize {
        self.weight.shape()[0]
    }

    /// Input channels.
    pub fn channels(&self) -> usize {
        self.weight.shape()[1] * self.groups
    }

    /// Kernel height and width.
    pub fn kernel(&self) -> [usize; 2] {
        [self.weight.shape()[2], self.weight.shape()[3]]
    }

    /// Whether each channel is convolved on its own.
    pub fn is_depthwise(&self) -> bool {
        self.groups > 1 && self.weight.shape()[1] == 1 && self.outputs() == self.groups
    }
}

impl Operator for Conv {
    fn name(&self) -> &'static str {
        "conv"
    }

    fn attributes(&self) -> String {
        let [height, width] = self.kernel();
        let mut text = format!("{height}x{width} {}->{}", self.channels(), self.outputs());
        if self.stride != [1, 1] {
            text += &format!(" stride {}", pair(self.stride));
        }
        if self.padding != [0; 4] {
            let [top, left, bottom, right] = self.padding;
            let same = [top, left] == [bottom, right];
            text += &match same {
                true => format!(" padding {}", pair([top, left])),
                false => format!(" padding {top},{left},{bottom},{right}"),
            };
        }
        if self.dilation != [1, 1] {
            text += &format!(" dilation {}", pair(self.dilation));
        }
        if self.groups != 1 {
            text += &format!(" groups {}", self.groups);
        }
        if let Some(activation) = self.activation {
            text += &format!(" {}", activation.name());
        }
        if self.residual {
            text += " + residual";
        }
        text
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, GraphError> {
        let refuse = |reason: String| GraphError::shape(self.name(), inputs, reason);
        if inputs.len() != 1 + usize::from(self.residual) {
            return Err(refuse(format!(
                "it takes {} inputs",
                1 + usize::from(self.residual)
            )));
        }
        if self.weight.shape().len() != 4
            || self.groups == 0
            || !self.outputs().is_multiple_of(self.groups)
        {
            return Err(refuse(format!(
                "its weight has shape {}",
                self.weight.shape()
            )));
        }
        let [batch, channels, height, width] = nchw(self.name(), inputs[0])?;
        if channels != self.channels() {
            return Err(refuse(format!("it takes {} channels", self.channels())));
        }
        if self
            .bias
            .as_ref()
            .is_some_and(|bias| bias.data().len() != self.outputs())
        {
            return Err(refuse(
                "its bias has another length than its outputs".to_owned(),
            ));
        }
        let [kernel_height, kernel_width] = self.kernel();
        let [top, left, bottom, right] = self.padding;
        let rows = window_extent(
            height,
            kernel_height,
            self.stride[0],
            top + bottom,
            self.dilation[0],
        );
        let columns = window_extent(
            width,
            kernel_width,
            self.stride[1],
            left + right,
            self.dilation[1],
        );
        let (Some(rows), Some(columns)) = (rows, columns) else {
            return Err(refuse(format!(
                "its {kernel_height}x{kernel_width} kernel does not fit"
            )));
        };
        let output = Shape::from([batch, self.outputs(), rows, columns]);
        if self.residual && *inputs[1] != output {
            return Err(refuse(format!("the residual must have shape {output}")));
        }
        Ok(vec![output])
    }

    fn execute(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, GraphError> {
        let shapes: Vec<&Shape> = inputs.iter().map(|input| input.shape()).collect();
        let shape = self.infer(&shapes)?.remove(0);
        let [_, outputs, rows, columns] = nchw(self.name(), &shape)?;
        let residual = self.residual.then(|| inputs[1].data());
        let value = |position: usize| {
            let (x, y) = (position % columns, position / columns % rows);
            let (output, picture) = (
                position / (columns * rows) % outputs,
                position / (columns * rows * outputs),
            );
            let bias = self.bias.as_ref().map_or(0.0, |bias| bias.data()[output]);
            let sum = bias + self.window(inputs[0], picture, output, y, x);
            let activated = self
                .activation
                .map_or(sum, |activation| activation.apply(sum));
            activated + residual.map_or(0.0, |residual| residual[position])
        };
        Ok(vec![Tensor::from_fn(shape.clone(), value)])
    }

    fn flops(&self, inputs: &[&Shape]) -> u64 {
        let Ok(outputs) = self.infer(inputs) else {
            return 0;
        };
        let [_, channels, height, width] = self.weight.shape().nchw().unwrap_or_default();
        2 * (outputs[0].elements() * channels * height * width) as u64
    }

    fn parameters(&self) -> usize {
        self.weight.data().len() + self.bias.as_ref().map_or(0, |bias| bias.data().len())
    }
}

impl Conv {
    /// The sum of products for one output element.
    fn window(&self, input: &Tensor, picture: usize, output: usize, y: usize, x: usize) -> f32 {
        let Some([_, channels, height, width]) = input.shape().nchw() else {
            return 0.0;
        };
        let [kernel_height, kernel_width] = self.kernel();
        let depth = self.weight.shape()[1];
        let first = output / (self.outputs() / self.groups) * depth;
        let mut sum = 0.0;
        for c in 0..depth {
            for ky in 0..kernel_height {
                let Some(row) = tap(
                    y,
                    self.stride[0],
                    ky,
                    self.dilation[0],
                    self.padding[0],
                    height,
                ) else {
                    continue;
                };
                for kx in 0..kernel_width {
                    let Some(column) = tap(
                        x,
                        self.stride[1],
                        kx,
                        self.dilation[1],
                        self.padding[1],
                        width,
                    ) else {
                        continue;
                    };
                    let pixel = ((picture * channels + first + c) * height + row) * width + column;
                    let weight = ((output * depth + c) * kernel_height + ky) * kernel_width + kx;
                    sum += input.data()[pixel] * self.weight.data()[weight];
                }
            }
        }
        sum
    }
}

/// Where a tap reads, or `None` in the padding.
fn tap(
    position: usize,
    stride: usize,
    offset: usize,
    dilation: usize,
    padding: usize,
    extent: usize,
) -> Option<usize> {
    let padded = position * stride + offset * dilation;
    padded.checked_sub(padding).filter(|&index| index < extent)
}

fn pair([down, right]: [usize; 2]) -> String {
    if down == right {
        down.to_string()
    } else {
        format!("{down},{right}")
    }
}
