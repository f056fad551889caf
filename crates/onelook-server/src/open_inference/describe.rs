//! Metadata and configuration of the server and its models.

use onelook::types::{Metadata, OutputEncoding};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::input;
use super::protocol::{DATATYPE, INPUT, OUTPUT};
use super::python_literal::PythonLiteral;
use super::version::loaded_version;
use crate::app::App;
use crate::metrics::MODEL_VERSION;
use crate::model_repository::{LoadedModel, ModelEntry};
use crate::problem::Problem;

/// The supported extensions of the protocol.
pub const EXTENSIONS: [&str; 5] = [
    "binary_tensor_data",
    "model_configuration",
    "model_repository",
    "parameters",
    "statistics",
];

/// The server's name in responses.
pub const SERVER_NAME: &str = "onelook";
/// The server's version.
pub const SERVER_VERSION: &str = env!("CARGO_PKG_VERSION");

/// Inputs and outputs of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = InferenceModelMetadata)]
pub struct ModelMetadata {
    /// Its name.
    pub name: String,
    /// The version that serves.
    pub versions: Vec<String>,
    /// What runs it.
    pub platform: &'static str,
    /// Its inputs.
    pub inputs: Vec<TensorMetadata>,
    /// Its outputs.
    pub outputs: Vec<TensorMetadata>,
}

/// Name, type and shape of a tensor; -1 for variable sizes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = InferenceTensorMetadata)]
pub struct TensorMetadata {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub datatype: &'static str,
    /// Its shape.
    pub shape: Vec<i64>,
}

/// A model's configuration, in the terms of Triton that apply here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelConfig {
    /// Its name.
    pub name: String,
    /// Largest number of images in one request.
    pub max_batch_size: i32,
    /// Shape of one image of the input.
    pub input: Vec<i64>,
    /// Shape of one image's part of the output.
    pub output: Vec<i64>,
    /// Largest number of images in one run.
    pub preferred_batch_size: i32,
    /// Longest time that a ready image waits for others to share its run.
    pub max_queue_delay_microseconds: u64,
    /// Whether it runs on a GPU.
    pub gpu: bool,
    /// What Ultralytics' client needs, as a Python dictionary.
    pub metadata: String,
}

/// Inputs and outputs of a model.
pub fn metadata(entry: &ModelEntry, version: Option<&str>) -> Result<ModelMetadata, Problem> {
    let loaded = loaded_version(entry, version)?;
    let metadata = loaded.model.metadata();
    let tensor = |name, image: Vec<i64>| TensorMetadata {
        name,
        datatype: DATATYPE,
        shape: std::iter::once(-1).chain(image).collect(),
    };
    Ok(ModelMetadata {
        name: entry.name.clone(),
        versions: vec![MODEL_VERSION.to_owned()],
        platform: SERVER_NAME,
        inputs: vec![tensor(INPUT, input_sizes(metadata))],
        outputs: vec![tensor(OUTPUT, output_sizes(metadata))],
    })
}

/// How a model is run.
pub fn config(
    app: &App,
    entry: &ModelEntry,
    version: Option<&str>,
) -> Result<ModelConfig, Problem> {
    let loaded = loaded_version(entry, version)?;
    let metadata = loaded.model.metadata();
    let whole = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
    let delay = app.config.max_delay.as_micros();
    Ok(ModelConfig {
        name: entry.name.clone(),
        max_batch_size: whole(input::max_images(&loaded)),
        input: input_sizes(metadata),
        output: output_sizes(metadata),
        preferred_batch_size: whole(loaded.max_batch),
        max_queue_delay_microseconds: u64::try_from(delay).unwrap_or(u64::MAX),
        gpu: loaded.model.device().starts_with("cuda"),
        metadata: for_ultralytics(metadata, &loaded).python(),
    })
}

impl ModelConfig {
    /// The configuration in JSON.
    pub fn json(&self) -> Value {
        let kind = if self.gpu { "KIND_GPU" } else { "KIND_CPU" };
        json!({
            "name": self.name,
            "platform": SERVER_NAME,
            "backend": SERVER_NAME,
            "version_policy": {"latest": {"num_versions": 1}},
            "max_batch_size": self.max_batch_size,
            "input": [{"name": INPUT, "data_type": "TYPE_FP32", "format": "FORMAT_NONE", "dims": self.input}],
            "output": [{"name": OUTPUT, "data_type": "TYPE_FP32", "dims": self.output}],
            "dynamic_batching": {
                "preferred_batch_size": [self.preferred_batch_size],
                "max_queue_delay_microseconds": self.max_queue_delay_microseconds,
            },
            "instance_group": [{"name": format!("{}_0", self.name), "kind": kind, "count": 1}],
            "parameters": {"metadata": {"string_value": self.metadata}},
        })
    }
}

/// The server itself, in JSON.
pub fn server() -> Value {
    json!({"name": SERVER_NAME, "version": SERVER_VERSION, "extensions": EXTENSIONS})
}

/// The empty object that the protocol has for some responses.
pub fn empty() -> Value {
    Value::Object(Map::new())
}

fn input_sizes(metadata: &Metadata) -> Vec<i64> {
    match metadata.fixed_size {
        true => vec![
            3,
            metadata.image_size[0] as i64,
            metadata.image_size[1] as i64,
        ],
        false => vec![3, -1, -1],
    }
}

/// Shape of the output of one image: values by anchors, or boxes by six values.
fn output_sizes(metadata: &Metadata) -> Vec<i64> {
    let Some(head) = metadata.head.detect() else {
        return vec![metadata.head.classes() as i64];
    };
    let anchors = anchors(metadata, &head.strides);
    let rows = |anchors: usize| anchors.min(onelook::vision::output0::END_TO_END_ROWS) as i64;
    match (head.encoding, head.end_to_end) {
        (OutputEncoding::DecodedEndToEnd, _) => vec![-1, 6],
        (OutputEncoding::Maps, true) => vec![anchors.map_or(-1, rows), 6],
        (OutputEncoding::Maps, false) | (OutputEncoding::Decoded, _) => {
            let values = 4 + head.classes as i64;
            vec![values, anchors.map_or(-1, |anchors| anchors as i64)]
        }
    }
}

/// Number of cells of all levels, if the input size and all strides are known.
fn anchors(metadata: &Metadata, strides: &[usize]) -> Option<usize> {
    let [height, width] = metadata.image_size;
    let known = metadata.fixed_size && !strides.is_empty() && !strides.contains(&0);
    let cells = strides
        .iter()
        .map(|stride| (height / stride.max(&1)) * (width / stride.max(&1)));
    known.then(|| cells.sum())
}

/// Notes of a model file that are passed on. Others could have a meaning for the client.
const NOTES: [&str; 5] = ["description", "author", "date", "version", "license"];

fn for_ultralytics(metadata: &Metadata, loaded: &LoadedModel) -> PythonLiteral {
    let text = |word: &str| PythonLiteral::Text(word.to_owned());
    let number = |number: usize| PythonLiteral::Number(number as u64);
    let notes = metadata.notes.iter();
    let notes = notes.filter(|(key, _)| NOTES.contains(&key.as_str()));
    let mut entries: Vec<(PythonLiteral, PythonLiteral)> =
        notes.map(|(key, value)| (text(key), text(value))).collect();
    let names = metadata.names.iter().enumerate();
    let names = names.map(|(index, name)| (number(index), text(name)));
    let sizes = metadata.image_size.map(number);
    let end_to_end = metadata.head.detect().is_some_and(|head| head.end_to_end);
    let own = [
        ("task", text(metadata.task().name())),
        ("stride", number(metadata.stride)),
        ("batch", number(loaded.max_batch)),
        ("channels", number(3)),
        ("imgsz", PythonLiteral::List(sizes.to_vec())),
        ("names", PythonLiteral::Dict(names.collect())),
        ("end2end", PythonLiteral::Bool(end_to_end)),
    ];
    entries.extend(own.map(|(key, value)| (text(key), value)));
    PythonLiteral::Dict(entries)
}
