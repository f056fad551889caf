//! Tensors one after the other along an axis.

use onelook_types::{Shape, Tensor};
use serde::{Deserialize, Serialize};

use super::{Operator, check_axis};
use crate::GraphError;

/// Joins tensors along `axis`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Concat {
    /// The axis that grows.
    pub axis: usize,
}

impl Operator for Concat {
    fn name(&self) -> &'static str {
        "concat"
    }

    fn attributes(&self) -> String {
        format!("axis {}", self.axis)
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, GraphError> {
        let Some((first, rest)) = inputs.split_first() else {
            return Err(GraphError::shape(
                self.name(),
                inputs,
                "it takes at least one input",
            ));
        };
        check_axis(self.name(), first, self.axis)?;
        let mut extents = first.to_vec();
        for shape in rest {
            let same = shape.len() == first.len()
                && (0..first.len()).all(|axis| axis == self.axis || shape[axis] == first[axis]);
            if !same {
                let reason = format!("all extents but that of axis {} must match", self.axis);
                return Err(GraphError::shape(self.name(), inputs, reason));
            }
            extents[self.axis] = extents[self.axis].saturating_add(shape[self.axis]);
        }
        Ok(vec![Shape::from(extents)])
    }

    fn execute(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, GraphError> {
        let shapes: Vec<&Shape> = inputs.iter().map(|input| input.shape()).collect();
        let shape = self.infer(&shapes)?.remove(0);
        let outer: usize = shape[..self.axis].iter().product();
        let mut data = Vec::with_capacity(shape.elements());
        for index in 0..outer {
            for input in inputs {
                let run: usize = input.shape()[self.axis..].iter().product();
                data.extend_from_slice(&input.data()[index * run..][..run]);
            }
        }
        Tensor::new(shape, data)
            .map(|tensor| vec![tensor])
            .map_err(|error| GraphError::shape(self.name(), &shapes, error.to_string()))
    }

    fn operands(&self) -> (Option<usize>, usize) {
        (None, 1)
    }

    fn only_moves_values(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::tested::{counting, refuses, shapes, tensor, values};
    use super::*;

    #[test]
    fn extents_add_up_along_the_axis() {
        let concat = Concat { axis: 1 };
        assert_eq!(
            shapes(&concat, &[&[2, 1, 3], &[2, 4, 3]]),
            Ok(vec![vec![2, 5, 3]])
        );
        refuses(
            &concat,
            &[&[], &[&[2]], &[&[2, 1], &[3, 1]], &[&[2, 1], &[2, 1, 1]]],
        );
        let huge = usize::MAX;
        assert_eq!(
            shapes(&concat, &[&[1, huge], &[1, huge]]),
            Ok(vec![vec![1, huge]])
        );
    }

    #[test]
    fn values_follow_each_other() {
        let (a, b) = (counting([2, 1]), tensor([2, 2], &[5.0, 6.0, 7.0, 8.0]));
        assert_eq!(
            values(&Concat { axis: 1 }, &[&a, &b])[0],
            [0.0, 5.0, 6.0, 1.0, 7.0, 8.0]
        );
        assert_eq!(values(&Concat { axis: 0 }, &[&b, &b])[0][4..], *b.data());
    }
}
