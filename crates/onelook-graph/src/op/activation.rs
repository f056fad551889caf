//! Functions of one value at a time.

use onelook_types::{Shape, Tensor};
use serde::{Deserialize, Serialize};

use super::{Operator, single};
use crate::GraphError;

/// An element-wise function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// x · sigmoid(x) (arXiv 1702.03118).
    Silu,
    /// 1 / (1 + e^-x).
    Sigmoid,
    /// max(x, 0).
    Relu,
    /// e^x.
    Exp,
}

impl Activation {
    /// The function's value at `x`.
    pub fn apply(self, x: f32) -> f32 {
        match self {
            Self::Silu => x / (1.0 + (-x).exp()),
            Self::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Self::Relu => x.max(0.0),
            Self::Exp => x.exp(),
        }
    }
}

impl Operator for Activation {
    fn name(&self) -> &'static str {
        match self {
            Self::Silu => "silu",
            Self::Sigmoid => "sigmoid",
            Self::Relu => "relu",
            Self::Exp => "exp",
        }
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, GraphError> {
        Ok(vec![single(self.name(), inputs)?.clone()])
    }

    fn execute(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, GraphError> {
        let mut output = single(self.name(), inputs)?.clone();
        output
            .data_mut()
            .iter_mut()
            .for_each(|x| *x = self.apply(*x));
        Ok(vec![output])
    }

    fn is_per_image(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::tested::{assert_near, shapes, tensor, values};
    use super::*;

    #[test]
    fn functions_have_their_values() {
        let x = tensor([5], &[-100.0, -1.0, 0.0, 1.0, 100.0]);
        let cases = [
            (
                Activation::Silu,
                [0.0, -0.268_941_43, 0.0, 0.731_058_6, 100.0],
            ),
            (
                Activation::Sigmoid,
                [0.0, 0.268_941_43, 0.5, 0.731_058_6, 1.0],
            ),
            (Activation::Relu, [0.0, 0.0, 0.0, 1.0, 100.0]),
        ];
        for (function, expected) in cases {
            assert_near(&values(&function, &[&x])[0], &expected);
        }
        assert_near(
            &values(&Activation::Exp, &[&tensor([2], &[0.0, 1.0])])[0],
            &[1.0, 2.718_281_7],
        );
    }

    #[test]
    fn shapes_stay() {
        assert_eq!(shapes(&Activation::Exp, &[&[2, 3]]), Ok(vec![vec![2, 3]]));
        assert!(shapes(&Activation::Exp, &[]).is_err());
    }
}
