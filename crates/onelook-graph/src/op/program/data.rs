//! The values that a program computes with: f32 tensors, and integers that stay exact.

use std::sync::Arc;

use onelook_types::{Shape, Tensor};
use serde::{Deserialize, Serialize};

/// A typed tensor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "DataRecord", into = "DataRecord")]
pub enum Data {
    /// Floating-point numbers of any width, as f32.
    Floats(Arc<Tensor>),
    /// Shapes, axes, indices, quantised weights, truth values.
    Integers(Arc<Integers>),
}

/// A tensor of integers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Integers {
    /// Its extents.
    pub shape: Shape,
    /// Its values in dense order, within the range of `kind`.
    pub values: Vec<i64>,
    /// What the file calls them.
    pub kind: IntegerKind,
}

/// The width of integers: what arithmetic wraps at, and what quantisation saturates at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntegerKind {
    /// 64 bits; arithmetic beyond them is an error, as sizes must never wrap.
    I64,
    /// 32 bits.
    I32,
    /// 16 bits.
    I16,
    /// 8 bits.
    I8,
    /// 16 bits without a sign.
    U16,
    /// 8 bits without a sign.
    U8,
    /// 0 or 1.
    Bool,
}

impl IntegerKind {
    /// The value as this kind holds it.
    pub fn wrap(self, value: i64) -> i64 {
        match self {
            Self::I64 => value,
            Self::I32 => i64::from(value as i32),
            Self::I16 => i64::from(value as i16),
            Self::I8 => i64::from(value as i8),
            Self::U16 => i64::from(value as u16),
            Self::U8 => i64::from(value as u8),
            Self::Bool => i64::from(value != 0),
        }
    }

    /// The least and the greatest value.
    pub fn range(self) -> (i64, i64) {
        match self {
            Self::I64 => (i64::MIN, i64::MAX),
            Self::I32 => (i64::from(i32::MIN), i64::from(i32::MAX)),
            Self::I16 => (i64::from(i16::MIN), i64::from(i16::MAX)),
            Self::I8 => (i64::from(i8::MIN), i64::from(i8::MAX)),
            Self::U16 => (0, i64::from(u16::MAX)),
            Self::U8 => (0, i64::from(u8::MAX)),
            Self::Bool => (0, 1),
        }
    }
}

impl Data {
    /// Floats under these extents; the caller counted the values.
    pub(crate) fn floats(shape: impl Into<Shape>, values: Vec<f32>) -> Self {
        let tensor = Tensor::new(shape, values).expect("the caller counted the values");
        Self::Floats(Arc::new(tensor))
    }

    /// Integers under these extents; the caller counted the values.
    pub(crate) fn integers(shape: impl Into<Shape>, values: Vec<i64>, kind: IntegerKind) -> Self {
        let shape = shape.into();
        debug_assert_eq!(shape.checked_elements(), Some(values.len()));
        Self::Integers(Arc::new(Integers {
            shape,
            values,
            kind,
        }))
    }

    /// A list of 64-bit integers.
    pub(crate) fn list(values: Vec<i64>) -> Self {
        Self::integers([values.len()], values, IntegerKind::I64)
    }

    /// The extents.
    pub fn shape(&self) -> &Shape {
        match self {
            Self::Floats(tensor) => tensor.shape(),
            Self::Integers(integers) => &integers.shape,
        }
    }

    /// The number of elements.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Floats(tensor) => tensor.data().len(),
            Self::Integers(integers) => integers.values.len(),
        }
    }

    /// The elements at these positions, in this order, under other extents.
    pub(crate) fn pick(&self, shape: impl Into<Shape>, positions: &[usize]) -> Self {
        match self {
            Self::Floats(tensor) => {
                let values = tensor.data();
                Self::floats(shape, positions.iter().map(|&at| values[at]).collect())
            }
            Self::Integers(integers) => {
                let values = positions.iter().map(|&at| integers.values[at]).collect();
                Self::integers(shape, values, integers.kind)
            }
        }
    }

    /// The same elements under other extents of as many elements.
    pub(crate) fn reshaped(&self, shape: Shape) -> Self {
        match self {
            Self::Floats(tensor) => {
                let mut tensor = Tensor::clone(tensor);
                tensor.resize(&shape);
                Self::Floats(Arc::new(tensor))
            }
            Self::Integers(integers) => {
                Self::integers(shape, integers.values.clone(), integers.kind)
            }
        }
    }
}

/// How data is written to a file; floats by their bits, for JSON knows no NaN.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum DataRecord {
    Floats(Vec<usize>, Vec<u32>),
    Integers(Vec<usize>, Vec<i64>, IntegerKind),
}

impl From<Data> for DataRecord {
    fn from(data: Data) -> Self {
        let extents = data.shape().to_vec();
        match data {
            Data::Floats(tensor) => {
                Self::Floats(extents, tensor.data().iter().map(|x| x.to_bits()).collect())
            }
            Data::Integers(integers) => {
                Self::Integers(extents, integers.values.clone(), integers.kind)
            }
        }
    }
}

impl TryFrom<DataRecord> for Data {
    type Error = &'static str;

    fn try_from(record: DataRecord) -> Result<Self, Self::Error> {
        let (extents, count) = match &record {
            DataRecord::Floats(extents, bits) => (extents, bits.len()),
            DataRecord::Integers(extents, values, _) => (extents, values.len()),
        };
        if Shape::from(extents.clone()).checked_elements() != Some(count) {
            return Err("a constant of a program does not fill its shape");
        }
        match record {
            DataRecord::Floats(extents, bits) => {
                let values = bits.into_iter().map(f32::from_bits).collect();
                Ok(Self::floats(extents, values))
            }
            DataRecord::Integers(extents, values, kind) => {
                let (least, greatest) = kind.range();
                match values
                    .iter()
                    .all(|value| (least..=greatest).contains(value))
                {
                    true => Ok(Self::integers(extents, values, kind)),
                    false => Err("a constant of a program is out of its type's range"),
                }
            }
        }
    }
}
