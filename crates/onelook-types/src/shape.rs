//! The extent of a tensor along each axis.

use std::fmt;
use std::ops::Deref;

/// Extents, outermost axis first; image tensors are `[batch, channels, height, width]`.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Shape(Vec<usize>);

impl Shape {
    /// A shape with these extents.
    pub fn new(extents: impl Into<Vec<usize>>) -> Self {
        Self(extents.into())
    }

    /// The number of elements, or `None` when it does not fit a `usize`.
    pub fn checked_elements(&self) -> Option<usize> {
        self.0
            .iter()
            .try_fold(1usize, |product, &extent| product.checked_mul(extent))
    }

    /// The number of elements of a shape that is known to be in memory.
    pub fn elements(&self) -> usize {
        self.0.iter().product()
    }

    /// `[batch, channels, height, width]`, or `None` for another rank than 4.
    pub fn nchw(&self) -> Option<[usize; 4]> {
        self.0.as_slice().try_into().ok()
    }

    /// How far apart neighbours along each axis lie in a dense tensor.
    pub fn strides(&self) -> Vec<usize> {
        let mut strides = vec![1; self.0.len()];
        for axis in (1..self.0.len()).rev() {
            strides[axis - 1] = strides[axis] * self.0[axis];
        }
        strides
    }
}

impl Deref for Shape {
    type Target = [usize];

    fn deref(&self) -> &[usize] {
        &self.0
    }
}

impl<const RANK: usize> From<[usize; RANK]> for Shape {
    fn from(extents: [usize; RANK]) -> Self {
        Self(extents.to_vec())
    }
}

impl From<Vec<usize>> for Shape {
    fn from(extents: Vec<usize>) -> Self {
        Self(extents)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (axis, extent) in self.0.iter().enumerate() {
            if axis > 0 {
                write!(f, "x")?;
            }
            write!(f, "{extent}")?;
        }
        if self.0.is_empty() {
            write!(f, "scalar")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strides_of_a_dense_tensor_end_with_one() {
        assert_eq!(Shape::from([2, 3, 4]).strides(), [12, 4, 1]);
    }

    #[test]
    fn too_many_elements_are_noticed() {
        assert_eq!(Shape::from([usize::MAX, 2]).checked_elements(), None);
    }
}
