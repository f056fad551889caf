//! Writes the native form: the same model gives the same bytes.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use half::f16;
use onelook_types::Tensor;
use safetensors::{Dtype, View};

use super::record::{
    BatchNormRecord, ConvRecord, GraphRecord, ModelRecord, NodeRecord, OpRecord, plain_record,
};
use super::{KEY, VERSION};
use crate::op::Op;
use crate::read::{ModelFile, ReadError};
use crate::{Node, ValueId};

/// Writes a model in the native form: a safetensors file with graph and metadata in its header.
///
/// Tensors whose values are all exact in half precision are stored so. The graph must be as it was
/// read: one with views is refused.
pub fn write(model: &ModelFile) -> Result<Vec<u8>, ReadError> {
    let graph = &model.graph;
    graph.validate()?;
    if graph.values.iter().any(|value| value.view.is_some()) {
        return Err(unwritable("its graph was prepared for an engine"));
    }
    let mut tensors = Tensors::default();
    let nodes = graph
        .nodes
        .iter()
        .enumerate()
        .map(|(index, node)| tensors.node(index, node))
        .collect();
    let record = ModelRecord {
        version: VERSION,
        metadata: (&model.metadata).into(),
        graph: GraphRecord {
            values: graph
                .values
                .iter()
                .map(|value| value.name.clone())
                .collect(),
            inputs: indices(&graph.inputs),
            outputs: indices(&graph.outputs),
            nodes,
        },
    };
    let json = serde_json::to_string(&record).map_err(|error| unwritable(&error.to_string()))?;
    // One entry only: the order of several would be that of a hash map.
    let header = HashMap::from([(KEY.to_owned(), json)]);
    safetensors::serialize(tensors.stored, Some(header))
        .map_err(|error| unwritable(&error.to_string()))
}

fn unwritable(reason: &str) -> ReadError {
    ReadError::Unsupported {
        reason: format!("it cannot be written as safetensors: {reason}"),
    }
}

fn indices(values: &[ValueId]) -> Vec<u32> {
    values.iter().map(|value| value.0).collect()
}

/// The tensors met so far, each once.
#[derive(Default)]
struct Tensors {
    stored: Vec<(String, Stored)>,
    names: HashMap<*const Tensor, String>,
}

impl Tensors {
    fn node(&mut self, index: usize, node: &Node) -> NodeRecord {
        let mut name = |part: &str, tensor: &Arc<Tensor>| self.name(index, node, part, tensor);
        let op = match &node.op {
            Op::BatchNorm(norm) => OpRecord::BatchNorm(BatchNormRecord {
                scale: name("scale", &norm.scale),
                shift: name("shift", &norm.shift),
                mean: name("mean", &norm.mean),
                variance: name("variance", &norm.variance),
                epsilon: norm.epsilon,
            }),
            Op::Constant(constant) => OpRecord::Constant(name("tensor", &constant.tensor)),
            Op::Conv(conv) => OpRecord::Conv(ConvRecord {
                weight: name("weight", &conv.weight),
                bias: conv.bias.as_ref().map(|bias| name("bias", bias)),
                stride: conv.stride,
                padding: conv.padding,
                dilation: conv.dilation,
                groups: conv.groups,
                activation: conv.activation,
                residual: conv.residual,
            }),
            plain => plain_record(plain).expect("operators with weights are listed above"),
        };
        NodeRecord {
            name: node.name.clone(),
            op,
            inputs: indices(&node.inputs),
            outputs: indices(&node.outputs),
        }
    }

    /// The name under which `tensor` is stored.
    fn name(&mut self, index: usize, node: &Node, part: &str, tensor: &Arc<Tensor>) -> String {
        let stored = &mut self.stored;
        let name = self.names.entry(Arc::as_ptr(tensor)).or_insert_with(|| {
            let name = format!("{index:04}.{}.{part}", node.name);
            stored.push((name.clone(), Stored::new(tensor.clone())));
            name
        });
        name.clone()
    }
}

/// A tensor with the narrowest format that keeps its bits.
struct Stored {
    tensor: Arc<Tensor>,
    dtype: Dtype,
}

impl Stored {
    fn new(tensor: Arc<Tensor>) -> Self {
        let is_half = |value: &f32| f16::from_f32(*value).to_f32().to_bits() == value.to_bits();
        let dtype = match tensor.data().iter().all(is_half) {
            true => Dtype::F16,
            false => Dtype::F32,
        };
        Self { tensor, dtype }
    }
}

impl View for Stored {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        self.tensor.shape()
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let values = self.tensor.data().iter();
        Cow::Owned(match self.dtype {
            Dtype::F16 => values
                .flat_map(|&value| f16::from_f32(value).to_le_bytes())
                .collect(),
            _ => values.flat_map(|value| value.to_le_bytes()).collect(),
        })
    }

    fn data_len(&self) -> usize {
        let width = if self.dtype == Dtype::F16 { 2 } else { 4 };
        self.tensor.data().len() * width
    }
}
