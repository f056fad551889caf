//! A tensor that is part of the model.

use std::sync::Arc;

use onelook_types::{Shape, Tensor};

use super::Operator;
use crate::GraphError;

/// Yields the same tensor at every run.
#[derive(Debug, Clone)]
pub struct Constant {
    /// The tensor.
    pub tensor: Arc<Tensor>,
}

impl Operator for Constant {
    fn name(&self) -> &'static str {
        "constant"
    }

    fn infer(&self, _inputs: &[&Shape]) -> Result<Vec<Shape>, GraphError> {
        Ok(vec![self.tensor.shape().clone()])
    }

    fn execute(&self, _inputs: &[&Tensor]) -> Result<Vec<Tensor>, GraphError> {
        Ok(vec![Tensor::clone(&self.tensor)])
    }

    fn operands(&self) -> (Option<usize>, usize) {
        (Some(0), 1)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tested::{counting, shapes, values};
    use super::*;

    #[test]
    fn it_yields_its_tensor() {
        let tensor = Arc::new(counting([2, 2]));
        let constant = Constant { tensor };
        assert_eq!(shapes(&constant, &[]), Ok(vec![vec![2, 2]]));
        assert_eq!(values(&constant, &[])[0], [0.0, 1.0, 2.0, 3.0]);
    }
}
