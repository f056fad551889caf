//! Larger maps of fewer channels: every pixel becomes a square whose pixels were its channels.

use onelook_types::{Shape, Tensor};
use serde::{Deserialize, Serialize};

use super::{Operator, nchw, single};
use crate::GraphError;

/// Takes `block * block` channels of a pixel for the pixels of a square (ONNX: DepthToSpace in its
/// mode DCR).
///
/// Of `channels` output channels, channel `c` of row `y` and column `x` of the square is input channel
/// `(y * block + x) * channels + c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DepthToSpace {
    /// Side of the square.
    pub block: usize,
}

impl Operator for DepthToSpace {
    fn name(&self) -> &'static str {
        "depth_to_space"
    }

    fn attributes(&self) -> String {
        format!("x{}", self.block)
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, GraphError> {
        let [batch, channels, height, width] = nchw(self.name(), single(self.name(), inputs)?)?;
        let refuse = |reason: &str| Err(GraphError::shape(self.name(), inputs, reason));
        let square = self.block.checked_mul(self.block).unwrap_or(0);
        if square == 0 || !channels.is_multiple_of(square) {
            return refuse("its channels do not make whole squares");
        }
        let side = |extent: usize| extent.checked_mul(self.block);
        match (side(height), side(width)) {
            (Some(rows), Some(columns)) => {
                Ok(vec![Shape::from([batch, channels / square, rows, columns])])
            }
            _ => refuse("the result is too large"),
        }
    }

    fn execute(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, GraphError> {
        let input = single(self.name(), inputs)?;
        let shape = self.infer(&[input.shape()])?.remove(0);
        let [_, depth, height, width] = nchw(self.name(), input.shape())?;
        let [_, channels, rows, columns] = nchw(self.name(), &shape)?;
        let value = |position: usize| {
            let (x, y) = (position % columns, position / columns % rows);
            let plane = position / (columns * rows);
            let (image, channel) = (plane / channels, plane % channels);
            let pixel = y % self.block * self.block + x % self.block;
            let source = image * depth + pixel * channels + channel;
            input.data()[(source * height + y / self.block) * width + x / self.block]
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
    fn channels_become_pixels() {
        let twice = DepthToSpace { block: 2 };
        let output = &values(&twice, &[&counting([1, 8, 1, 2])])[0];
        assert_eq!(output[..8], [0.0, 4.0, 1.0, 5.0, 8.0, 12.0, 9.0, 13.0]);
        assert_eq!(output[8..], [2.0, 6.0, 3.0, 7.0, 10.0, 14.0, 11.0, 15.0]);
        assert_eq!(
            shapes(&twice, &[&[2, 12, 4, 5]]),
            Ok(vec![vec![2, 3, 8, 10]])
        );
    }

    #[test]
    fn channels_that_make_no_squares_are_refused() {
        refuses(
            &DepthToSpace { block: 2 },
            &[&[&[1, 6, 1, 1]], &[&[4, 5]], &[]],
        );
        for block in [0, usize::MAX] {
            refuses(&DepthToSpace { block }, &[&[&[1, 4, 2, 2]]]);
        }
    }
}
