//! Counts fields before anything is decoded: two bytes of a file can become hundreds in memory.

use crate::read::{Limits, ReadError};

/// Fields per node that the limit on nodes stands for; real models have about thirty.
const FIELDS_PER_NODE: u64 = 32;

/// A message whose fields become memory, by what of it is decoded.
#[derive(Debug, Clone, Copy)]
enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    Input,
    Type,
    TensorType,
    Shape,
    Flat,
}

impl Message {
    /// The message behind a field; `None` for a field that is one run of bytes or is skipped.
    fn field(self, number: u64) -> Option<Self> {
        Some(match (self, number) {
            (Self::Model, 7) => Self::Graph,
            (Self::Model, 8 | 14) | (Self::Tensor, 13) | (Self::Shape, 1) => Self::Flat,
            (Self::Graph, 1) => Self::Node,
            (Self::Graph, 5) | (Self::Attribute, 5) => Self::Tensor,
            (Self::Graph, 11 | 12) => Self::Input,
            (Self::Node, 5) => Self::Attribute,
            (Self::Input, 2) => Self::Type,
            (Self::Type, 1) => Self::TensorType,
            (Self::TensorType, 2) => Self::Shape,
            _ => return None,
        })
    }
}

/// Refuses a file with more fields than the limits allow, or whose lengths contradict each other.
pub(super) fn check_field_count(bytes: &[u8], limits: &Limits) -> Result<(), ReadError> {
    let limit = (limits.nodes as u64).saturating_mul(FIELDS_PER_NODE);
    let mut count = 0;
    match walk(bytes, Message::Model, &mut count, limit) {
        Some(()) => Ok(()),
        None if count > limit => Err(ReadError::Limit {
            what: "the number of fields".to_owned(),
            actual: count,
            limit,
        }),
        None => Err(super::damaged(
            "it is cut off or no protocol buffer".to_owned(),
        )),
    }
}

/// Visits every field that will be decoded; `None` at the first fault or beyond the limit.
fn walk(mut bytes: &[u8], message: Message, count: &mut u64, limit: u64) -> Option<()> {
    while !bytes.is_empty() {
        *count += 1;
        if *count > limit {
            return None;
        }
        let key = varint(&mut bytes)?;
        let length = match key & 7 {
            0 => {
                varint(&mut bytes)?;
                0
            }
            1 => 8,
            2 => usize::try_from(varint(&mut bytes)?).ok()?,
            5 => 4,
            _ => return None,
        };
        let (field, rest) = bytes.split_at_checked(length)?;
        if let (2, Some(inner)) = (key & 7, message.field(key >> 3)) {
            walk(field, inner, count, limit)?;
        }
        bytes = rest;
    }
    Some(())
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}
