//! The same values in other memory.

use onelook_types::{Shape, Tensor};
use serde::{Deserialize, Serialize};

use super::{Operator, single};
use crate::GraphError;

/// Copies its input; passes put it where a value must lie in two places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copy;

impl Operator for Copy {
    fn name(&self) -> &'static str {
        "copy"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, GraphError> {
        Ok(vec![single(self.name(), inputs)?.clone()])
    }

    fn execute(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, GraphError> {
        Ok(vec![single(self.name(), inputs)?.clone()])
    }
}
