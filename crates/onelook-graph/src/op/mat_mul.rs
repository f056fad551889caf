//! Matrix products over the last two axes.

use onelook_types::{Shape, Tensor};
use serde::{Deserialize, Serialize};

use super::Operator;
use crate::GraphError;

/// `[…, m, k] · […, k, n] = […, m, n]`; the outer axes must be equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatMul;

impl Operator for MatMul {
    fn name(&self) -> &'static str {
        "mat_mul"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, GraphError> {
        let refuse = |reason: &str| GraphError::shape(self.name(), inputs, reason);
        let [a, b] = inputs else {
            return Err(refuse("it takes two inputs"));
        };
        let rank = a.len();
        if rank < 2 || b.len() != rank || a[..rank - 2] != b[..rank - 2] {
            return Err(refuse("all axes but the last two must match"));
        }
        if a[rank - 1] != b[rank - 2] {
            return Err(refuse("columns of the first must equal rows of the second"));
        }
        let mut extents = a.to_vec();
        extents[rank - 1] = b[rank - 1];
        Ok(vec![Shape::from(extents)])
    }

    fn execute(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, GraphError> {
        let shapes: Vec<&Shape> = inputs.iter().map(|input| input.shape()).collect();
        let shape = self.infer(&shapes)?.remove(0);
        let (rows, columns) = (shape[shape.len() - 2], shape[shape.len() - 1]);
        let depth = shapes[0][shape.len() - 1];
        let (a, b) = (inputs[0].data(), inputs[1].data());
        let value = |position: usize| -> f32 {
            let (column, row) = (position % columns, position / columns % rows);
            let matrix = position / (columns * rows);
            (0..depth)
                .map(|k| {
                    a[(matrix * rows + row) * depth + k]
                        * b[(matrix * depth + k) * columns + column]
                })
                .sum()
        };
        Ok(vec![Tensor::from_fn(shape.clone(), value)])
    }

    fn flops(&self, inputs: &[&Shape]) -> u64 {
        match self.infer(inputs) {
            Ok(outputs) => {
                2 * (outputs[0].elements() * inputs[0].last().copied().unwrap_or(0)) as u64
            }
            Err(_) => 0,
        }
    }

    fn operands(&self) -> (Option<usize>, usize) {
        (Some(2), 1)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tested::{counting, refuses, shapes, values};
    use super::*;

    #[test]
    fn rows_meet_columns() {
        assert_eq!(
            shapes(&MatMul, &[&[5, 2, 3], &[5, 3, 4]]),
            Ok(vec![vec![5, 2, 4]])
        );
        let cases: [&[&[usize]]; 5] = [
            &[&[2, 3]],
            &[&[3], &[3]],
            &[&[2, 3], &[2, 3]],
            &[&[1, 2, 3], &[5, 3, 4]],
            &[&[2, 3], &[1, 3, 4]],
        ];
        refuses(&MatMul, &cases);
    }

    #[test]
    fn each_pair_of_matrices_is_multiplied() {
        let (a, b) = (counting([2, 1, 2]), counting([2, 2, 2]));
        assert_eq!(values(&MatMul, &[&a, &b])[0], [2.0, 3.0, 26.0, 31.0]);
    }
}
