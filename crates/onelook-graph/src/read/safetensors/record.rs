//! What the header of a native file says besides the tensors: graph and metadata as JSON.

use onelook_types::{DetectHead, HeadOutputs, Metadata};
use serde::{Deserialize, Serialize};

use crate::op::{
    Activation, Attention, Binary, Concat, Copy, MatMul, MaxPool, Op, Program, Reduce, Reshape,
    ReshapeTo, Slice, Softmax, Split, Transpose, Upsample,
};

/// Everything but the tensors.
#[derive(Debug, Serialize, Deserialize)]
pub struct ModelRecord {
    /// Raised when older readers would misunderstand.
    pub version: u32,
    pub metadata: MetadataRecord,
    pub graph: GraphRecord,
}

/// A graph; values are their indices.
#[derive(Debug, Serialize, Deserialize)]
pub struct GraphRecord {
    /// Names by value index.
    pub values: Vec<String>,
    pub inputs: Vec<u32>,
    pub outputs: Vec<u32>,
    pub nodes: Vec<NodeRecord>,
}

/// A node.
#[derive(Debug, Serialize, Deserialize)]
pub struct NodeRecord {
    pub name: String,
    pub op: OpRecord,
    pub inputs: Vec<u32>,
    pub outputs: Vec<u32>,
}

macro_rules! plain_operators {
    ($($variant:ident),* $(,)?) => {
        /// An operator; weights are the names of their tensors.
        #[derive(Debug, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum OpRecord {
            BatchNorm(BatchNormRecord),
            Constant(String),
            Conv(ConvRecord),
            $($variant($variant),)*
        }

        /// The record of an operator without weights.
        pub fn plain_record(op: &Op) -> Option<OpRecord> {
            match op {
                Op::BatchNorm(_) | Op::Constant(_) | Op::Conv(_) => None,
                $(Op::$variant(operator) => Some(OpRecord::$variant(Clone::clone(operator))),)*
            }
        }

        /// The operator without weights of a record.
        pub fn plain_operator(record: &OpRecord) -> Option<Op> {
            match record {
                OpRecord::BatchNorm(_) | OpRecord::Constant(_) | OpRecord::Conv(_) => None,
                $(OpRecord::$variant(operator) => Some(Clone::clone(operator).into()),)*
            }
        }
    };
}

plain_operators!(
    Activation, Attention, Binary, Concat, Copy, MatMul, MaxPool, Program, Reduce, Reshape,
    ReshapeTo, Slice, Softmax, Split, Transpose, Upsample,
);

/// A batch normalisation.
#[derive(Debug, Serialize, Deserialize)]
pub struct BatchNormRecord {
    pub scale: String,
    pub shift: String,
    pub mean: String,
    pub variance: String,
    pub epsilon: f32,
}

/// A convolution.
#[derive(Debug, Serialize, Deserialize)]
pub struct ConvRecord {
    pub weight: String,
    pub bias: Option<String>,
    pub stride: [usize; 2],
    pub padding: [usize; 4],
    pub dilation: [usize; 2],
    pub groups: usize,
    pub activation: Option<Activation>,
    pub residual: bool,
}

/// [`Metadata`].
#[derive(Debug, Serialize, Deserialize)]
pub struct MetadataRecord {
    task: String,
    architecture: String,
    names: Vec<String>,
    stride: usize,
    image_size: [usize; 2],
    fixed_size: bool,
    head: HeadRecord,
    notes: Vec<(String, String)>,
}

#[derive(Debug, Serialize, Deserialize)]
struct HeadRecord {
    classes: usize,
    reg_max: usize,
    strides: Vec<usize>,
    end_to_end: bool,
    outputs: OutputsRecord,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum OutputsRecord {
    Maps,
    Decoded,
    DecodedEndToEnd,
}

impl From<&Metadata> for MetadataRecord {
    fn from(metadata: &Metadata) -> Self {
        let head = &metadata.head;
        Self {
            task: metadata.task.name().to_owned(),
            architecture: metadata.architecture.clone(),
            names: metadata.names.clone(),
            stride: metadata.stride,
            image_size: metadata.image_size,
            fixed_size: metadata.fixed_size,
            head: HeadRecord {
                classes: head.classes,
                reg_max: head.reg_max,
                strides: head.strides.clone(),
                end_to_end: head.end_to_end,
                outputs: match head.outputs {
                    HeadOutputs::Maps => OutputsRecord::Maps,
                    HeadOutputs::Decoded => OutputsRecord::Decoded,
                    HeadOutputs::DecodedEndToEnd => OutputsRecord::DecodedEndToEnd,
                },
            },
            notes: metadata.notes.clone(),
        }
    }
}

impl MetadataRecord {
    /// The metadata, or what contradicts itself in it.
    pub fn metadata(self) -> Result<Metadata, String> {
        let head = self.head;
        let sides = self
            .image_size
            .iter()
            .chain([&self.stride])
            .chain(&head.strides);
        if sides.into_iter().any(|side| !(1..=1 << 16).contains(side)) {
            return Err("its image size or strides are out of range".to_owned());
        }
        if self.names.len() != head.classes || head.strides.len() > 16 {
            return Err("its head does not fit its class names".to_owned());
        }
        if !(1..=1 << 10).contains(&head.reg_max) {
            return Err(format!("its head has {} bins a side", head.reg_max));
        }
        Ok(Metadata {
            task: self.task.parse().map_err(|error| format!("{error}"))?,
            architecture: self.architecture,
            names: self.names,
            stride: self.stride,
            image_size: self.image_size,
            fixed_size: self.fixed_size,
            head: DetectHead {
                classes: head.classes,
                reg_max: head.reg_max,
                strides: head.strides,
                end_to_end: head.end_to_end,
                outputs: match head.outputs {
                    OutputsRecord::Maps => HeadOutputs::Maps,
                    OutputsRecord::Decoded => HeadOutputs::Decoded,
                    OutputsRecord::DecodedEndToEnd => HeadOutputs::DecodedEndToEnd,
                },
            },
            notes: self.notes,
        })
    }
}
