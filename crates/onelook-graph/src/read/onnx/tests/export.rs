//! A small export under construction, and its attributes.

use super::*;

/// An export under construction, `images` 1x3x4x4 to `output0`.
pub(super) struct Export(pub(super) proto::Model);

pub(super) fn dimension(extent: i64) -> proto::Dimension {
    proto::Dimension {
        dim_value: (extent > 0).then_some(extent),
        dim_param: (extent <= 0).then(|| "side".to_owned()),
    }
}

pub(super) fn info(name: &str, extents: &[i64]) -> proto::ValueInfo {
    let shape = proto::TensorShape {
        dim: extents.iter().map(|&extent| dimension(extent)).collect(),
    };
    let tensor_type = proto::TensorType {
        elem_type: 1,
        shape: Some(shape),
    };
    proto::ValueInfo {
        name: name.to_owned(),
        r#type: Some(proto::Type {
            tensor_type: Some(tensor_type),
        }),
    }
}

pub(super) fn ints(name: &str, ints: &[i64]) -> proto::Attribute {
    proto::Attribute {
        name: name.to_owned(),
        ints: ints.to_vec(),
        ..Default::default()
    }
}

pub(super) fn int(name: &str, i: i64) -> proto::Attribute {
    proto::Attribute {
        name: name.to_owned(),
        i: Some(i),
        ..Default::default()
    }
}

pub(super) fn word(name: &str, s: &str) -> proto::Attribute {
    proto::Attribute {
        name: name.to_owned(),
        s: Some(s.as_bytes().to_vec()),
        ..Default::default()
    }
}

impl Export {
    pub(super) fn new() -> Self {
        let graph = proto::Graph {
            input: vec![info("images", &[1, 3, 4, 4])],
            output: vec![info("output0", &[])],
            ..Default::default()
        };
        Self(proto::Model {
            ir_version: 8,
            graph: Some(graph),
            opset_import: vec![proto::OperatorSet {
                domain: String::new(),
                version: 17,
            }],
            ..Default::default()
        })
    }

    pub(super) fn graph(&mut self) -> &mut proto::Graph {
        self.0.graph.as_mut().unwrap()
    }

    pub(super) fn opset(mut self, version: i64) -> Self {
        self.0.opset_import[0].version = version;
        self
    }

    pub(super) fn property(mut self, key: &str, value: &str) -> Self {
        self.0.metadata_props.push(proto::Entry {
            key: key.to_owned(),
            value: value.to_owned(),
        });
        self
    }

    pub(super) fn image(mut self, extents: &[i64]) -> Self {
        self.graph().input = vec![info("images", extents)];
        self
    }

    pub(super) fn tensor(mut self, tensor: proto::Tensor) -> Self {
        self.graph().initializer.push(tensor);
        self
    }

    pub(super) fn floats(self, name: &str, dims: &[i64], values: &[f32]) -> Self {
        self.tensor(proto::Tensor {
            dims: dims.to_vec(),
            data_type: 1,
            name: name.to_owned(),
            raw_data: values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect(),
            ..Default::default()
        })
    }

    pub(super) fn integers(self, name: &str, values: &[i64]) -> Self {
        self.tensor(proto::Tensor {
            dims: vec![values.len() as i64],
            data_type: 7,
            name: name.to_owned(),
            int64_data: values.to_vec(),
            ..Default::default()
        })
    }

    /// Small integers of an ONNX data type: 2 without a sign, 3 with one, 6 of 32 bits.
    pub(super) fn small(self, name: &str, dims: &[i64], data_type: i32, values: &[i32]) -> Self {
        self.tensor(proto::Tensor {
            dims: dims.to_vec(),
            data_type,
            name: name.to_owned(),
            int32_data: values.to_vec(),
            ..Default::default()
        })
    }

    /// A node from words: `Op in in -> out`.
    pub(super) fn node(mut self, text: &str, attribute: &[proto::Attribute]) -> Self {
        let (left, right) = text.split_once(" -> ").unwrap();
        let mut words = left.split(' ').map(|word| word.replace('_', ""));
        let op_type = words.next().unwrap();
        let node = proto::Node {
            name: format!("/{op_type}"),
            op_type,
            input: words.collect(),
            output: right.split(' ').map(str::to_owned).collect(),
            attribute: attribute.to_vec(),
            ..Default::default()
        };
        self.graph().node.push(node);
        self
    }

    /// Ends with a reshape of `last` to a decoded head's shape.
    pub(super) fn decoded(self, last: &str, rows: i64) -> Self {
        self.integers("headshape", &[1, rows, -1])
            .node(&format!("Reshape {last} headshape -> output0"), &[])
    }

    pub(super) fn read(&self) -> Result<ModelFile, ReadError> {
        crate::read::read(&self.0.encode_to_vec(), &ReadOptions::default())
    }

    pub(super) fn refusal(&self) -> String {
        self.read().unwrap_err().to_string()
    }
}
