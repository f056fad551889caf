//! Constants of the file: a tensor message comes in, floats or integers go out.

use std::sync::Arc;

use half::{bf16, f16};
use onelook_types::{Shape, Tensor};

use super::proto;
use crate::op::program::{Data, IntegerKind, integer_kind};
use crate::read::{Limits, ReadError};

/// Reads constants and keeps count of their bytes.
pub(super) struct ConstantReader<'a> {
    limits: &'a Limits,
    bytes: u64,
}

const FLOAT: i32 = 1;
const FLOAT16: i32 = 10;
const DOUBLE: i32 = 11;
const BFLOAT16: i32 = 16;

impl<'a> ConstantReader<'a> {
    pub(super) fn new(limits: &'a Limits) -> Self {
        Self { limits, bytes: 0 }
    }

    /// The constant that `tensor` describes.
    pub(super) fn read(&mut self, tensor: &proto::Tensor) -> Result<Data, ReadError> {
        let name = &tensor.name;
        if tensor.data_location == 1 || !tensor.external_data.is_empty() {
            let reason = format!(
                "tensor '{name}' lies in another file; save the model with its weights inside"
            );
            return Err(ReadError::Unsupported { reason });
        }
        let shape = shape(tensor)?;
        let kind = integer_kind(i64::from(tensor.data_type));
        let width = if kind.is_some() {
            size_of::<i64>()
        } else {
            size_of::<f32>()
        };
        self.count(name, &shape, width as u64)?;
        let constant = match kind {
            Some(kind) => integers(tensor, shape.clone(), kind),
            None => floats(tensor)?
                .and_then(|values| Tensor::new(shape.clone(), values).ok())
                .map(|tensor| Data::Floats(Arc::new(tensor))),
        };
        constant.ok_or_else(|| damaged(name, &format!("its data does not fill shape {shape}")))
    }

    fn count(&mut self, name: &str, shape: &Shape, width: u64) -> Result<(), ReadError> {
        let bytes = shape
            .checked_elements()
            .and_then(|elements| (elements as u64).checked_mul(width))
            .unwrap_or(u64::MAX);
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes <= self.limits.tensor_bytes {
            return Ok(());
        }
        Err(ReadError::Limit {
            what: format!("tensor '{name}' with those before it"),
            actual: self.bytes,
            limit: self.limits.tensor_bytes,
        })
    }
}

fn shape(tensor: &proto::Tensor) -> Result<Shape, ReadError> {
    if tensor.dims.len() > 8 {
        return Err(damaged(&tensor.name, "it has more than 8 axes"));
    }
    let extents: Result<Vec<usize>, _> = tensor
        .dims
        .iter()
        .map(|&dim| usize::try_from(dim))
        .collect();
    extents
        .map(Shape::from)
        .map_err(|_| damaged(&tensor.name, "it has a negative extent"))
}

fn integers(tensor: &proto::Tensor, shape: Shape, kind: IntegerKind) -> Option<Data> {
    let raw = &tensor.raw_data;
    let values: Vec<i64> = match kind {
        IntegerKind::I64 if raw.is_empty() => tensor.int64_data.clone(),
        _ if raw.is_empty() => {
            let values = tensor.int32_data.iter();
            values.map(|&x| kind.wrap(i64::from(x))).collect()
        }
        IntegerKind::I64 => chunks(raw, i64::from_le_bytes)?,
        IntegerKind::I32 => chunks(raw, |bytes| i64::from(i32::from_le_bytes(bytes)))?,
        IntegerKind::I16 => chunks(raw, |bytes| i64::from(i16::from_le_bytes(bytes)))?,
        IntegerKind::U16 => chunks(raw, |bytes| i64::from(u16::from_le_bytes(bytes)))?,
        IntegerKind::I8 | IntegerKind::U8 | IntegerKind::Bool => {
            raw.iter().map(|&x| kind.wrap(i64::from(x))).collect()
        }
    };
    (shape.checked_elements() == Some(values.len())).then(|| Data::integers(shape, values, kind))
}

/// The values as f32, or `None` when the bytes are no whole number of values.
fn floats(tensor: &proto::Tensor) -> Result<Option<Vec<f32>>, ReadError> {
    let raw = &tensor.raw_data;
    let small = || tensor.int32_data.iter();
    Ok(match tensor.data_type {
        FLOAT if raw.is_empty() => Some(tensor.float_data.clone()),
        FLOAT => chunks(raw, f32::from_le_bytes),
        FLOAT16 if raw.is_empty() => Some(
            small()
                .map(|&x| f16::from_bits(x as u16).to_f32())
                .collect(),
        ),
        FLOAT16 => chunks(raw, |bytes| f16::from_le_bytes(bytes).to_f32()),
        BFLOAT16 if raw.is_empty() => Some(
            small()
                .map(|&x| bf16::from_bits(x as u16).to_f32())
                .collect(),
        ),
        BFLOAT16 => chunks(raw, |bytes| bf16::from_le_bytes(bytes).to_f32()),
        DOUBLE if raw.is_empty() => Some(tensor.double_data.iter().map(|&x| x as f32).collect()),
        DOUBLE => chunks(raw, |bytes| f64::from_le_bytes(bytes) as f32),
        other => {
            let reason = format!("tensor '{}' has ONNX data type {other}", tensor.name);
            return Err(ReadError::Unsupported { reason });
        }
    })
}

fn chunks<const SIZE: usize, T>(raw: &[u8], value: impl Fn([u8; SIZE]) -> T) -> Option<Vec<T>> {
    let (chunks, rest) = raw.as_chunks::<SIZE>();
    rest.is_empty()
        .then(|| chunks.iter().map(|&bytes| value(bytes)).collect())
}

fn damaged(tensor: &str, what: &str) -> ReadError {
    ReadError::Damaged {
        format: "onnx",
        reason: format!("tensor '{tensor}': {what}"),
    }
}
