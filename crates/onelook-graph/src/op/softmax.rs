//! Exponentials that sum to one along an axis.

use onelook_types::{Shape, Tensor};
use serde::{Deserialize, Serialize};

use super::{Operator, check_axis, single};
use crate::GraphError;

/// e^x / Σ e^x along `axis`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Softmax {
    /// Along which axis.
    pub axis: usize,
}

impl Operator for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn attributes(&self) -> String {
        format!("axis {}", self.axis)
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, GraphError> {
        let shape = single(self.name(), inputs)?;
        check_axis(self.name(), shape, self.axis)?;
        Ok(vec![shape.clone()])
    }

    fn execute(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, GraphError> {
        let input = single(self.name(), inputs)?;
        self.infer(&[input.shape()])?;
        let extent = input.shape()[self.axis];
        let inner: usize = input.shape()[self.axis + 1..].iter().product();
        let outer: usize = input.shape()[..self.axis].iter().product();
        let mut output = input.clone();
        let mut lane = vec![0.0; extent];
        for start in (0..outer).flat_map(|o| (0..inner).map(move |i| o * extent * inner + i)) {
            let data = output.data_mut();
            (0..extent).for_each(|k| lane[k] = data[start + k * inner]);
            normalise(&mut lane);
            (0..extent).for_each(|k| data[start + k * inner] = lane[k]);
        }
        Ok(vec![output])
    }
}

/// Softmax of one run of values in place.
pub(super) fn normalise(values: &mut [f32]) {
    let largest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    values
        .iter_mut()
        .for_each(|value| *value = (*value - largest).exp());
    let sum: f32 = values.iter().sum();
    values.iter_mut().for_each(|value| *value /= sum);
}

#[cfg(test)]
mod tests {
    use super::super::tested::{assert_near, refuses, shapes, tensor, values};
    use super::*;

    #[test]
    fn lanes_sum_to_one() {
        let x = tensor([2, 2], &[0.0, 1000.0, 3f32.ln(), 1000.0]);
        assert_near(
            &values(&Softmax { axis: 0 }, &[&x])[0],
            &[0.25, 0.5, 0.75, 0.5],
        );
        assert_near(
            &values(&Softmax { axis: 1 }, &[&x])[0],
            &[0.0, 1.0, 0.0, 1.0],
        );
        assert_eq!(
            shapes(&Softmax { axis: 1 }, &[&[2, 3]]),
            Ok(vec![vec![2, 3]])
        );
        refuses(&Softmax { axis: 2 }, &[&[&[2, 3]], &[]]);
    }
}
