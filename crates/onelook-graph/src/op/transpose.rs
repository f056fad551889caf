//! The same values with the axes in another order.

use onelook_types::{Shape, Tensor};
use serde::{Deserialize, Serialize};

use super::{Operator, single};
use crate::GraphError;

/// Output axis `i` is input axis `order[i]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transpose {
    /// A permutation of the input's axes.
    pub order: Vec<usize>,
}

impl Operator for Transpose {
    fn name(&self) -> &'static str {
        "transpose"
    }

    fn attributes(&self) -> String {
        let axes: Vec<String> = self.order.iter().map(ToString::to_string).collect();
        axes.join(",")
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, GraphError> {
        let shape = single(self.name(), inputs)?;
        let mut sorted = self.order.clone();
        sorted.sort_unstable();
        if !sorted.iter().copied().eq(0..shape.len()) {
            return Err(GraphError::shape(
                self.name(),
                inputs,
                "its order is no permutation",
            ));
        }
        let extents: Vec<usize> = self.order.iter().map(|&axis| shape[axis]).collect();
        Ok(vec![Shape::from(extents)])
    }

    fn execute(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, GraphError> {
        let input = single(self.name(), inputs)?;
        let shape = self.infer(&[input.shape()])?.remove(0);
        let steps = input.shape().strides();
        let strides = shape.strides();
        let value = |position: usize| {
            let offset: usize = (0..shape.len())
                .map(|axis| position / strides[axis] % shape[axis] * steps[self.order[axis]])
                .sum();
            input.data()[offset]
        };
        Ok(vec![Tensor::from_fn(shape.clone(), value)])
    }

    fn only_moves_values(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::tested::{counting, refuses, shapes, values};
    use super::*;

    #[test]
    fn axes_change_places() {
        let transpose = Transpose {
            order: vec![2, 0, 1],
        };
        assert_eq!(shapes(&transpose, &[&[2, 3, 4]]), Ok(vec![vec![4, 2, 3]]));
        assert_eq!(
            values(&transpose, &[&counting([1, 2, 3])])[0],
            [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]
        );
        refuses(&transpose, &[&[&[2, 3]], &[]]);
        refuses(&Transpose { order: vec![0, 0] }, &[&[&[2, 2]]]);
    }
}
