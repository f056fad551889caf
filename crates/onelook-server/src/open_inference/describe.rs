//! What the server and its models say of themselves: metadata and configuration.

use onelook::types::{HeadOutputs, Metadata};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::python_literal::Literal;
use super::{DATATYPE, INPUT, OUTPUT, input, served};
use crate::app::App;
use crate::model_repository::{Served, Slot};
use crate::problem::Problem;

/// What is offered beyond the protocol itself.
pub const EXTENSIONS: [&str; 5] = [
    "binary_tensor_data",
    "model_configuration",
    "model_repository",
    "parameters",
    "statistics",
];

/// The server's name in answers.
pub const SERVER: &str = "onelook";
/// The server's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What a model takes and gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelMetadata {
    /// Its name.
    pub name: String,
    /// The version that serves.
    pub versions: Vec<String>,
    /// What runs it.
    pub platform: &'static str,
    /// What it takes.
    pub inputs: Vec<TensorMetadata>,
    /// What it gives.
    pub outputs: Vec<TensorMetadata>,
}

/// A tensor by name, type and shape; -1 for sizes that are free.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TensorMetadata {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub datatype: &'static str,
    /// Its shape.
    pub shape: Vec<i64>,
}

/// A model's configuration, as far as Triton's words for it make sense here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelConfig {
    /// Its name.
    pub name: String,
    /// Most pictures in one request.
    pub max_batch_size: i32,
    /// Sizes of a picture of the input.
    pub input: Vec<i64>,
    /// Sizes of a picture's part of the output.
    pub output: Vec<i64>,
    /// Most pictures of different requests in one run.
    pub preferred_batch_size: i32,
    /// Longest wait for others to share a run.
    pub max_queue_delay_microseconds: u64,
    /// Whether it runs on a GPU.
    pub gpu: bool,
    /// What Ultralytics' client wants to know, as a Python dictionary.
    pub metadata: String,
}

/// What a model takes and gives.
pub fn metadata(slot: &Slot, version: Option<&str>) -> Result<ModelMetadata, Problem> {
    let served = served(slot, version)?;
    let own = served.model.metadata();
    let tensor = |name, picture: Vec<i64>| TensorMetadata {
        name,
        datatype: DATATYPE,
        shape: std::iter::once(-1).chain(picture).collect(),
    };
    Ok(ModelMetadata {
        name: slot.name.clone(),
        versions: vec![super::VERSION.to_owned()],
        platform: SERVER,
        inputs: vec![tensor(INPUT, input_sizes(own))],
        outputs: vec![tensor(OUTPUT, output_sizes(own))],
    })
}

/// How a model is run.
pub fn config(app: &App, slot: &Slot, version: Option<&str>) -> Result<ModelConfig, Problem> {
    let served = served(slot, version)?;
    let own = served.model.metadata();
    let whole = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
    let delay = app.config.max_delay.as_micros();
    Ok(ModelConfig {
        name: slot.name.clone(),
        max_batch_size: whole(input::most_pictures(&served)),
        input: input_sizes(own),
        output: output_sizes(own),
        preferred_batch_size: whole(served.max_batch),
        max_queue_delay_microseconds: u64::try_from(delay).unwrap_or(u64::MAX),
        gpu: served.model.device().starts_with("cuda"),
        metadata: for_ultralytics(own, &served).python(),
    })
}

impl ModelConfig {
    /// The configuration in JSON.
    pub fn json(&self) -> Value {
        let kind = if self.gpu { "KIND_GPU" } else { "KIND_CPU" };
        json!({
            "name": self.name,
            "platform": SERVER,
            "backend": SERVER,
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
    json!({"name": SERVER, "version": VERSION, "extensions": EXTENSIONS})
}

/// An object without entries, where the protocol wants one.
pub fn nothing() -> Value {
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

/// One row of the output per picture: values by anchors, or boxes by their six values.
fn output_sizes(metadata: &Metadata) -> Vec<i64> {
    let head = &metadata.head;
    let anchors = anchors(metadata);
    let rows = |anchors: usize| anchors.min(onelook::vision::head::END_TO_END_ROWS) as i64;
    match (head.outputs, head.end_to_end) {
        (HeadOutputs::DecodedEndToEnd, _) => vec![-1, 6],
        (HeadOutputs::Maps, true) => vec![anchors.map_or(-1, rows), 6],
        (HeadOutputs::Maps, false) | (HeadOutputs::Decoded, _) => {
            let values = 4 + head.classes as i64;
            vec![values, anchors.map_or(-1, |anchors| anchors as i64)]
        }
    }
}

/// Cells of all levels, where the input's size is known and all levels are.
fn anchors(metadata: &Metadata) -> Option<usize> {
    let [height, width] = metadata.image_size;
    let strides = &metadata.head.strides;
    let known = metadata.fixed_size && !strides.is_empty() && !strides.contains(&0);
    let cells = strides
        .iter()
        .map(|stride| (height / stride.max(&1)) * (width / stride.max(&1)));
    known.then(|| cells.sum())
}

/// Notes of a model file that its readers may want to see; others could mean something to them.
const NOTES: [&str; 5] = ["description", "author", "date", "version", "license"];

fn for_ultralytics(metadata: &Metadata, served: &Served) -> Literal {
    let text = |word: &str| Literal::Text(word.to_owned());
    let number = |number: usize| Literal::Number(number as u64);
    let notes = metadata.notes.iter();
    let notes = notes.filter(|(key, _)| NOTES.contains(&key.as_str()));
    let mut entries: Vec<(Literal, Literal)> =
        notes.map(|(key, value)| (text(key), text(value))).collect();
    let names = metadata.names.iter().enumerate();
    let names = names.map(|(index, name)| (number(index), text(name)));
    let sizes = metadata.image_size.map(number);
    let own = [
        ("task", text(metadata.task.name())),
        ("stride", number(metadata.stride)),
        ("batch", number(served.max_batch)),
        ("channels", number(3)),
        ("imgsz", Literal::List(sizes.to_vec())),
        ("names", Literal::Dict(names.collect())),
        ("end2end", Literal::Truth(metadata.head.end_to_end)),
    ];
    entries.extend(own.map(|(key, value)| (text(key), value)));
    Literal::Dict(entries)
}
