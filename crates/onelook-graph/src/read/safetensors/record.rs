//! What the header of a native file says besides the tensors: graph and metadata as JSON.

use onelook_types::{
    ClassifyHead, DetectHead, Head, Metadata, OutputEncoding, PoseHead, SegmentHead, Task,
};
use serde::{Deserialize, Serialize};

use crate::op::{self, Activation, Op, with_operators};

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

macro_rules! define_records {
    ([$($weighted:ident),* $(,)?] [$($plain:ident),* $(,)?]) => {
        /// An operator; weights are the names of their tensors.
        #[derive(Debug, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum OpRecord {
            BatchNorm(BatchNormRecord),
            Constant(String),
            Conv(ConvRecord),
            $($plain(op::$plain),)*
        }

        /// The record of an operator without weights.
        pub fn plain_record(op: &Op) -> Option<OpRecord> {
            match op {
                $(Op::$weighted(_) => None,)*
                $(Op::$plain(operator) => Some(OpRecord::$plain(Clone::clone(operator))),)*
            }
        }

        /// The operator without weights of a record.
        pub fn plain_operator(record: &OpRecord) -> Option<Op> {
            match record {
                $(OpRecord::$weighted(_) => None,)*
                $(OpRecord::$plain(operator) => Some(Clone::clone(operator).into()),)*
            }
        }
    };
}

with_operators!(define_records);

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

/// [`Head`]; which variant it is follows from the task.
#[derive(Debug, Serialize, Deserialize)]
struct HeadRecord {
    classes: usize,
    #[serde(flatten)]
    detect: Option<DetectRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    prototypes: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    keypoints: Option<(usize, bool)>,
}

/// How boxes and class scores are told.
#[derive(Debug, Serialize, Deserialize)]
struct DetectRecord {
    reg_max: usize,
    strides: Vec<usize>,
    end_to_end: bool,
    outputs: EncodingRecord,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum EncodingRecord {
    Maps,
    Decoded,
    DecodedEndToEnd,
}

impl From<&Head> for HeadRecord {
    fn from(head: &Head) -> Self {
        let detect = head.detect().map(|detect| DetectRecord {
            reg_max: detect.reg_max,
            strides: detect.strides.clone(),
            end_to_end: detect.end_to_end,
            outputs: match detect.encoding {
                OutputEncoding::Maps => EncodingRecord::Maps,
                OutputEncoding::Decoded => EncodingRecord::Decoded,
                OutputEncoding::DecodedEndToEnd => EncodingRecord::DecodedEndToEnd,
            },
        });
        let (mut prototypes, mut keypoints) = (None, None);
        match head {
            Head::Segment(segment) => prototypes = Some(segment.prototypes),
            Head::Pose(pose) => keypoints = Some((pose.keypoints, pose.visibility)),
            Head::Detect(_) | Head::Obb(_) | Head::Classify(_) => {}
        }
        Self {
            classes: head.classes(),
            detect,
            prototypes,
            keypoints,
        }
    }
}

impl HeadRecord {
    /// The head, or what contradicts itself in it.
    fn head(self, task: Task) -> Result<Head, String> {
        let classes = self.classes;
        if task == Task::Classify {
            return Ok(Head::Classify(ClassifyHead { classes }));
        }
        let lacks = |what| format!("its head lacks {what}, which a {task} model needs");
        let detect = self.detect.ok_or_else(|| lacks("boxes"))?;
        if detect.strides.len() > 16 || !detect.strides.iter().all(is_side) {
            return Err("its strides are out of range".to_owned());
        }
        if !(1..=1 << 10).contains(&detect.reg_max) {
            return Err(format!("its head has {} bins a side", detect.reg_max));
        }
        let detect = DetectHead {
            classes,
            reg_max: detect.reg_max,
            strides: detect.strides,
            end_to_end: detect.end_to_end,
            encoding: match detect.outputs {
                EncodingRecord::Maps => OutputEncoding::Maps,
                EncodingRecord::Decoded => OutputEncoding::Decoded,
                EncodingRecord::DecodedEndToEnd => OutputEncoding::DecodedEndToEnd,
            },
        };
        let head = match task {
            Task::Segment => Head::Segment(SegmentHead {
                detect,
                prototypes: self.prototypes.ok_or_else(|| lacks("prototypes"))?,
            }),
            Task::Pose => {
                let (keypoints, visibility) = self.keypoints.ok_or_else(|| lacks("key points"))?;
                Head::Pose(PoseHead {
                    detect,
                    keypoints,
                    visibility,
                })
            }
            Task::Obb => Head::Obb(detect),
            Task::Detect | Task::Classify => Head::Detect(detect),
        };
        match head.extra_values() {
            0..=MOST_EXTRA_VALUES => Ok(head),
            values => Err(format!("its head adds {values} values to each box")),
        }
    }
}

/// Far more than any head adds.
const MOST_EXTRA_VALUES: usize = 1 << 16;

fn is_side(side: &usize) -> bool {
    (1..=1 << 16).contains(side)
}

impl From<&Metadata> for MetadataRecord {
    fn from(metadata: &Metadata) -> Self {
        Self {
            task: metadata.task().name().to_owned(),
            architecture: metadata.architecture.clone(),
            names: metadata.names.clone(),
            stride: metadata.stride,
            image_size: metadata.image_size,
            fixed_size: metadata.fixed_size,
            head: HeadRecord::from(&metadata.head),
            notes: metadata.notes.clone(),
        }
    }
}

impl MetadataRecord {
    /// The metadata, or what contradicts itself in it.
    pub fn metadata(self) -> Result<Metadata, String> {
        let mut sides = self.image_size.iter().chain([&self.stride]);
        if !sides.all(is_side) {
            return Err("its image size or stride is out of range".to_owned());
        }
        if self.names.len() != self.head.classes {
            return Err("its head does not fit its class names".to_owned());
        }
        let task: Task = self.task.parse().map_err(|error| format!("{error}"))?;
        Ok(Metadata {
            architecture: self.architecture,
            names: self.names,
            stride: self.stride,
            image_size: self.image_size,
            fixed_size: self.fixed_size,
            head: self.head.head(task)?,
            notes: self.notes,
        })
    }
}
