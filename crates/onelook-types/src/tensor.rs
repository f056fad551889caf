//! A dense tensor of 32-bit floats.

use std::fmt;

use crate::Shape;

/// Dense f32 values in the order of [`Shape::strides`] (the last axis is contiguous).
#[derive(Clone, PartialEq, Default)]
pub struct Tensor {
    shape: Shape,
    data: Vec<f32>,
}

/// Values and shape of a tensor disagree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorError {
    /// The shape asked for.
    pub shape: Shape,
    /// How many values came.
    pub values: usize,
}

impl fmt::Display for TensorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} values do not fill a tensor of shape {}",
            self.values, self.shape
        )
    }
}

impl std::error::Error for TensorError {}

impl Tensor {
    /// Wraps values of the given shape.
    pub fn new(shape: impl Into<Shape>, data: Vec<f32>) -> Result<Self, TensorError> {
        let shape = shape.into();
        if shape.checked_elements() != Some(data.len()) {
            return Err(TensorError {
                shape,
                values: data.len(),
            });
        }
        Ok(Self { shape, data })
    }

    /// A tensor of zeros; allocates `shape.elements()` values.
    pub fn zeros(shape: impl Into<Shape>) -> Self {
        let shape = shape.into();
        let data = vec![0.0; shape.elements()];
        Self { shape, data }
    }

    /// A tensor whose values `value` computes from their position in dense order.
    pub fn from_fn(shape: impl Into<Shape>, value: impl FnMut(usize) -> f32) -> Self {
        let shape = shape.into();
        let data = (0..shape.elements()).map(value).collect();
        Self { shape, data }
    }

    /// A tensor without axes.
    pub fn scalar(value: f32) -> Self {
        Self {
            shape: Shape::default(),
            data: vec![value],
        }
    }

    /// The extents.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The values in dense order.
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// The values in dense order, to write on.
    pub fn data_mut(&mut self) -> &mut [f32] {
        &mut self.data
    }

    /// Gives the values back.
    pub fn into_data(self) -> Vec<f32> {
        self.data
    }

    /// The same values under another shape of as many elements.
    pub fn reshaped(self, shape: impl Into<Shape>) -> Result<Self, TensorError> {
        Self::new(shape, self.data)
    }

    /// Gives the tensor this shape, keeping its allocation; values that were there stay, new
    /// ones are zero.
    pub fn resize(&mut self, shape: &Shape) {
        self.data.resize(shape.elements(), 0.0);
        if self.shape != *shape {
            self.shape = shape.clone();
        }
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tensor({})", self.shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_must_fill_the_shape() {
        assert!(Tensor::new([2, 2], vec![0.0; 3]).is_err());
        assert_eq!(
            Tensor::new([2, 2], vec![0.0; 4]).unwrap().shape().strides(),
            [2, 1]
        );
    }
}
