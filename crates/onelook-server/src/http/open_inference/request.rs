//! Parses the body of an inference request: JSON, then the bytes of the tensors that it announces.
//!
//! The bytes are untrusted. Takes no more memory than a small multiple of them.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, SeqAccess, Visitor};

use crate::open_inference::protocol::{
    CLASSIFICATION, InferInput, InferParameters, InferRequest, SEQUENCES, SHARED_MEMORY, TensorData,
};
use crate::problem::{Problem, shown};

/// The header with the length of the JSON of a request or a response, if tensors follow it.
pub const JSON_LENGTH: &str = "inference-header-content-length";

/// Largest number of axes of a shape, more than any tensor here has.
const MAX_AXES: usize = 8;

/// A request, and the format of its response.
#[derive(Debug, PartialEq)]
pub struct HttpInferRequest {
    /// The request.
    pub request: InferRequest,
    /// Whether the output follows the JSON as bytes.
    pub binary: bool,
}

#[derive(Deserialize)]
struct JsonHead {
    id: Option<String>,
    parameters: Option<HeadParameters>,
    #[serde(deserialize_with = "few::<_, _, MAX_TENSORS>")]
    inputs: Vec<HeadInput>,
    #[serde(default, deserialize_with = "few::<_, _, MAX_TENSORS>")]
    outputs: Vec<HeadOutput>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct HeadParameters {
    priority: u64,
    timeout: u64,
    sequence_id: Option<Sequence>,
    sequence_start: bool,
    sequence_end: bool,
    binary_data_output: bool,
}

#[derive(Deserialize)]
struct HeadInput {
    name: String,
    datatype: String,
    #[serde(deserialize_with = "few::<_, _, MAX_AXES>")]
    shape: Vec<i64>,
    parameters: Option<TensorParameters>,
    data: Option<Numbers>,
}

#[derive(Deserialize)]
struct HeadOutput {
    name: String,
    parameters: Option<TensorParameters>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct TensorParameters {
    binary_data_size: Option<u64>,
    binary_data: Option<bool>,
    classification: u64,
    shared_memory_region: Option<IgnoredAny>,
}

/// Parses a body. Without the length of the JSON, all of it is JSON.
pub fn parse(body: &Bytes, json_length: Option<usize>) -> Result<HttpInferRequest, Problem> {
    let length = json_length.unwrap_or(body.len());
    if length == 0 || length > body.len() {
        let bytes = body.len();
        return Err(Problem::bad_request(format!(
            "the JSON of the request should have {length} bytes, the body has {bytes}"
        )));
    }
    let head: JsonHead =
        serde_json::from_slice(&body[..length]).map_err(|error| not_json(&error))?;
    let parameters = head.parameters.unwrap_or_default();
    let outputs = head.outputs;
    let unsupported = unsupported(&parameters, &head.inputs, &outputs);
    let own = outputs.iter().find_map(|output| output.binary());
    Ok(HttpInferRequest {
        binary: own.unwrap_or(parameters.binary_data_output),
        request: InferRequest {
            id: head.id,
            parameters: InferParameters {
                priority: parameters.priority,
                timeout: (parameters.timeout > 0)
                    .then(|| Duration::from_micros(parameters.timeout)),
            },
            inputs: match unsupported {
                None => inputs(head.inputs, body.slice(length..))?,
                Some(_) => Vec::new(),
            },
            outputs: outputs.into_iter().map(|output| output.name).collect(),
            unsupported,
        },
    })
}

/// The value of the header `Inference-Header-Content-Length`.
pub fn json_length(text: &str) -> Result<usize, Problem> {
    text.parse().map_err(|_| {
        Problem::bad_request(format!(
            "the header Inference-Header-Content-Length must be a number of bytes, not {}",
            shown(text)
        ))
    })
}

/// The error for invalid JSON, cut to one line.
pub fn not_json(error: &serde_json::Error) -> Problem {
    let reason: String = error.to_string().chars().take(200).collect();
    Problem::bad_request(format!(
        "the body is not a request of this protocol: {reason}"
    ))
}

fn unsupported(
    parameters: &HeadParameters,
    inputs: &[HeadInput],
    outputs: &[HeadOutput],
) -> Option<&'static str> {
    let sequence = parameters.sequence_start || parameters.sequence_end;
    if sequence || parameters.sequence_id == Some(Sequence(true)) {
        return Some(SEQUENCES);
    }
    let of_inputs = inputs.iter().filter_map(|input| input.parameters.as_ref());
    let of_outputs = outputs
        .iter()
        .filter_map(|output| output.parameters.as_ref());
    let mut all = of_inputs.chain(of_outputs);
    all.find_map(|tensor| match tensor {
        _ if tensor.classification > 0 => Some(CLASSIFICATION),
        _ if tensor.shared_memory_region.is_some() => Some(SHARED_MEMORY),
        _ => None,
    })
}

/// Gives each input its bytes, in order. No byte may be left.
fn inputs(heads: Vec<HeadInput>, mut rest: Bytes) -> Result<Vec<InferInput>, Problem> {
    let mut inputs = Vec::with_capacity(heads.len());
    for head in heads {
        let announced = head.parameters.and_then(|tensor| tensor.binary_data_size);
        let name = shown(&head.name);
        let values = match (announced, head.data) {
            (Some(_), Some(_)) => {
                let detail = format!("input {name} has both 'data' and 'binary_data_size'");
                return Err(Problem::bad_request(detail));
            }
            (Some(size), None) => {
                let size = usize::try_from(size)
                    .ok()
                    .filter(|size| *size <= rest.len());
                let size = size.ok_or_else(|| {
                    let left = rest.len();
                    Problem::bad_request(format!(
                        "input {name} announces more bytes than the {left} that follow"
                    ))
                })?;
                TensorData::Bytes(rest.split_to(size))
            }
            (None, Some(numbers)) => TensorData::Numbers(numbers.0),
            (None, None) => {
                let detail = format!("input {name} has neither 'data' nor 'binary_data_size'");
                return Err(Problem::bad_request(detail));
            }
        };
        inputs.push(InferInput {
            name: head.name,
            datatype: head.datatype,
            shape: head.shape,
            values,
        });
    }
    match rest.len() {
        0 => Ok(inputs),
        left => Err(Problem::bad_request(format!(
            "{left} bytes after the JSON belong to no input"
        ))),
    }
}

impl HeadOutput {
    fn binary(&self) -> Option<bool> {
        self.parameters
            .as_ref()
            .and_then(|tensor| tensor.binary_data)
    }
}

/// Whether a sequence id is set: neither 0 nor empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sequence(bool);

impl<'de> Deserialize<'de> for Sequence {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Id;
        impl Visitor<'_> for Id {
            type Value = Sequence;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a sequence's number or name")
            }

            fn visit_u64<E>(self, number: u64) -> Result<Sequence, E> {
                Ok(Sequence(number != 0))
            }

            fn visit_str<E>(self, name: &str) -> Result<Sequence, E> {
                Ok(Sequence(!name.is_empty()))
            }
        }
        deserializer.deserialize_any(Id)
    }
}

/// Most inputs and outputs of a request; a model here has one of each.
const MAX_TENSORS: usize = 64;

/// A list of at most `MAX` items, counted while it is read; null is an empty one.
fn few<'de, D, T, const MAX: usize>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Few<T, const MAX: usize>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for Few<T, MAX> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a list of at most {MAX} items")
        }

        fn visit_unit<E>(self) -> Result<Vec<T>, E> {
            Ok(Vec::new())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
            let mut items = Vec::new();
            while let Some(item) = list.next_element()? {
                if items.len() == MAX {
                    return Err(A::Error::custom(format!("a list of more than {MAX} items")));
                }
                items.push(item);
            }
            Ok(items)
        }
    }
    deserializer.deserialize_any(Few::<T, MAX>(PhantomData))
}

/// Numbers in one list or in nested lists. The nesting is ignored: the shape has its own field.
struct Numbers(Vec<f32>);

impl<'de> Deserialize<'de> for Numbers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut numbers = Vec::new();
        let nested = Nested {
            numbers: &mut numbers,
            depth: 0,
        };
        nested.deserialize(deserializer)?;
        Ok(Self(numbers))
    }
}

struct Nested<'a> {
    numbers: &'a mut Vec<f32>,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Nested<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Nested<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.depth {
            0 => "a list of numbers",
            _ => "a number",
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        if self.depth == MAX_AXES {
            return Err(A::Error::custom("lists nested more than 8 deep"));
        }
        let depth = self.depth + 1;
        loop {
            let numbers = &mut *self.numbers;
            if list.next_element_seed(Nested { numbers, depth })?.is_none() {
                return Ok(());
            }
        }
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        if self.depth == 0 {
            return Err(E::custom("one number where a list is expected"));
        }
        let narrow = number as f32;
        if !narrow.is_finite() {
            return Err(E::custom(format!("{number} is too large for FP32")));
        }
        self.numbers.push(narrow);
        Ok(())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        self.visit_f64(number as f64)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        self.visit_f64(number as f64)
    }
}
