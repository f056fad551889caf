//! Functions of two values at a time, with broadcasting as NumPy defines it.

use onelook_types::{Shape, Tensor};
use serde::{Deserialize, Serialize};

use super::Operator;
use crate::GraphError;

/// An element-wise function of two tensors; axes of extent 1 are repeated, missing outer axes
/// count as 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Binary {
    /// a + b.
    Add,
    /// a - b.
    Sub,
    /// a · b.
    Mul,
    /// a / b.
    Div,
}

impl Binary {
    /// The function's value.
    pub fn apply(self, a: f32, b: f32) -> f32 {
        match self {
            Self::Add => a + b,
            Self::Sub => a - b,
            Self::Mul => a * b,
            Self::Div => a / b,
        }
    }
}

impl Operator for Binary {
    fn name(&self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Sub => "sub",
            Self::Mul => "mul",
            Self::Div => "div",
        }
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, GraphError> {
        let [a, b] = inputs else {
            return Err(GraphError::shape(
                self.name(),
                inputs,
                "it takes two inputs",
            ));
        };
        let rank = a.len().max(b.len());
        let extent = |shape: &Shape, axis: usize| -> usize {
            (axis + shape.len())
                .checked_sub(rank)
                .map_or(1, |own| shape[own])
        };
        let extents: Option<Vec<usize>> = (0..rank)
            .map(|axis| match (extent(a, axis), extent(b, axis)) {
                (left, right) if left == right => Some(left),
                (1, right) => Some(right),
                (left, 1) => Some(left),
                _ => None,
            })
            .collect();
        let extents = extents
            .ok_or_else(|| GraphError::shape(self.name(), inputs, "extents must match or be 1"))?;
        Ok(vec![Shape::from(extents)])
    }

    fn execute(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, GraphError> {
        let shapes: Vec<&Shape> = inputs.iter().map(|input| input.shape()).collect();
        let shape = self.infer(&shapes)?.remove(0);
        let strides = shape.strides();
        let operands: Vec<(&[f32], Vec<usize>)> = inputs
            .iter()
            .map(|input| (input.data(), broadcast_strides(input.shape(), &shape)))
            .collect();
        let value = |position: usize| {
            let read = |(data, steps): &(&[f32], Vec<usize>)| {
                let offset: usize = (0..shape.len())
                    .map(|axis| position / strides[axis] % shape[axis] * steps[axis])
                    .sum();
                data[offset]
            };
            self.apply(read(&operands[0]), read(&operands[1]))
        };
        Ok(vec![Tensor::from_fn(shape.clone(), value)])
    }

    fn operands(&self) -> (Option<usize>, usize) {
        (Some(2), 1)
    }
}

/// Strides of an operand seen under the broadcast shape: 0 along repeated axes.
fn broadcast_strides(operand: &Shape, shape: &Shape) -> Vec<usize> {
    let missing = shape.len() - operand.len();
    let own = operand.strides();
    (0..shape.len())
        .map(|axis| match axis.checked_sub(missing) {
            Some(inner) if operand[inner] != 1 => own[inner],
            _ => 0,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::tested::{counting, refuses, shapes, tensor, values};
    use super::*;

    #[test]
    fn axes_of_extent_one_are_repeated() {
        let cases: [(&[usize], &[usize], &[usize]); 4] = [
            (&[2, 3], &[2, 3], &[2, 3]),
            (&[2, 3], &[3], &[2, 3]),
            (&[], &[2, 3], &[2, 3]),
            (&[2, 1, 4], &[3, 1], &[2, 3, 4]),
        ];
        for (a, b, expected) in cases {
            assert_eq!(shapes(&Binary::Add, &[a, b]), Ok(vec![expected.to_vec()]));
        }
        refuses(&Binary::Add, &[&[&[2], &[3]], &[&[2]], &[&[2], &[2], &[2]]]);
    }

    #[test]
    fn functions_have_their_values() {
        let (a, b) = (counting([2, 2]), tensor([2], &[1.0, 2.0]));
        assert_eq!(values(&Binary::Add, &[&a, &b])[0], [1.0, 3.0, 3.0, 5.0]);
        assert_eq!(values(&Binary::Sub, &[&a, &b])[0], [-1.0, -1.0, 1.0, 1.0]);
        assert_eq!(values(&Binary::Mul, &[&a, &b])[0], [0.0, 2.0, 2.0, 6.0]);
        assert_eq!(values(&Binary::Div, &[&a, &b])[0], [0.0, 0.5, 2.0, 1.5]);
        assert_eq!(values(&Binary::Sub, &[&b, &a])[0], [1.0, 1.0, -1.0, -1.0]);
    }
}
