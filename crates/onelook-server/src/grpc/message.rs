//! Converts messages of the protocol into the server's own types, and back.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;

use super::generated::inference as proto;
use crate::open_inference::describe::{ModelConfig, ModelMetadata, SERVER_NAME, TensorMetadata};
use crate::open_inference::protocol::{
    CLASSIFICATION, DATATYPE, INPUT, InferInput, InferParameters, InferRequest, InferResponse,
    OUTPUT, SEQUENCES, SHARED_MEMORY, TensorData,
};
use crate::open_inference::repository::IndexEntry;
use crate::open_inference::statistics::{
    InferBatchStatistics, InferStatistics, ModelStatistics, StatisticDuration,
};
use crate::problem::{Problem, shown};
use proto::infer_parameter::ParameterChoice;
use proto::model_config::SchedulingChoice;
use proto::model_infer_request::InferInputTensor;

type Choices = HashMap<String, proto::InferParameter>;

/// A request in the server's own type.
pub fn request(message: proto::ModelInferRequest) -> Result<InferRequest, Problem> {
    let unsupported = unsupported(&message);
    let parameters = InferParameters {
        priority: number(&message.parameters, "priority")?,
        timeout: match number(&message.parameters, "timeout")? {
            0 => None,
            microseconds => Some(Duration::from_micros(microseconds)),
        },
    };
    let inputs = match unsupported {
        None => inputs(message.inputs, message.raw_input_contents)?,
        Some(_) => Vec::new(),
    };
    let outputs = message.outputs.into_iter().map(|output| output.name);
    Ok(InferRequest {
        id: (!message.id.is_empty()).then_some(message.id),
        parameters,
        inputs,
        outputs: outputs.collect(),
        unsupported,
    })
}

fn unsupported(message: &proto::ModelInferRequest) -> Option<&'static str> {
    let is_set = |choices: &Choices, name: &str| choices.get(name).is_some_and(is_set);
    let sequence = ["sequence_id", "sequence_start", "sequence_end"]
        .iter()
        .any(|name| is_set(&message.parameters, name));
    if sequence {
        return Some(SEQUENCES);
    }
    let of_inputs = message.inputs.iter().map(|input| &input.parameters);
    let of_outputs = message.outputs.iter().map(|output| &output.parameters);
    of_inputs.chain(of_outputs).find_map(|choices| match () {
        () if is_set(choices, "classification") => Some(CLASSIFICATION),
        () if is_set(choices, "shared_memory_region") => Some(SHARED_MEMORY),
        () => None,
    })
}

/// Whether a parameter differs from its default.
fn is_set(parameter: &proto::InferParameter) -> bool {
    match &parameter.parameter_choice {
        None => false,
        Some(ParameterChoice::BoolParam(yes)) => *yes,
        Some(ParameterChoice::Int64Param(number)) => *number != 0,
        Some(ParameterChoice::Uint64Param(number)) => *number != 0,
        Some(ParameterChoice::DoubleParam(number)) => *number != 0.0,
        Some(ParameterChoice::StringParam(word)) => !word.is_empty(),
    }
}

/// A whole number that is not negative; 0 if absent.
fn number(choices: &Choices, name: &str) -> Result<u64, Problem> {
    let choice = choices
        .get(name)
        .and_then(|value| value.parameter_choice.as_ref());
    let number = match choice {
        None => Some(0),
        Some(ParameterChoice::Int64Param(number)) => u64::try_from(*number).ok(),
        Some(ParameterChoice::Uint64Param(number)) => Some(*number),
        Some(_) => None,
    };
    number.ok_or_else(|| {
        Problem::bad_request(format!(
            "the parameter '{name}' must be a whole number, 0 or more"
        ))
    })
}

/// Values are either all in the inputs, or all in `raw_input_contents`.
fn inputs(messages: Vec<InferInputTensor>, raw: Vec<Bytes>) -> Result<Vec<InferInput>, Problem> {
    if !raw.is_empty() && raw.len() != messages.len() {
        return Err(Problem::bad_request(format!(
            "the request has {} raw_input_contents for {} inputs",
            raw.len(),
            messages.len()
        )));
    }
    let mut raw = raw.into_iter();
    let input = |message: InferInputTensor| {
        let values = match (raw.next(), message.contents) {
            (Some(bytes), None) => TensorData::Bytes(bytes),
            (None, Some(contents)) => TensorData::Numbers(contents.fp32_contents),
            (Some(_), Some(_)) => {
                let name = shown(&message.name);
                let detail = format!("input {name} has both contents and raw_input_contents");
                return Err(Problem::bad_request(detail));
            }
            (None, None) => TensorData::Bytes(Bytes::new()),
        };
        Ok(InferInput {
            name: message.name,
            datatype: message.datatype,
            shape: message.shape,
            values,
        })
    };
    messages.into_iter().map(input).collect()
}

/// A response as a message, with its tensor in `raw_output_contents`.
pub fn response(response: InferResponse) -> proto::ModelInferResponse {
    let shape = response.output.shape().iter().map(|&size| size as i64);
    let output = proto::model_infer_response::InferOutputTensor {
        name: OUTPUT.to_owned(),
        datatype: DATATYPE.to_owned(),
        shape: shape.collect(),
        ..Default::default()
    };
    let mut bytes = Vec::new();
    response.push_bytes(&mut bytes);
    proto::ModelInferResponse {
        model_name: response.model,
        model_version: response.version,
        id: response.id.unwrap_or_default(),
        parameters: HashMap::new(),
        outputs: vec![output],
        raw_output_contents: vec![bytes.into()],
    }
}

impl From<ModelMetadata> for proto::ModelMetadataResponse {
    fn from(metadata: ModelMetadata) -> Self {
        let tensors = |all: Vec<TensorMetadata>| {
            let tensor = |tensor: TensorMetadata| proto::model_metadata_response::TensorMetadata {
                name: tensor.name.to_owned(),
                datatype: tensor.datatype.to_owned(),
                shape: tensor.shape,
            };
            all.into_iter().map(tensor).collect()
        };
        Self {
            name: metadata.name,
            versions: metadata.versions,
            platform: metadata.platform.to_owned(),
            inputs: tensors(metadata.inputs),
            outputs: tensors(metadata.outputs),
        }
    }
}

impl From<ModelConfig> for proto::ModelConfig {
    fn from(config: ModelConfig) -> Self {
        use proto::model_instance_group::Kind;
        use proto::model_version_policy::{Latest, PolicyChoice};
        let metadata = proto::ModelParameter {
            string_value: config.metadata,
        };
        let kind = if config.gpu { Kind::Gpu } else { Kind::Cpu };
        Self {
            platform: SERVER_NAME.to_owned(),
            backend: SERVER_NAME.to_owned(),
            version_policy: Some(proto::ModelVersionPolicy {
                policy_choice: Some(PolicyChoice::Latest(Latest { num_versions: 1 })),
            }),
            max_batch_size: config.max_batch_size,
            input: vec![proto::ModelInput {
                name: INPUT.to_owned(),
                data_type: proto::DataType::TypeFp32.into(),
                dims: config.input,
            }],
            output: vec![proto::ModelOutput {
                name: OUTPUT.to_owned(),
                data_type: proto::DataType::TypeFp32.into(),
                dims: config.output,
            }],
            instance_group: vec![proto::ModelInstanceGroup {
                name: format!("{}_0", config.name),
                count: 1,
                kind: kind.into(),
            }],
            scheduling_choice: Some(SchedulingChoice::DynamicBatching(
                proto::ModelDynamicBatching {
                    preferred_batch_size: vec![config.preferred_batch_size],
                    max_queue_delay_microseconds: config.max_queue_delay_microseconds,
                },
            )),
            parameters: HashMap::from([("metadata".to_owned(), metadata)]),
            default_model_filename: String::new(),
            name: config.name,
        }
    }
}

impl From<StatisticDuration> for proto::StatisticDuration {
    fn from(StatisticDuration { count, ns }: StatisticDuration) -> Self {
        Self { count, ns }
    }
}

impl From<InferStatistics> for proto::InferStatistics {
    fn from(stages: InferStatistics) -> Self {
        Self {
            success: Some(stages.success.into()),
            fail: Some(stages.fail.into()),
            queue: Some(stages.queue.into()),
            compute_input: Some(stages.compute_input.into()),
            compute_infer: Some(stages.compute_infer.into()),
            compute_output: Some(stages.compute_output.into()),
            cache_hit: Some(stages.cache_hit.into()),
            cache_miss: Some(stages.cache_miss.into()),
        }
    }
}

impl From<InferBatchStatistics> for proto::InferBatchStatistics {
    fn from(batch: InferBatchStatistics) -> Self {
        Self {
            batch_size: batch.batch_size,
            compute_input: Some(batch.compute_input.into()),
            compute_infer: Some(batch.compute_infer.into()),
            compute_output: Some(batch.compute_output.into()),
        }
    }
}

impl From<ModelStatistics> for proto::ModelStatistics {
    fn from(model: ModelStatistics) -> Self {
        Self {
            name: model.name,
            version: model.version,
            last_inference: model.last_inference,
            inference_count: model.inference_count,
            execution_count: model.execution_count,
            inference_stats: Some(model.inference_stats.into()),
            batch_stats: model.batch_stats.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<IndexEntry> for proto::repository_index_response::ModelIndex {
    fn from(entry: IndexEntry) -> Self {
        Self {
            name: entry.name,
            version: entry.version,
            state: entry.state.to_owned(),
            reason: entry.reason,
        }
    }
}
