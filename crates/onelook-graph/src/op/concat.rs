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
}
