//! A range along an axis.

use onelook_types::{Shape, Tensor};
use serde::{Deserialize, Serialize};

use super::{Operator, check_axis, single};
use crate::GraphError;

/// Keeps positions `start..end` of `axis`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slice {
    /// Along which axis.
    pub axis: usize,
    /// First position kept.
    pub start: usize,
    /// First position dropped again; beyond the extent means to its end.
    pub end: usize,
}

impl Operator for Slice {
    fn name(&self) -> &'static str {
        "slice"
    }

    fn attributes(&self) -> String {
        format!("axis {} {}..{}", self.axis, self.start, self.end)
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, GraphError> {
        let shape = single(self.name(), inputs)?;
        check_axis(self.name(), shape, self.axis)?;
        let mut extents = shape.to_vec();
        let end = self.end.min(extents[self.axis]);
        extents[self.axis] = end
            .checked_sub(self.start)
            .ok_or_else(|| GraphError::shape(self.name(), inputs, "the range lies outside"))?;
        Ok(vec![Shape::from(extents)])
    }

    fn execute(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, GraphError> {
        let input = single(self.name(), inputs)?;
        let shape = self.infer(&[input.shape()])?.remove(0);
        let inner: usize = shape[self.axis + 1..].iter().product();
        let (extent, kept) = (input.shape()[self.axis], shape[self.axis]);
        let value = |position: usize| {
            let (outer, rest) = (position / (kept * inner), position % (kept * inner));
            input.data()[(outer * extent + self.start) * inner + rest]
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
    fn a_range_of_the_axis_is_kept() {
        let slice = Slice {
            axis: 1,
            start: 1,
            end: 2,
        };
        assert_eq!(values(&slice, &[&counting([2, 3])])[0], [1.0, 4.0]);
        assert_eq!(shapes(&slice, &[&[2, 3, 4]]), Ok(vec![vec![2, 1, 4]]));
        refuses(&slice, &[&[&[3]], &[&[2, 0]], &[]]);
        let rest = Slice {
            end: usize::MAX,
            ..slice
        };
        assert_eq!(shapes(&rest, &[&[2, 3]]), Ok(vec![vec![2, 2]]));
    }
}
