//! Batch normalisation at inference (arXiv 1502.03167).

use std::sync::Arc;

use onelook_types::{Shape, Tensor};

use super::{Operator, nchw, single};
use crate::GraphError;

/// y = (x - mean) / sqrt(variance + epsilon) * scale + shift, per channel.
#[derive(Debug, Clone)]
pub struct BatchNorm {
    /// Learned factor, `[channels]`.
    pub scale: Arc<Tensor>,
    /// Learned offset, `[channels]`.
    pub shift: Arc<Tensor>,
    /// Running mean, `[channels]`.
    pub mean: Arc<Tensor>,
    /// Running variance, `[channels]`.
    pub variance: Arc<Tensor>,
    /// Added to the variance.
    pub epsilon: f32,
}

impl BatchNorm {
    /// The factor and offset per channel that the normalisation amounts to.
    pub fn as_affine(&self) -> (Vec<f32>, Vec<f32>) {
        let channels = self.scale.data().len();
        let factors: Vec<f32> = (0..channels)
            .map(|c| self.scale.data()[c] / (self.variance.data()[c] + self.epsilon).sqrt())
            .collect();
        let offsets = (0..channels)
            .map(|c| self.shift.data()[c] - self.mean.data()[c] * factors[c])
            .collect();
        (factors, offsets)
    }
}

impl Operator for BatchNorm {
    fn name(&self) -> &'static str {
        "batch_norm"
    }

    fn check(&self) -> Result<(), String> {
        let channels = self.scale.data().len();
        for (what, tensor) in [
            ("shift", &self.shift),
            ("mean", &self.mean),
            ("variance", &self.variance),
        ] {
            let values = tensor.data().len();
            if values != channels {
                return Err(format!(
                    "its {what} has {values} values, its scale {channels}"
                ));
            }
        }
        Ok(())
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, GraphError> {
        let shape = single(self.name(), inputs)?;
        let [_, channels, ..] = nchw(self.name(), shape)?;
        let refuse = |reason: String| GraphError::shape(self.name(), inputs, reason);
        self.check().map_err(refuse)?;
        match self.scale.data().len() == channels {
            true => Ok(vec![shape.clone()]),
            false => Err(refuse(format!(
                "it takes {} channels",
                self.scale.data().len()
            ))),
        }
    }

    fn execute(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, GraphError> {
        let input = single(self.name(), inputs)?;
        self.infer(&[input.shape()])?;
        let [_, channels, height, width] = nchw(self.name(), input.shape())?;
        let (factors, offsets) = self.as_affine();
        let mut output = input.clone();
        for (index, plane) in output
            .data_mut()
            .chunks_exact_mut((height * width).max(1))
            .enumerate()
        {
            let c = index % channels;
            plane
                .iter_mut()
                .for_each(|x| *x = *x * factors[c] + offsets[c]);
        }
        Ok(vec![output])
    }

    fn parameters(&self) -> usize {
        2 * self.scale.data().len()
    }

    fn is_on_maps(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::tested::{assert_near, counting, refuses, tensor, values};
    use super::*;

    fn norm() -> BatchNorm {
        let vector = |values: [f32; 2]| Arc::new(tensor([2], &values));
        BatchNorm {
            scale: vector([2.0, 1.0]),
            shift: vector([1.0, 0.0]),
            mean: vector([0.5, 3.0]),
            variance: vector([3.0, 0.0]),
            epsilon: 1.0,
        }
    }

    #[test]
    fn each_channel_has_its_own_factor_and_offset() {
        let output = values(&norm(), &[&counting([2, 2, 1, 2])]);
        assert_near(&output[0], &[0.5, 1.5, -1.0, 0.0, 4.5, 5.5, 3.0, 4.0]);
    }

    #[test]
    fn parameters_of_other_lengths_are_refused() {
        refuses(&norm(), &[&[&[1, 3, 1, 1]], &[&[1, 2]], &[]]);
        let odd = BatchNorm {
            mean: Arc::new(Tensor::zeros([3])),
            ..norm()
        };
        assert!(odd.check().is_err());
    }
}
