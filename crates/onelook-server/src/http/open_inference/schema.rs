//! Bodies of the Open Inference Protocol for the OpenAPI document. Other code reads and writes them.

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::ToSchema;

/// The server itself.
#[derive(ToSchema)]
#[schema(as = InferenceServer)]
#[expect(dead_code, reason = "for the OpenAPI document only")]
pub struct Server {
    /// Its name.
    #[schema(example = "onelook")]
    name: String,
    /// The server's version.
    #[schema(example = "0.1.0")]
    version: String,
    /// The protocol's extensions that it has.
    #[schema(example = json!(["binary_tensor_data", "model_repository"]))]
    extensions: Vec<String>,
}

/// Liveness.
#[derive(ToSchema)]
#[schema(as = InferenceLive)]
#[expect(dead_code, reason = "for the OpenAPI document only")]
pub struct Live {
    /// Always true.
    live: bool,
}

/// Readiness of the server.
#[derive(ToSchema)]
#[schema(as = InferenceReady)]
#[expect(dead_code, reason = "for the OpenAPI document only")]
pub struct Ready {
    /// Whether requests can be answered.
    ready: bool,
}

/// The models by name.
#[derive(ToSchema)]
#[schema(as = InferenceModels)]
#[expect(dead_code, reason = "for the OpenAPI document only")]
pub struct Models {
    /// Their names.
    #[schema(example = json!(["yolo11n"]))]
    models: Vec<String>,
}

/// A model that serves.
#[derive(ToSchema)]
#[schema(as = InferenceModelReady)]
#[expect(dead_code, reason = "for the OpenAPI document only")]
pub struct ModelReady {
    /// Its name.
    #[schema(example = "yolo11n")]
    name: String,
    /// Always true.
    ready: bool,
}

/// How a model is run, in the terms of Triton's model configuration.
#[derive(ToSchema)]
#[schema(as = InferenceModelConfig)]
#[expect(dead_code, reason = "for the OpenAPI document only")]
pub struct ModelConfig {
    /// Its name.
    #[schema(example = "yolo11n")]
    name: String,
    /// What runs it.
    #[schema(example = "onelook")]
    platform: String,
    /// What runs it.
    #[schema(example = "onelook")]
    backend: String,
    /// Largest number of images in one request.
    max_batch_size: i32,
    /// Which versions serve.
    version_policy: BTreeMap<String, Value>,
    /// Its inputs.
    input: Vec<BTreeMap<String, Value>>,
    /// Its outputs.
    output: Vec<BTreeMap<String, Value>>,
    /// How requests are put into batches.
    dynamic_batching: BTreeMap<String, Value>,
    /// Where it runs.
    instance_group: Vec<BTreeMap<String, Value>>,
    /// Metadata of the model as Ultralytics' client reads it.
    parameters: BTreeMap<String, Value>,
}

/// Tensors in.
#[derive(ToSchema)]
#[schema(as = InferenceRequest)]
#[expect(dead_code, reason = "for the OpenAPI document only")]
pub struct Request {
    /// An id that the response repeats.
    id: Option<String>,
    /// How to treat the request.
    parameters: Option<RequestParameters>,
    /// The tensors; a model has one input, `images`.
    #[schema(min_items = 1, max_items = 1)]
    inputs: Vec<InputTensor>,
    /// The outputs that are wanted; all if absent. A model has one, `output0`.
    #[schema(nullable = false)]
    outputs: Option<Vec<WantedOutput>>,
}

/// How to treat a request.
#[derive(ToSchema)]
#[schema(as = InferenceParameters)]
#[expect(dead_code, reason = "for the OpenAPI document only")]
pub struct RequestParameters {
    /// 1 for the most urgent, if the token allows it; 2 for the usual; more for what may wait.
    #[schema(nullable = false)]
    priority: Option<u64>,
    /// Microseconds after which an answer is useless.
    #[schema(nullable = false)]
    timeout: Option<u64>,
    /// Whether outputs follow the JSON of the response as bytes.
    #[schema(nullable = false)]
    binary_data_output: Option<bool>,
}

/// A tensor of a request.
#[derive(ToSchema)]
#[schema(as = InferenceInput)]
#[expect(dead_code, reason = "for the OpenAPI document only")]
pub struct InputTensor {
    /// Its name.
    #[schema(example = "images")]
    name: String,
    /// Type of its values.
    #[schema(example = "FP32")]
    datatype: String,
    /// Images, channels, height and width.
    #[schema(min_items = 4, max_items = 4, example = json!([1, 3, 640, 640]))]
    shape: Vec<i64>,
    /// Where its values are, if not in `data`.
    parameters: Option<InputParameters>,
    /// Its values in one list or in nested ones, red, green and blue from 0 to 1.
    #[schema(value_type = Vec<Value>, required = false)]
    data: (),
}

/// Where the values of an input are.
#[derive(ToSchema)]
#[schema(as = InferenceInputParameters)]
#[expect(dead_code, reason = "for the OpenAPI document only")]
pub struct InputParameters {
    /// Number of bytes behind the JSON, little-endian; the header `Inference-Header-Content-Length` then has
    /// the length of the JSON.
    binary_data_size: Option<u64>,
}

/// An output that is wanted.
#[derive(ToSchema)]
#[schema(as = InferenceWantedOutput)]
#[expect(dead_code, reason = "for the OpenAPI document only")]
pub struct WantedOutput {
    /// Its name.
    #[schema(example = "output0")]
    name: String,
    /// How it is sent.
    parameters: Option<OutputParameters>,
}

/// How an output is sent.
#[derive(ToSchema)]
#[schema(as = InferenceOutputParameters)]
#[expect(dead_code, reason = "for the OpenAPI document only")]
pub struct OutputParameters {
    /// Whether it follows the JSON of the response as bytes.
    binary_data: Option<bool>,
}

/// Tensors out.
#[derive(ToSchema)]
#[schema(as = InferenceResponse)]
#[expect(dead_code, reason = "for the OpenAPI document only")]
pub struct Response {
    /// The id of the request, if it had one.
    #[schema(nullable = false)]
    id: Option<String>,
    /// The model.
    #[schema(example = "yolo11n")]
    model_name: String,
    /// Its version.
    #[schema(example = "1")]
    model_version: String,
    /// The tensors.
    outputs: Vec<OutputTensor>,
}

/// A tensor of a response.
#[derive(ToSchema)]
#[schema(as = InferenceOutput)]
#[expect(dead_code, reason = "for the OpenAPI document only")]
pub struct OutputTensor {
    /// Its name.
    #[schema(example = "output0")]
    name: String,
    /// Type of its values.
    #[schema(example = "FP32")]
    datatype: String,
    /// Its sizes.
    #[schema(example = json!([1, 84, 8400]))]
    shape: Vec<usize>,
    /// Its size in bytes (`binary_data_size`), if it follows the JSON.
    #[schema(value_type = BTreeMap<String, u64>, required = false)]
    parameters: (),
    /// Its values in one list, if they do not follow the JSON.
    #[schema(value_type = Vec<f32>, required = false)]
    data: (),
}

/// JSON, and behind it the values of tensors, little-endian.
#[derive(ToSchema)]
#[schema(as = InferenceBytes, value_type = String, format = Binary)]
#[expect(dead_code, reason = "for the OpenAPI document only")]
pub struct TensorBytes(Vec<u8>);

/// Which models to list.
#[derive(ToSchema)]
#[schema(as = InferenceIndexRequest)]
#[expect(dead_code, reason = "for the OpenAPI document only")]
pub struct IndexRequest {
    /// Only those that serve.
    #[schema(nullable = false)]
    ready: Option<bool>,
}

/// What to load.
#[derive(ToSchema)]
#[schema(as = InferenceLoadRequest)]
#[expect(dead_code, reason = "for the OpenAPI document only")]
pub struct LoadRequest {
    /// Models are loaded from the server's own files: a `config` or `file:` here is an error.
    #[schema(value_type = BTreeMap<String, Value>, required = false)]
    parameters: (),
}

/// An empty object.
#[derive(ToSchema)]
#[schema(as = InferenceDone)]
pub struct Done {}

/// An error of this protocol.
#[derive(ToSchema)]
#[schema(as = InferenceError)]
#[expect(
    dead_code,
    reason = "for the OpenAPI document only: the middleware writes it"
)]
pub struct InferenceError {
    /// What happened and what to do.
    error: String,
}
