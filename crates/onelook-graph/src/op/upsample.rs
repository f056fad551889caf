//! Larger maps by repeating pixels.

use onelook_types::{Shape, Tensor};
use serde::{Deserialize, Serialize};

use super::{Operator, nchw, single};
use crate::GraphError;

/// Repeats every pixel `factor` times to the right and downwards (nearest neighbour).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upsample {
    /// How often.
    pub factor: usize,
}

impl Operator for Upsample {
    fn name(&self) -> &'static str {
        "upsample"
    }

    fn attributes(&self) -> String {
        format!("x{}", self.factor)
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, GraphError> {
        let [batch, channels, height, width] = nchw(self.name(), single(self.name(), inputs)?)?;
        match (
            height.checked_mul(self.factor),
            width.checked_mul(self.factor),
        ) {
            (Some(rows), Some(columns)) => Ok(vec![Shape::from([batch, channels, rows, columns])]),
            _ => Err(GraphError::shape(
                self.name(),
                inputs,
                "the result is too large",
            )),
        }
    }

    fn execute(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, GraphError> {
        let input = single(self.name(), inputs)?;
        let shape = self.infer(&[input.shape()])?.remove(0);
        let [_, _, height, width] = nchw(self.name(), input.shape())?;
        let [_, _, rows, columns] = nchw(self.name(), &shape)?;
        let value = |position: usize| {
            let (x, y) = (position % columns, position / columns % rows);
            let plane = position / (columns * rows);
            input.data()[(plane * height + y / self.factor) * width + x / self.factor]
        };
        Ok(vec![Tensor::from_fn(shape.clone(), value)])
    }

    fn is_on_maps(&self) -> bool {
        true
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
    fn pixels_are_repeated() {
        let upsample = Upsample { factor: 2 };
        let output = &values(&upsample, &[&counting([1, 2, 1, 2])])[0];
        assert_eq!(output[..8], [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0]);
        assert_eq!(output[8..12], [2.0, 2.0, 3.0, 3.0]);
        assert_eq!(
            shapes(&upsample, &[&[2, 3, 4, 5]]),
            Ok(vec![vec![2, 3, 8, 10]])
        );
        refuses(&upsample, &[&[&[4, 5]], &[]]);
        refuses(&Upsample { factor: usize::MAX }, &[&[&[1, 1, 2, 2]]]);
    }
}
