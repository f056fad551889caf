//! One value for all along an axis.

use onelook_types::{Shape, Tensor};
use serde::{Deserialize, Serialize};

use super::{Operator, check_axis, single};
use crate::GraphError;

/// What becomes of the values along the axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reduction {
    /// Their sum.
    Sum,
    /// The largest.
    Max,
    /// Their mean.
    Mean,
}

/// Reduces along `axis`, which stays with extent 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reduce {
    /// How.
    pub reduction: Reduction,
    /// Along which axis.
    pub axis: usize,
}

impl Operator for Reduce {
    fn name(&self) -> &'static str {
        match self.reduction {
            Reduction::Sum => "reduce_sum",
            Reduction::Max => "reduce_max",
            Reduction::Mean => "reduce_mean",
        }
    }

    fn attributes(&self) -> String {
        format!("axis {}", self.axis)
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, GraphError> {
        let shape = single(self.name(), inputs)?;
        check_axis(self.name(), shape, self.axis)?;
        let mut extents = shape.to_vec();
        extents[self.axis] = 1;
        Ok(vec![Shape::from(extents)])
    }

    fn execute(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, GraphError> {
        let input = single(self.name(), inputs)?;
        let shape = self.infer(&[input.shape()])?.remove(0);
        let extent = input.shape()[self.axis];
        let inner: usize = input.shape()[self.axis + 1..].iter().product();
        let value = |position: usize| {
            let (outer, lane) = (position / inner, position % inner);
            let along = (0..extent).map(|k| input.data()[(outer * extent + k) * inner + lane]);
            match self.reduction {
                Reduction::Sum => along.sum(),
                Reduction::Max => along.fold(f32::NEG_INFINITY, f32::max),
                Reduction::Mean => along.sum::<f32>() / extent as f32,
            }
        };
        Ok(vec![Tensor::from_fn(shape.clone(), value)])
    }
}

#[cfg(test)]
mod tests {
    use super::super::tested::{counting, refuses, shapes, values};
    use super::*;

    #[test]
    fn the_axis_stays_with_one_value() {
        let reduce = |reduction| Reduce { reduction, axis: 1 };
        let x = counting([2, 2, 2]);
        assert_eq!(
            values(&reduce(Reduction::Sum), &[&x])[0],
            [2.0, 4.0, 10.0, 12.0]
        );
        assert_eq!(
            values(&reduce(Reduction::Max), &[&x])[0],
            [2.0, 3.0, 6.0, 7.0]
        );
        assert_eq!(
            values(&reduce(Reduction::Mean), &[&x])[0],
            [1.0, 2.0, 5.0, 6.0]
        );
        assert_eq!(
            shapes(&reduce(Reduction::Sum), &[&[2, 3, 4]]),
            Ok(vec![vec![2, 1, 4]])
        );
        refuses(&reduce(Reduction::Sum), &[&[&[2]], &[]]);
    }
}
