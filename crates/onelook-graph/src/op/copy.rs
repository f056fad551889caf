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

    fn is_per_image(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::tested::{counting, refuses, shapes, values};
    use super::*;

    #[test]
    fn nothing_changes() {
        assert_eq!(shapes(&Copy, &[&[2, 3]]), Ok(vec![vec![2, 3]]));
        assert_eq!(values(&Copy, &[&counting([3])])[0], [0.0, 1.0, 2.0]);
        refuses(&Copy, &[&[], &[&[1], &[1]]]);
    }
}
