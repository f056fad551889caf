//! The native form: a safetensors file whose header also holds the graph and the metadata.
//!
//! Tensors lie aligned and are read where they are, so the bytes may be a mapping of the file.
//! Every name, index and shape in the header is checked before it is used.

mod record;
mod write;

use std::collections::HashMap;
use std::sync::Arc;

use half::f16;
use onelook_types::{Shape, Tensor};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use self::record::{GraphRecord, ModelRecord, NodeRecord, OpRecord, plain_operator};
use super::{Limits, ModelFile, ReadError, ReadOptions};
use crate::op::{BatchNorm, Constant, Conv, Op};
use crate::{Graph, Node, Value, ValueId, infer_shapes};

pub use write::write;

/// The header entry that holds the model's description.
const KEY: &str = "onelook";
const VERSION: u32 = 1;

pub(super) fn read(bytes: &[u8], options: &ReadOptions) -> Result<ModelFile, ReadError> {
    let limits = &options.limits;
    check_header(bytes, limits)?;
    let file = SafeTensors::deserialize(bytes).map_err(|error| damaged(error.to_string()))?;
    let (_, header) =
        SafeTensors::read_metadata(bytes).map_err(|error| damaged(error.to_string()))?;
    let entries = header.metadata().as_ref();
    let json = entries
        .and_then(|entries| entries.get(KEY))
        .ok_or_else(|| unsupported("a safetensors file without the network's structure; convert the .pt or .onnx file with `onelook convert`".to_owned()))?;
    let record: ModelRecord = parse(json)?;
    if record.graph.nodes.len() > limits.nodes || record.graph.values.len() / 8 > limits.nodes {
        return Err(ReadError::Limit {
            what: "the number of nodes and values".to_owned(),
            actual: record.graph.nodes.len().max(record.graph.values.len()) as u64,
            limit: limits.nodes as u64,
        });
    }
    let mut tensors = Tensors::new(file, limits)?;
    let graph = tensors.graph(record.graph)?;
    graph.validate()?;
    let metadata = record.metadata.metadata().map_err(damaged)?;
    let [height, width] = metadata.image_size;
    infer_shapes(&graph, &[Shape::from([1, 3, height, width])])?;
    Ok(ModelFile { graph, metadata })
}

/// Checks what the header claims of its own length before anything is parsed.
fn check_header(bytes: &[u8], limits: &Limits) -> Result<(), ReadError> {
    let length = bytes
        .first_chunk()
        .map(|length| u64::from_le_bytes(*length))
        .ok_or_else(|| damaged("it ends within its first 8 bytes".to_owned()))?;
    if length > limits.description_bytes {
        return Err(ReadError::Limit {
            what: "the header".to_owned(),
            actual: length,
            limit: limits.description_bytes,
        });
    }
    match length > bytes.len() as u64 - 8 {
        true => Err(damaged("its header is longer than the file".to_owned())),
        false => Ok(()),
    }
}

/// The description; a newer file is told from a damaged one.
fn parse(json: &str) -> Result<ModelRecord, ReadError> {
    #[derive(serde::Deserialize)]
    struct Version {
        version: u32,
    }
    let wrong = |error: serde_json::Error| damaged(format!("its description: {error}"));
    let Version { version } = serde_json::from_str(json).map_err(wrong)?;
    if version != VERSION {
        return Err(unsupported(format!(
            "its description has version {version}, this onelook reads {VERSION}"
        )));
    }
    serde_json::from_str(json).map_err(wrong)
}

/// The file's tensors, converted as they are asked for, each once.
struct Tensors<'a> {
    file: SafeTensors<'a>,
    converted: HashMap<String, Arc<Tensor>>,
}

impl<'a> Tensors<'a> {
    fn new(file: SafeTensors<'a>, limits: &Limits) -> Result<Self, ReadError> {
        let elements = file
            .iter()
            .map(|(_, view)| view.data().len() as u64 / view.dtype().bitsize().max(1) as u64 * 8);
        let bytes = elements.fold(0u64, |sum, count| {
            sum.saturating_add(count.saturating_mul(4))
        });
        match bytes > limits.tensor_bytes {
            true => Err(ReadError::Limit {
                what: "its tensors".to_owned(),
                actual: bytes,
                limit: limits.tensor_bytes,
            }),
            false => Ok(Self {
                file,
                converted: HashMap::new(),
            }),
        }
    }

    fn graph(&mut self, record: GraphRecord) -> Result<Graph, ReadError> {
        let nodes: Result<Vec<Node>, ReadError> = record
            .nodes
            .into_iter()
            .map(|node| self.node(node))
            .collect();
        let values = record.values.into_iter();
        Ok(Graph {
            values: values.map(|name| Value { name, view: None }).collect(),
            nodes: nodes?,
            inputs: ids(&record.inputs),
            outputs: ids(&record.outputs),
        })
    }

    fn node(&mut self, record: NodeRecord) -> Result<Node, ReadError> {
        Ok(Node {
            op: self.operator(&record.op)?,
            name: record.name,
            inputs: ids(&record.inputs),
            outputs: ids(&record.outputs),
        })
    }

    fn operator(&mut self, record: &OpRecord) -> Result<Op, ReadError> {
        Ok(match record {
            OpRecord::BatchNorm(norm) => Op::from(BatchNorm {
                scale: self.tensor(&norm.scale)?,
                shift: self.tensor(&norm.shift)?,
                mean: self.tensor(&norm.mean)?,
                variance: self.tensor(&norm.variance)?,
                epsilon: norm.epsilon,
            }),
            OpRecord::Constant(tensor) => Op::from(Constant {
                tensor: self.tensor(tensor)?,
            }),
            OpRecord::Conv(conv) => Op::from(Conv {
                weight: self.tensor(&conv.weight)?,
                bias: conv
                    .bias
                    .as_ref()
                    .map(|bias| self.tensor(bias))
                    .transpose()?,
                stride: conv.stride,
                padding: conv.padding,
                dilation: conv.dilation,
                groups: conv.groups,
                activation: conv.activation,
                residual: conv.residual,
            }),
            plain => plain_operator(plain).expect("operators with weights are listed above"),
        })
    }

    fn tensor(&mut self, name: &str) -> Result<Arc<Tensor>, ReadError> {
        if let Some(tensor) = self.converted.get(name) {
            return Ok(tensor.clone());
        }
        let view = self
            .file
            .tensor(name)
            .map_err(|_| damaged(format!("tensor '{name}' is missing")))?;
        let tensor = Arc::new(converted(name, &view)?);
        self.converted.insert(name.to_owned(), tensor.clone());
        Ok(tensor)
    }
}

fn converted(name: &str, view: &TensorView) -> Result<Tensor, ReadError> {
    let data = match view.dtype() {
        Dtype::F32 => values(view.data(), f32::from_le_bytes),
        Dtype::F16 => values(view.data(), |bytes| f16::from_le_bytes(bytes).to_f32()),
        other => return Err(damaged(format!("tensor '{name}' has type {other:?}"))),
    };
    Tensor::new(view.shape().to_vec(), data)
        .map_err(|error| damaged(format!("tensor '{name}': {error}")))
}

fn values<const SIZE: usize>(bytes: &[u8], value: impl Fn([u8; SIZE]) -> f32) -> Vec<f32> {
    bytes
        .as_chunks()
        .0
        .iter()
        .map(|&bytes| value(bytes))
        .collect()
}

fn ids(indices: &[u32]) -> Vec<ValueId> {
    indices.iter().map(|&index| ValueId(index)).collect()
}

fn damaged(reason: String) -> ReadError {
    ReadError::Damaged {
        format: "safetensors",
        reason,
    }
}

fn unsupported(reason: String) -> ReadError {
    ReadError::Unsupported { reason }
}

#[cfg(test)]
mod tests;
