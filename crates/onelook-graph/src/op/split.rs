//! Pieces of a tensor along an axis.

use onelook_types::{Shape, Tensor};
use serde::{Deserialize, Serialize};

use super::{Operator, Slice, check_axis, single};
use crate::GraphError;

/// Cuts a tensor into pieces along `axis`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// Along which axis.
    pub axis: usize,
    /// Extent of each piece; together the input's.
    pub sizes: Vec<usize>,
}

impl Operator for Split {
    fn name(&self) -> &'static str {
        "split"
    }

    fn attributes(&self) -> String {
        let sizes: Vec<String> = self.sizes.iter().map(ToString::to_string).collect();
        format!("axis {} into {}", self.axis, sizes.join("+"))
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, GraphError> {
        let shape = single(self.name(), inputs)?;
        check_axis(self.name(), shape, self.axis)?;
        let total = self
            .sizes
            .iter()
            .try_fold(0usize, |sum, &size| sum.checked_add(size));
        if total != Some(shape[self.axis]) {
            let reason = format!("the pieces must sum to {}", shape[self.axis]);
            return Err(GraphError::shape(self.name(), inputs, reason));
        }
        let piece = |&size: &usize| {
            let mut extents = shape.to_vec();
            extents[self.axis] = size;
            Shape::from(extents)
        };
        Ok(self.sizes.iter().map(piece).collect())
    }

    fn execute(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, GraphError> {
        let input = single(self.name(), inputs)?;
        self.infer(&[input.shape()])?;
        let mut start = 0;
        let mut pieces = Vec::with_capacity(self.sizes.len());
        for &size in &self.sizes {
            let slice = Slice {
                axis: self.axis,
                start,
                end: start + size,
            };
            pieces.append(&mut slice.execute(&[input])?);
            start += size;
        }
        Ok(pieces)
    }

    fn operands(&self) -> (Option<usize>, usize) {
        (Some(1), self.sizes.len())
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
    fn pieces_fill_the_axis() {
        let sizes = vec![1, 2];
        let split = Split { axis: 1, sizes };
        assert_eq!(shapes(&split, &[&[2, 3]]), Ok(vec![vec![2, 1], vec![2, 2]]));
        assert_eq!(
            values(&split, &[&counting([2, 3])]),
            [vec![0.0, 3.0], vec![1.0, 2.0, 4.0, 5.0]]
        );
        refuses(&split, &[&[&[2, 4]], &[&[3]], &[]]);
        let sizes = vec![usize::MAX, 4];
        refuses(&Split { axis: 1, sizes }, &[&[&[2, 3]]]);
    }
}
