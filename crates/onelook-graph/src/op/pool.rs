//! Maxima over windows.

use onelook_types::{Shape, Tensor};
use serde::{Deserialize, Serialize};

use super::{Operator, nchw, single, window_extent};
use crate::GraphError;

/// The largest value of each window; padding never wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaxPool {
    /// Window height and width.
    pub kernel: [usize; 2],
    /// Steps down and right.
    pub stride: [usize; 2],
    /// Padding above, left, below, right; less than the kernel.
    pub padding: [usize; 4],
}

impl Operator for MaxPool {
    fn name(&self) -> &'static str {
        "max_pool"
    }

    fn attributes(&self) -> String {
        let [height, width] = self.kernel;
        format!(
            "{height}x{width} stride {} padding {}",
            self.stride[0], self.padding[0]
        )
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, GraphError> {
        let [batch, channels, height, width] = nchw(self.name(), single(self.name(), inputs)?)?;
        let [top, left, bottom, right] = self.padding;
        let [kernel_height, kernel_width] = self.kernel;
        if top.max(bottom) >= kernel_height.max(1) || left.max(right) >= kernel_width.max(1) {
            return Err(GraphError::shape(
                self.name(),
                inputs,
                "its padding must be below its kernel",
            ));
        }
        let rows = window_extent(
            height,
            kernel_height,
            self.stride[0],
            top.saturating_add(bottom),
            1,
        );
        let columns = window_extent(
            width,
            kernel_width,
            self.stride[1],
            left.saturating_add(right),
            1,
        );
        match (rows, columns) {
            (Some(rows), Some(columns)) => Ok(vec![Shape::from([batch, channels, rows, columns])]),
            _ => Err(GraphError::shape(
                self.name(),
                inputs,
                "its window does not fit",
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
            let plane =
                &input.data()[position / (columns * rows) * height * width..][..height * width];
            let (top, left) = (y * self.stride[0], x * self.stride[1]);
            let vertical = top.saturating_sub(self.padding[0])
                ..(top + self.kernel[0])
                    .saturating_sub(self.padding[0])
                    .min(height);
            let mut largest = f32::NEG_INFINITY;
            for row in vertical {
                let horizontal = left.saturating_sub(self.padding[1])
                    ..(left + self.kernel[1])
                        .saturating_sub(self.padding[1])
                        .min(width);
                for column in horizontal {
                    largest = largest.max(plane[row * width + column]);
                }
            }
            largest
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
    use super::super::tested::{counting, refuses, shapes, tensor, values};
    use super::*;

    const POOL: MaxPool = MaxPool {
        kernel: [2, 2],
        stride: [2, 1],
        padding: [0; 4],
    };

    #[test]
    fn each_window_gives_its_largest() {
        assert_eq!(
            values(&POOL, &[&counting([1, 1, 4, 3])])[0],
            [4.0, 5.0, 10.0, 11.0]
        );
    }

    #[test]
    fn padding_never_wins() {
        let pool = MaxPool {
            kernel: [3, 3],
            stride: [1, 1],
            padding: [1; 4],
        };
        let image = tensor([1, 1, 1, 2], &[-3.0, -2.0]);
        assert_eq!(values(&pool, &[&image])[0], [-2.0, -2.0]);
    }

    #[test]
    fn windows_must_fit() {
        assert_eq!(shapes(&POOL, &[&[2, 3, 5, 5]]), Ok(vec![vec![2, 3, 2, 4]]));
        refuses(&POOL, &[&[&[1, 1, 1, 3]], &[&[4, 3]], &[]]);
        for odd in [
            MaxPool {
                padding: [2, 0, 0, 0],
                ..POOL
            },
            MaxPool {
                stride: [0, 1],
                ..POOL
            },
            MaxPool {
                kernel: [0, 1],
                ..POOL
            },
            MaxPool {
                padding: [usize::MAX; 4],
                ..POOL
            },
        ] {
            refuses(&odd, &[&[&[1, 1, 4, 4]]]);
        }
    }
}
