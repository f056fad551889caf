//! Tensors of a checkpoint: a record of how to rebuild one in, f32 values out.
//!
//! Offsets, extents and strides are checked against what the archive really holds before memory is
//! taken, and all tensors together stay within a budget.

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use onelook_types::{Shape, Tensor};

use super::archive::Archive;
use super::pickle::{Id, Node, Pickle};
use super::{damaged, unsupported};
use crate::read::{Limits, ReadError};

/// Where a model's tensors come from.
pub(super) trait TensorSource {
    /// The tensor or parameter `id`; `what` is its path.
    fn read(&mut self, id: Id, what: &str) -> Result<Tensor, ReadError>;
}

/// Reads tensors until the budget is spent.
pub(super) struct Tensors<'p> {
    pickle: &'p Pickle<'p>,
    archive: &'p Archive<'p>,
    spent: u64,
    budget: u64,
}

/// How elements are stored; all little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Element {
    F16,
    Bf16,
    F32,
    F64,
    I8,
    U8,
    I16,
    I32,
    I64,
}

impl Element {
    fn of_storage(class: &str) -> Option<Self> {
        Some(match class {
            "HalfStorage" => Self::F16,
            "BFloat16Storage" => Self::Bf16,
            "FloatStorage" => Self::F32,
            "DoubleStorage" => Self::F64,
            "CharStorage" => Self::I8,
            "ByteStorage" | "BoolStorage" => Self::U8,
            "ShortStorage" => Self::I16,
            "IntStorage" => Self::I32,
            "LongStorage" => Self::I64,
            _ => return None,
        })
    }

    fn bytes(self) -> usize {
        match self {
            Self::I8 | Self::U8 => 1,
            Self::F16 | Self::Bf16 | Self::I16 => 2,
            Self::F32 | Self::I32 => 4,
            Self::F64 | Self::I64 => 8,
        }
    }
}

/// A checked description of where a tensor's elements lie.
struct Layout<'p> {
    element: Element,
    storage: &'p [u8],
    offset: usize,
    shape: Shape,
    strides: Vec<usize>,
}

impl TensorSource for Tensors<'_> {
    fn read(&mut self, id: Id, what: &str) -> Result<Tensor, ReadError> {
        let layout = self.layout(id).map_err(|reason| match reason {
            ReadError::Damaged { format, reason } => ReadError::Damaged {
                format,
                reason: format!("tensor '{what}': {reason}"),
            },
            other => other,
        })?;
        self.spent = self
            .spent
            .saturating_add(layout.shape.elements() as u64 * 4);
        if self.spent > self.budget {
            return Err(ReadError::Limit {
                what: "the bytes of all tensors together".to_owned(),
                actual: self.spent,
                limit: self.budget,
            });
        }
        let data = layout.values();
        Tensor::new(layout.shape, data).map_err(damaged)
    }
}

impl<'p> Tensors<'p> {
    pub(super) fn new(pickle: &'p Pickle<'p>, archive: &'p Archive<'p>, limits: &Limits) -> Self {
        Self {
            pickle,
            archive,
            spent: 0,
            budget: limits.tensor_bytes,
        }
    }

    fn layout(&self, id: Id) -> Result<Layout<'p>, ReadError> {
        let (class, args) = self.call(id)?;
        let (class, args) = match class {
            "_rebuild_parameter" | "_rebuild_parameter_with_state" | "Parameter" | "Buffer" => self
                .call(
                    *args
                        .first()
                        .ok_or_else(|| damaged("a parameter has no tensor"))?,
                )?,
            _ => (class, args),
        };
        if !matches!(class, "_rebuild_tensor_v2" | "_rebuild_tensor") || args.len() < 4 {
            return Err(damaged(format!("it is a {class}")));
        }
        let (element, storage) = self.storage(args[0])?;
        let shape = Shape::from(self.extents(args[2])?);
        let layout = Layout {
            element,
            storage,
            offset: self.extent(args[1])?,
            strides: self.extents(args[3])?,
            shape,
        };
        layout.check()?;
        Ok(layout)
    }

    /// The class that a record would call, and its arguments.
    fn call(&self, id: Id) -> Result<(&'p str, &'p [Id]), ReadError> {
        let name = self.pickle.class(id);
        let record = self.pickle.record(id);
        match (name, record.map(|record| self.pickle.node(record.args))) {
            (Some(name), Some(Node::Tuple(args))) => Ok((name.name, args)),
            _ => Err(damaged("it is not a tensor")),
        }
    }

    /// `("storage", class, key, device, elements)`.
    fn storage(&self, id: Id) -> Result<(Element, &'p [u8]), ReadError> {
        let Node::Persistent(id) = *self.pickle.node(id) else {
            return Err(damaged("it has no storage"));
        };
        let Node::Tuple(parts) = self.pickle.node(id) else {
            return Err(damaged("its storage is not described"));
        };
        let [kind, class, key, _device, elements] = parts[..] else {
            return Err(damaged("its storage is described otherwise than expected"));
        };
        let (Some("storage"), Some(class), Some(key)) = (
            self.pickle.str(kind),
            self.pickle.class(class),
            self.pickle.str(key),
        ) else {
            return Err(damaged("its storage is described otherwise than expected"));
        };
        let Some(element) = Element::of_storage(class.name) else {
            return Err(unsupported(format!(
                "its tensors are stored as {}",
                class.name
            )));
        };
        let Some(bytes) = self.archive.get(&format!("data/{key}")) else {
            return Err(damaged(format!("the archive has no data/{key}")));
        };
        let declared = self.extent(elements)?.checked_mul(element.bytes());
        match declared {
            Some(declared) if declared <= bytes.len() => Ok((element, &bytes[..declared])),
            _ => Err(damaged(format!("data/{key} is shorter than it claims"))),
        }
    }

    fn extents(&self, id: Id) -> Result<Vec<usize>, ReadError> {
        let Some(extents) = self.pickle.sequence(id) else {
            return Err(damaged("its extents are no tuple"));
        };
        if extents.len() > 8 {
            return Err(damaged(format!("it has {} axes", extents.len())));
        }
        extents.iter().map(|&extent| self.extent(extent)).collect()
    }

    fn extent(&self, id: Id) -> Result<usize, ReadError> {
        let value = self
            .pickle
            .int(id)
            .and_then(|value| usize::try_from(value).ok());
        value.ok_or_else(|| damaged("an extent is not a natural number"))
    }
}

impl Layout<'_> {
    /// Every element lies in the storage, and there are no more elements than it holds: a tensor
    /// that repeats elements by a stride of 0 could claim any size.
    fn check(&self) -> Result<(), ReadError> {
        let held = self.storage.len() / self.element.bytes();
        let elements = self.shape.checked_elements();
        let claim = || {
            let shape = &self.shape;
            damaged(format!(
                "it claims {shape} elements, but its storage holds {held}"
            ))
        };
        if self.strides.len() != self.shape.len() {
            return Err(damaged("it has as many strides as no tensor"));
        }
        if elements.ok_or_else(claim)? > held {
            return Err(claim());
        }
        if elements == Some(0) {
            return Ok(());
        }
        let last = self
            .shape
            .iter()
            .zip(&self.strides)
            .try_fold(self.offset, |last, (&extent, &stride)| {
                last.checked_add((extent - 1).checked_mul(stride)?)
            });
        match last {
            Some(last) if last < held => Ok(()),
            _ => Err(claim()),
        }
    }

    fn values(&self) -> Vec<f32> {
        let size = self.element.bytes();
        let dense = self.shape.strides();
        let axes = || self.shape.iter().zip(&self.strides).zip(&dense);
        let elements = self.shape.elements();
        if elements == 0 {
            return Vec::new();
        }
        if axes().all(|((&extent, stride), dense)| extent == 1 || stride == dense) {
            return to_f32(
                self.element,
                &self.storage[self.offset * size..][..elements * size],
            );
        }
        let mut gathered = Vec::with_capacity(elements * size);
        for position in 0..elements {
            let element = axes().fold(self.offset, |at, ((extent, stride), dense)| {
                at + position / dense % extent * stride
            });
            gathered.extend_from_slice(&self.storage[element * size..][..size]);
        }
        to_f32(self.element, &gathered)
    }
}

fn to_f32(element: Element, bytes: &[u8]) -> Vec<f32> {
    match element {
        Element::F32 => convert(bytes, f32::from_le_bytes),
        Element::F64 => convert(bytes, |bytes| f64::from_le_bytes(bytes) as f32),
        Element::I8 => convert(bytes, |bytes| f32::from(i8::from_le_bytes(bytes))),
        Element::U8 => convert(bytes, |bytes| f32::from(u8::from_le_bytes(bytes))),
        Element::I16 => convert(bytes, |bytes| f32::from(i16::from_le_bytes(bytes))),
        Element::I32 => convert(bytes, |bytes| i32::from_le_bytes(bytes) as f32),
        Element::I64 => convert(bytes, |bytes| i64::from_le_bytes(bytes) as f32),
        Element::Bf16 => convert(bytes, |bytes| bf16::from_le_bytes(bytes).to_f32()),
        Element::F16 => from_f16(bytes),
    }
}

fn convert<const SIZE: usize>(bytes: &[u8], value: impl Fn([u8; SIZE]) -> f32) -> Vec<f32> {
    let (elements, _) = bytes.as_chunks::<SIZE>();
    elements.iter().map(|&element| value(element)).collect()
}

/// Blockwise, because the conversion of slices uses the machine's instructions for it.
fn from_f16(bytes: &[u8]) -> Vec<f32> {
    const BLOCK: usize = 1024;
    let (elements, _) = bytes.as_chunks::<2>();
    let mut values = vec![0.0; elements.len()];
    let mut block = [f16::ZERO; BLOCK];
    for (source, target) in elements.chunks(BLOCK).zip(values.chunks_mut(BLOCK)) {
        for (half, &bytes) in block.iter_mut().zip(source) {
            *half = f16::from_le_bytes(bytes);
        }
        block[..source.len()].convert_to_f32_slice(target);
    }
    values
}
