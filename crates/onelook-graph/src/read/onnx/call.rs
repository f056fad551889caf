//! One node of the file as its importer sees it: attributes with defaults, inputs by position.

use std::collections::BTreeMap;
use std::sync::Arc;

use onelook_types::{Shape, Tensor};

use super::constant::ConstantReader;
use super::proto;
use crate::ValueId;
use crate::op::program::{Attribute, Data, Instruction};
use crate::read::ReadError;

/// What a name of the file stands for.
#[derive(Debug, Clone)]
pub(super) enum Known {
    /// A value of the graph, and its shape when the input has the one at hand.
    Value(ValueId, Shape),
    /// A constant that no node of the graph yields yet.
    Constant(Data),
    /// What follows from the input's shape: its value for the one at hand, and how it is computed.
    Bound(Data, Source),
    /// What only a program can compute, from the image.
    Computed(Source),
    /// A value of the graph of which the file has the quantised form.
    Quantised(ValueId, Shape, Quantisation),
    /// The output of an operator that we lack.
    Missing,
}

/// A result of a step that the importer has recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Source {
    pub step: usize,
    pub result: usize,
}

/// What a quantised value stands for: (value - zero) * scale.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Quantisation {
    pub scale: f32,
    pub zero: i64,
}

impl Known {
    pub(super) fn shape(&self) -> Shape {
        match self {
            Self::Value(_, shape) | Self::Quantised(_, shape, _) => shape.clone(),
            Self::Constant(data) | Self::Bound(data, _) => data.shape().clone(),
            Self::Computed(_) | Self::Missing => Shape::default(),
        }
    }

    /// The graph's value that it is.
    pub(super) fn value_id(&self) -> Option<ValueId> {
        match self {
            Self::Value(id, _) | Self::Quantised(id, ..) => Some(*id),
            _ => None,
        }
    }

    /// What is known of it before any image comes.
    pub(super) fn data(&self) -> Option<&Data> {
        match self {
            Self::Constant(data) | Self::Bound(data, _) => Some(data),
            _ => None,
        }
    }
}

/// Why a node cannot be imported.
#[derive(Debug)]
pub(super) enum Refusal {
    /// We lack it, or this use of it; the reading goes on to find others.
    Missing(String),
    /// The file is wrong.
    Broken(ReadError),
}

impl From<ReadError> for Refusal {
    fn from(error: ReadError) -> Self {
        Self::Broken(error)
    }
}

/// A node with what its inputs stand for.
pub(super) struct Call<'a> {
    pub(super) node: &'a proto::Node,
    pub(super) inputs: Vec<Option<Known>>,
    pub(super) opset: i64,
}

impl Call<'_> {
    /// The node's name, or its first output's where it has none.
    pub(super) fn name(&self) -> &str {
        match self.node.output.first() {
            Some(output) if self.node.name.is_empty() => output,
            _ => &self.node.name,
        }
    }

    /// Whether the operator is of the standard's own domain.
    pub(super) fn is_standard(&self) -> bool {
        matches!(self.node.domain.as_str(), "" | "ai.onnx")
    }

    /// This use of the operator is not supported.
    pub(super) fn lacking(&self, what: &str) -> Refusal {
        Refusal::Missing(format!("{} ({what})", self.node.op_type))
    }

    /// The node contradicts the operator's definition.
    pub(super) fn broken(&self, what: &str) -> Refusal {
        Refusal::Broken(ReadError::Damaged {
            format: "onnx",
            reason: format!("{} '{}': {what}", self.node.op_type, self.name()),
        })
    }

    fn attribute(&self, name: &str) -> Option<&proto::Attribute> {
        self.node.attribute.iter().find(|one| one.name == name)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.attribute(name).is_some()
    }

    pub(super) fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name)
            .and_then(|one| one.i)
            .unwrap_or(default)
    }

    pub(super) fn float(&self, name: &str, default: f32) -> f32 {
        self.attribute(name)
            .and_then(|one| one.f)
            .unwrap_or(default)
    }

    pub(super) fn word(&self, name: &str, default: &str) -> String {
        self.attribute(name)
            .and_then(|one| one.s.as_ref())
            .map_or(default.to_owned(), |s| {
                String::from_utf8_lossy(s).into_owned()
            })
    }

    pub(super) fn ints(&self, name: &str) -> Option<&[i64]> {
        self.attribute(name).map(|one| one.ints.as_slice())
    }

    pub(super) fn floats(&self, name: &str) -> Option<&[f32]> {
        self.attribute(name).map(|one| one.floats.as_slice())
    }

    /// `N` small non-negative numbers of an attribute that defaults to `default` each.
    pub(super) fn extents<const N: usize>(
        &self,
        name: &str,
        default: usize,
    ) -> Result<[usize; N], Refusal> {
        let Some(ints) = self.ints(name) else {
            return Ok([default; N]);
        };
        let extents: Vec<usize> = ints
            .iter()
            .filter_map(|&int| u16::try_from(int).ok().map(usize::from))
            .collect();
        match extents.try_into() {
            Ok(extents) if ints.len() == N => Ok(extents),
            _ => Err(self.lacking(&format!("{name} {ints:?}"))),
        }
    }

    /// The node as an instruction of a program.
    pub(super) fn instruction(
        &self,
        reader: &mut ConstantReader,
    ) -> Result<Instruction, ReadError> {
        let mut attributes = BTreeMap::new();
        for attribute in &self.node.attribute {
            let value = match attribute {
                proto::Attribute {
                    t: Some(tensor), ..
                } => Attribute::Data(reader.read(tensor)?),
                proto::Attribute { f: Some(value), .. } => Attribute::Float(*value),
                proto::Attribute { i: Some(value), .. } => Attribute::Int(*value),
                proto::Attribute { s: Some(value), .. } => {
                    Attribute::Text(String::from_utf8_lossy(value).into_owned())
                }
                proto::Attribute { floats, .. } if !floats.is_empty() => {
                    Attribute::Floats(floats.clone())
                }
                proto::Attribute { ints, .. } => Attribute::Ints(ints.clone()),
            };
            attributes.insert(attribute.name.clone(), value);
        }
        Ok(Instruction {
            operator: self.node.op_type.clone(),
            opset: self.opset,
            attributes,
        })
    }

    /// The input at `index`, unless it is left out.
    pub(super) fn optional(&self, index: usize) -> Option<&Known> {
        self.inputs.get(index)?.as_ref()
    }

    /// The input at `index`.
    pub(super) fn input(&self, index: usize) -> Result<&Known, Refusal> {
        self.optional(index)
            .ok_or_else(|| self.broken(&format!("input {index} is missing")))
    }

    /// The input at `index` as weights.
    pub(super) fn weights(&self, index: usize) -> Result<Option<Arc<Tensor>>, Refusal> {
        match (
            self.optional(index),
            self.optional(index).and_then(Known::data),
        ) {
            (None, _) => Ok(None),
            (_, Some(Data::Floats(tensor))) => Ok(Some(tensor.clone())),
            _ => Err(self.lacking(&format!("input {index} is not a constant"))),
        }
    }

    /// The input at `index` as constant integers.
    fn integers(&self, index: usize) -> Result<Option<Vec<i64>>, Refusal> {
        match (
            self.optional(index),
            self.optional(index).and_then(Known::data),
        ) {
            (None, _) => Ok(None),
            (_, Some(Data::Integers(integers))) => Ok(Some(integers.values.clone())),
            _ => Err(self.lacking(&format!("input {index} depends on the image"))),
        }
    }

    /// Integers that older operator sets have as attribute `name` and newer ones as an input.
    pub(super) fn attribute_or_input(
        &self,
        name: &str,
        index: usize,
    ) -> Result<Option<Vec<i64>>, Refusal> {
        match self.ints(name) {
            Some(ints) => Ok(Some(ints.to_vec())),
            None => self.integers(index),
        }
    }

    /// An axis of a tensor of `rank` axes; negative ones count from the end.
    pub(super) fn axis(&self, axis: i64, rank: usize) -> Result<usize, Refusal> {
        let rank = rank as i64;
        let positive = if axis < 0 {
            axis.saturating_add(rank)
        } else {
            axis
        };
        match (0..rank).contains(&positive) {
            true => Ok(positive as usize),
            false => Err(self.broken(&format!("there is no axis {axis}"))),
        }
    }
}
