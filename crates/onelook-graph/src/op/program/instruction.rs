//! One instruction of a program: an ONNX operator with its attributes, and how it is called.

use std::collections::BTreeMap;

use onelook_types::Shape;
use serde::{Deserialize, Serialize};

use super::data::{Data, IntegerKind};

/// An operator of the ONNX standard domain with its attributes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Instruction {
    /// The operator's name in ONNX.
    pub operator: String,
    /// Version of the operator set that says what it means.
    pub opset: i64,
    /// Attributes by name.
    pub attributes: BTreeMap<String, Attribute>,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Attribute {
    /// An integer.
    Int(i64),
    /// A number.
    Float(f32),
    /// Integers.
    Ints(Vec<i64>),
    /// Numbers.
    Floats(Vec<f32>),
    /// A word.
    Text(String),
    /// A tensor.
    Data(Data),
}

/// Why an instruction has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The operator, or this use of it, is not implemented.
    Lacking(String),
    /// The operator's definition does not allow these operands.
    Broken(String),
    /// The result would take more memory or time than allowed.
    TooLarge,
}

/// What results may cost before evaluation is given up: elements written or compared.
#[derive(Debug, Clone, Copy)]
pub struct Budget(pub u64);

impl Budget {
    /// Takes the cost of a result, before memory is taken for it.
    pub(crate) fn charge(&mut self, elements: usize) -> Result<(), Failure> {
        self.0 = self
            .0
            .checked_sub(elements as u64)
            .ok_or(Failure::TooLarge)?;
        Ok(())
    }

    /// Takes the cost of a result of this shape; returns its number of elements. An extent of 0
    /// counts as 1, for there are loops over the other axes.
    pub(crate) fn charge_shape(&mut self, shape: &Shape) -> Result<usize, Failure> {
        let volume = super::volume(shape);
        if volume > super::MAX_RESULT {
            return Err(Failure::TooLarge);
        }
        self.charge(volume)?;
        shape.checked_elements().ok_or(Failure::TooLarge)
    }
}

/// An instruction with its operands.
pub(crate) struct Call<'a> {
    pub instruction: &'a Instruction,
    pub inputs: &'a [Option<Data>],
    pub outputs: usize,
}

impl Call<'_> {
    pub fn lacking(&self, what: &str) -> Failure {
        Failure::Lacking(format!("{} ({what})", self.instruction.operator))
    }

    pub fn broken(&self, what: impl std::fmt::Display) -> Failure {
        Failure::Broken(what.to_string())
    }

    pub fn int(&self, name: &str, default: i64) -> i64 {
        match self.instruction.attributes.get(name) {
            Some(Attribute::Int(value)) => *value,
            _ => default,
        }
    }

    pub fn float(&self, name: &str, default: f32) -> f32 {
        match self.instruction.attributes.get(name) {
            Some(Attribute::Float(value)) => *value,
            _ => default,
        }
    }

    pub fn ints(&self, name: &str) -> Option<&[i64]> {
        match self.instruction.attributes.get(name) {
            Some(Attribute::Ints(values)) => Some(values),
            _ => None,
        }
    }

    pub fn text(&self, name: &str, default: &'static str) -> &str {
        match self.instruction.attributes.get(name) {
            Some(Attribute::Text(value)) => value,
            _ => default,
        }
    }

    pub fn optional(&self, index: usize) -> Option<&Data> {
        self.inputs.get(index)?.as_ref()
    }

    pub fn input(&self, index: usize) -> Result<&Data, Failure> {
        self.optional(index)
            .ok_or_else(|| self.broken(format!("input {index} is missing")))
    }

    /// The input at `index` as floats.
    pub fn floats(&self, index: usize) -> Result<&[f32], Failure> {
        match self.input(index)? {
            Data::Floats(tensor) => Ok(tensor.data()),
            Data::Integers(_) => Err(self.broken(format!("input {index} must be of floats"))),
        }
    }

    /// The input at `index` as integers.
    pub fn integers(&self, index: usize) -> Result<&[i64], Failure> {
        match self.input(index)? {
            Data::Integers(integers) => Ok(&integers.values),
            Data::Floats(_) => Err(self.broken(format!("input {index} must be of integers"))),
        }
    }

    /// Integers that older operator sets have as attribute `name` and newer ones as an input.
    pub fn listed(&self, name: &str, index: usize) -> Result<Option<Vec<i64>>, Failure> {
        match (self.ints(name), self.optional(index)) {
            (Some(values), _) => Ok(Some(values.to_vec())),
            (None, Some(_)) => Ok(Some(self.integers(index)?.to_vec())),
            (None, None) => Ok(None),
        }
    }

    /// The only element of the input at `index`.
    pub fn number(&self, index: usize, default: f32) -> Result<f32, Failure> {
        match self.optional(index) {
            None => Ok(default),
            Some(_) => match self.floats(index)? {
                [value] => Ok(*value),
                _ => Err(self.broken(format!("input {index} must be one number"))),
            },
        }
    }

    /// The only element of the input at `index`.
    pub fn integer(&self, index: usize) -> Result<i64, Failure> {
        match self.integers(index)? {
            [value] => Ok(*value),
            _ => Err(self.broken(format!("input {index} must be one integer"))),
        }
    }

    /// An axis of a tensor of `rank` axes; negative ones count from the end.
    pub fn axis(&self, axis: i64, rank: usize) -> Result<usize, Failure> {
        position(axis, rank).ok_or_else(|| self.broken(format!("there is no axis {axis}")))
    }

    /// Axes that a reduction or a squeeze names, sorted, each once.
    pub fn axes(&self, axes: &[i64], rank: usize) -> Result<Vec<usize>, Failure> {
        let mut axes = axes
            .iter()
            .map(|&axis| self.axis(axis, rank))
            .collect::<Result<Vec<_>, _>>()?;
        axes.sort_unstable();
        axes.dedup();
        Ok(axes)
    }

    /// Extents that are sizes.
    pub fn extents(&self, values: &[i64]) -> Result<Vec<usize>, Failure> {
        if values.len() > super::MAX_AXES {
            return Err(self.broken(format!("its result has {} axes", values.len())));
        }
        values
            .iter()
            .map(|&extent| usize::try_from(extent))
            .collect::<Result<_, _>>()
            .map_err(|_| self.broken("an extent is negative"))
    }
}

/// A position below `extent`; negative ones count from the end.
pub(crate) fn position(position: i64, extent: usize) -> Option<usize> {
    let extent = i64::try_from(extent).ok()?;
    let from_start = match position {
        0.. => position,
        _ => position.checked_add(extent)?,
    };
    (0..extent)
        .contains(&from_start)
        .then_some(from_start as usize)
}

/// The integer kind behind the number of an ONNX data type; `None` for floats and types that we lack.
pub(crate) fn integer_kind(data_type: i64) -> Option<IntegerKind> {
    Some(match data_type {
        2 => IntegerKind::U8,
        3 => IntegerKind::I8,
        4 => IntegerKind::U16,
        5 => IntegerKind::I16,
        6 => IntegerKind::I32,
        7 => IntegerKind::I64,
        9 => IntegerKind::Bool,
        _ => return None,
    })
}

/// Whether the number of an ONNX data type is one of floats that we compute as f32.
pub(crate) fn is_float(data_type: i64) -> bool {
    matches!(data_type, 1 | 10 | 11 | 16)
}
