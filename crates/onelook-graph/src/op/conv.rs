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
        self.weight.shape()[1].saturating_mul(self.groups)
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

    fn check(&self) -> Result<(), String> {
        let shape = self.weight.shape();
        if shape.len() != 4 || shape.contains(&0) {
            return Err(format!("its weight has shape {shape}"));
        }
        if self.groups == 0 || !self.outputs().is_multiple_of(self.groups) {
            return Err(format!(
                "{} outputs cannot be cut into {} groups",
                self.outputs(),
                self.groups
            ));
        }
        if self.stride.contains(&0) || self.dilation.contains(&0) {
            return Err("its stride or dilation is 0".to_owned());
        }
        match &self.bias {
            Some(bias) if bias.data().len() != self.outputs() => Err(format!(
                "its bias has {} values for {} outputs",
                bias.data().len(),
                self.outputs()
            )),
            _ => Ok(()),
        }
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, GraphError> {
        let refuse = |reason: String| GraphError::shape(self.name(), inputs, reason);
        if inputs.len() != 1 + usize::from(self.residual) {
            return Err(refuse(format!(
                "it takes {} inputs",
                1 + usize::from(self.residual)
            )));
        }
        self.check().map_err(refuse)?;
        let [batch, channels, height, width] = nchw(self.name(), inputs[0])?;
        if channels != self.channels() {
            return Err(refuse(format!("it takes {} channels", self.channels())));
        }
        let [kernel_height, kernel_width] = self.kernel();
        let [top, left, bottom, right] = self.padding;
        let rows = window_extent(
            height,
            kernel_height,
            self.stride[0],
            top.saturating_add(bottom),
            self.dilation[0],
        );
        let columns = window_extent(
            width,
            kernel_width,
            self.stride[1],
            left.saturating_add(right),
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
        let mut output = Tensor::zeros(shape);
        let planes = output.data_mut().chunks_exact_mut((rows * columns).max(1));
        for (index, plane) in planes.enumerate() {
            let (image, output) = (index / outputs, index % outputs);
            self.correlate(inputs[0], image, output, plane, columns);
            let bias = self.bias.as_ref().map_or(0.0, |bias| bias.data()[output]);
            for sum in plane.iter_mut() {
                let biased = bias + *sum;
                *sum = self
                    .activation
                    .map_or(biased, |function| function.apply(biased));
            }
        }
        if self.residual {
            let residual = inputs[1].data().iter();
            output
                .data_mut()
                .iter_mut()
                .zip(residual)
                .for_each(|(y, x)| *y += x);
        }
        Ok(vec![output])
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

    fn operands(&self) -> (Option<usize>, usize) {
        (Some(1 + usize::from(self.residual)), 1)
    }

    fn is_on_maps(&self) -> bool {
        true
    }
}

impl Conv {
    /// Adds the products of all taps to one plane of the output.
    fn correlate(
        &self,
        input: &Tensor,
        image: usize,
        output: usize,
        plane: &mut [f32],
        columns: usize,
    ) {
        let Some([_, channels, height, width]) = input.shape().nchw() else {
            return;
        };
        let [kernel_height, kernel_width] = self.kernel();
        let depth = self.weight.shape()[1];
        let first = output / (self.outputs() / self.groups) * depth;
        for c in 0..depth {
            let channel = image * channels + first + c;
            let pixels = &input.data()[channel * height * width..][..height * width];
            for ky in 0..kernel_height {
                for kx in 0..kernel_width {
                    let tap = ((output * depth + c) * kernel_height + ky) * kernel_width + kx;
                    let weight = self.weight.data()[tap];
                    for (y, sums) in plane.chunks_exact_mut(columns).enumerate() {
                        let row = y * self.stride[0] + ky * self.dilation[0];
                        if (self.padding[0]..self.padding[0] + height).contains(&row) {
                            let row = &pixels[(row - self.padding[0]) * width..][..width];
                            self.add_products(sums, row, weight, kx);
                        }
                    }
                }
            }
        }
    }

    /// Adds the products of one tap to one row of the output.
    fn add_products(&self, sums: &mut [f32], row: &[f32], weight: f32, kx: usize) {
        let (stride, padding) = (self.stride[1], self.padding[1]);
        let offset = kx * self.dilation[1];
        let start = padding.saturating_sub(offset).div_ceil(stride);
        let Some(sums) = sums.get_mut(start..) else {
            return;
        };
        let Some(pixels) = row.get(start * stride + offset - padding..) else {
            return;
        };
        // Without a stride the loop is vectorised, which keeps tests of whole networks short.
        match stride {
            1 => sums
                .iter_mut()
                .zip(pixels)
                .for_each(|(sum, pixel)| *sum += weight * pixel),
            _ => sums
                .iter_mut()
                .zip(pixels.iter().step_by(stride))
                .for_each(|(sum, pixel)| *sum += weight * pixel),
        }
    }
}

fn pair([down, right]: [usize; 2]) -> String {
    if down == right {
        down.to_string()
    } else {
        format!("{down},{right}")
    }
}

#[cfg(test)]
mod tests {
    use super::super::tested::{assert_near, counting, refuses, shapes, tensor, values};
    use super::*;

    fn ones<const RANK: usize>(extents: [usize; RANK]) -> Arc<Tensor> {
        Arc::new(Tensor::from_fn(extents, |_| 1.0))
    }

    #[test]
    fn windows_are_summed() {
        let image = counting([1, 1, 3, 3]);
        let plain = Conv::new(ones([1, 1, 2, 2]), None);
        let large = Conv::new(ones([1, 1, 3, 3]), None);
        let cases: [(Conv, &[f32]); 4] = [
            (plain.clone(), &[8.0, 12.0, 20.0, 24.0]),
            (
                Conv {
                    dilation: [2, 2],
                    ..plain.clone()
                },
                &[16.0],
            ),
            (
                Conv {
                    padding: [1, 0, 0, 0],
                    stride: [2, 1],
                    ..plain
                },
                &[1.0, 3.0, 20.0, 24.0],
            ),
            (
                Conv {
                    padding: [1; 4],
                    stride: [2, 2],
                    ..large
                },
                &[8.0, 12.0, 20.0, 24.0],
            ),
        ];
        for (conv, expected) in cases {
            assert_eq!(
                values(&conv, &[&image])[0],
                expected,
                "{}",
                conv.attributes()
            );
        }
    }

    #[test]
    fn groups_see_their_own_channels_only() {
        let weight = Arc::new(tensor([2, 1, 1, 1], &[2.0, 3.0]));
        let conv = Conv {
            groups: 2,
            ..Conv::new(weight, None)
        };
        assert!(conv.is_depthwise());
        assert_eq!(
            values(&conv, &[&counting([2, 2, 1, 1])])[0],
            [0.0, 3.0, 4.0, 9.0]
        );
    }

    #[test]
    fn bias_then_activation_then_residual() {
        let conv = Conv {
            activation: Some(Activation::Relu),
            residual: true,
            ..Conv::new(ones([1, 1, 1, 1]), Some(Arc::new(tensor([1], &[-1.0]))))
        };
        let (image, residual) = (
            counting([1, 1, 1, 3]),
            tensor([1, 1, 1, 3], &[10.0, 20.0, 30.0]),
        );
        assert_near(&values(&conv, &[&image, &residual])[0], &[10.0, 20.0, 31.0]);
    }

    #[test]
    fn padding_wider_than_the_kernel_gives_the_bias() {
        let bias = Some(Arc::new(tensor([1], &[7.0])));
        let conv = Conv {
            padding: [0, 4, 0, 4],
            ..Conv::new(ones([1, 1, 1, 2]), bias)
        };
        let output = &values(&conv, &[&counting([1, 1, 1, 2])])[0];
        assert_eq!(output[..], [7.0, 7.0, 7.0, 7.0, 8.0, 8.0, 7.0, 7.0, 7.0]);
    }

    #[test]
    fn shapes_follow_kernel_stride_and_padding() {
        let conv = Conv {
            stride: [2, 2],
            padding: [1; 4],
            ..Conv::new(ones([8, 3, 3, 3]), None)
        };
        assert_eq!(shapes(&conv, &[&[2, 3, 7, 8]]), Ok(vec![vec![2, 8, 4, 4]]));
        refuses(
            &conv,
            &[
                &[],
                &[&[2, 4, 7, 8]],
                &[&[3, 7, 8]],
                &[&[2, 3, 7, 8], &[2, 8, 4, 4]],
            ],
        );
        let valid = Conv::new(ones([1, 1, 3, 3]), None);
        refuses(&valid, &[&[&[1, 1, 2, 5]]]);
        let added = Conv {
            residual: true,
            ..valid
        };
        refuses(&added, &[&[&[1, 1, 3, 3]], &[&[1, 1, 3, 3], &[1, 1, 3, 3]]]);
    }

    #[test]
    fn contradictory_attributes_are_refused_without_overflow() {
        let conv = || Conv::new(ones([4, 2, 1, 1]), None);
        let odd = [
            Conv::new(ones([4, 2]), None),
            Conv::new(ones([4, 2, 0, 1]), None),
            Conv {
                bias: Some(ones([3])),
                ..conv()
            },
            Conv {
                groups: 0,
                ..conv()
            },
            Conv {
                groups: 3,
                ..conv()
            },
            Conv {
                stride: [1, 0],
                ..conv()
            },
            Conv {
                dilation: [0, 1],
                ..conv()
            },
        ];
        for conv in odd {
            assert!(conv.check().is_err());
            refuses(&conv, &[&[&[1, 2, 4, 4]]]);
        }
        let huge = Conv {
            groups: 1 << 62,
            padding: [usize::MAX; 4],
            ..conv()
        };
        refuses(&huge, &[&[&[1, 2, 4, 4]]]);
    }
}
