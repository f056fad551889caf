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
}
