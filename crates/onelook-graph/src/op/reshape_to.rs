//! The same values under extents that follow from the shapes of other values.

use onelook_types::{Shape, Tensor};
use serde::{Deserialize, Serialize};

use super::program::{Data, Program};
use super::{Operator, Reshape};
use crate::GraphError;

/// A reshape of the first input; the program computes the extents from the shapes of the others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReshapeTo {
    /// Gives the list of extents; 0 and -1 mean what they mean for [`Reshape`].
    pub extents: Program,
}

impl ReshapeTo {
    /// The reshape for inputs of these shapes.
    pub fn bind(&self, inputs: &[&Shape]) -> Result<Reshape, GraphError> {
        let [_, others @ ..] = inputs else {
            return Err(GraphError::shape(self.name(), inputs, "it takes an input"));
        };
        match self.extents.bind(others)? {
            Data::Integers(extents) => Reshape::new(&extents.values),
            Data::Floats(_) => None,
        }
        .ok_or_else(|| GraphError::shape(self.name(), inputs, "its extents are no list of six"))
    }
}

impl Operator for ReshapeTo {
    fn name(&self) -> &'static str {
        "reshape_to"
    }

    fn attributes(&self) -> String {
        self.extents.attributes()
    }

    fn check(&self) -> Result<(), String> {
        self.extents.check()
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, GraphError> {
        self.bind(inputs)?.infer(&inputs[..1])
    }

    fn execute(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, GraphError> {
        let shapes: Vec<&Shape> = inputs.iter().map(|input| input.shape()).collect();
        self.bind(&shapes)?.execute(&inputs[..1])
    }

    fn operands(&self) -> (Option<usize>, usize) {
        (None, 1)
    }

    fn only_moves_values(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::program::{Attribute, Instruction, ProgramStep, Reads};
    use super::super::tested::{counting, refuses, shapes, values};
    use super::*;

    #[test]
    fn the_extents_follow_another_shape() {
        let instruction = Instruction {
            operator: "Shape".to_owned(),
            opset: 17,
            attributes: [("start".to_owned(), Attribute::Int(1))].into(),
        };
        let step = ProgramStep {
            instruction,
            operands: vec![Some(0)],
            results: 1,
        };
        let reshape = ReshapeTo {
            extents: Program {
                reads: Reads::Shapes,
                inputs: 1,
                constants: Vec::new(),
                steps: vec![step],
                result: 1,
            },
        };
        assert_eq!(
            shapes(&reshape, &[&[1, 6], &[9, 3, 2]]),
            Ok(vec![vec![3, 2]])
        );
        assert_eq!(
            values(&reshape, &[&counting([6]), &counting([1, 2, 3])])[0],
            [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
        );
        refuses(&reshape, &[&[], &[&[6]], &[&[6], &[1, 4]]]);
    }
}
