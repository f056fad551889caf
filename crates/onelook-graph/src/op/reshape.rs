//! The same values under other extents.

use onelook_types::{Shape, Tensor};
use serde::{Deserialize, Serialize};

use super::{Operator, single};
use crate::GraphError;

/// Gives a tensor other extents of as many elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reshape {
    /// Target extents; unused places are `None`. 0 keeps the input's extent at that place, -1 takes
    /// what remains.
    pub extents: [Option<i64>; 6],
}

impl Reshape {
    /// A reshape to at most six extents; `None` for more.
    pub fn new(extents: &[i64]) -> Option<Self> {
        let mut fixed = [None; 6];
        for (index, &extent) in extents.iter().enumerate() {
            *fixed.get_mut(index)? = Some(extent);
        }
        Some(Self { extents: fixed })
    }

    fn listed(&self) -> impl Iterator<Item = i64> + '_ {
        self.extents.iter().map_while(|extent| *extent)
    }
}

impl Operator for Reshape {
    fn name(&self) -> &'static str {
        "reshape"
    }

    fn attributes(&self) -> String {
        let words: Vec<String> = self.listed().map(|extent| extent.to_string()).collect();
        words.join("x")
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, GraphError> {
        let input = single(self.name(), inputs)?;
        let refuse =
            || GraphError::shape(self.name(), inputs, format!("not {}", self.attributes()));
        let mut extents = Vec::new();
        let mut open = None;
        for (index, extent) in self.listed().enumerate() {
            extents.push(match extent {
                0 => *input.get(index).ok_or_else(refuse)?,
                -1 if open.is_none() => {
                    open = Some(index);
                    1
                }
                _ => usize::try_from(extent).map_err(|_| refuse())?,
            });
        }
        let known = Shape::from(extents.clone())
            .checked_elements()
            .ok_or_else(refuse)?;
        if let Some(index) = open {
            extents[index] = input.elements().checked_div(known).ok_or_else(refuse)?;
        }
        let output = Shape::from(extents);
        match output.checked_elements() == Some(input.elements()) {
            true => Ok(vec![output]),
            false => Err(refuse()),
        }
    }

    fn execute(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, GraphError> {
        let input = single(self.name(), inputs)?;
        let shape = self.infer(&[input.shape()])?.remove(0);
        let mut output = input.clone();
        output.resize(&shape);
        Ok(vec![output])
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
    fn zero_keeps_and_minus_one_takes_what_remains() {
        let cases: [(&[i64], &[usize], &[usize]); 5] = [
            (&[6], &[2, 3], &[6]),
            (&[0, -1], &[2, 3, 4], &[2, 12]),
            (&[-1, 0], &[2, 3, 4], &[8, 3]),
            (&[1, 2, 3, 4, 1, 1], &[24], &[1, 2, 3, 4, 1, 1]),
            (&[], &[1, 1], &[]),
        ];
        for (extents, input, expected) in cases {
            let reshape = Reshape::new(extents).unwrap();
            assert_eq!(shapes(&reshape, &[input]), Ok(vec![expected.to_vec()]));
        }
        assert_eq!(Reshape::new(&[1; 7]), None);
    }

    #[test]
    fn other_numbers_of_elements_are_refused() {
        for extents in [
            &[4][..],
            &[-1, -1],
            &[-2, 3],
            &[-1, 4],
            &[0, 0, 0],
            &[i64::MAX, i64::MAX],
            &[-1, 0],
        ] {
            let reshape = Reshape::new(extents).unwrap();
            let zero = extents == [-1, 0];
            let input: &[usize] = if zero { &[2, 0] } else { &[2, 3] };
            refuses(&reshape, &[&[input]]);
        }
    }

    #[test]
    fn values_stay() {
        let reshape = Reshape::new(&[2, 2]).unwrap();
        assert_eq!(values(&reshape, &[&counting([4])])[0], [0.0, 1.0, 2.0, 3.0]);
    }
}
