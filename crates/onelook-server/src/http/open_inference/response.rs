//! The response to an inference request: JSON with numbers, or JSON followed by the tensor's bytes.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::request::JSON_LENGTH;
use crate::open_inference::protocol::{DATATYPE, InferResponse, OUTPUT};

#[derive(Serialize)]
struct JsonHead<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    model_name: &'a str,
    model_version: &'a str,
    outputs: [Output<'a>; 1],
}

#[derive(Serialize)]
struct Output<'a> {
    name: &'a str,
    datatype: &'a str,
    shape: &'a [usize],
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<BinaryParameters>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a [f32]>,
}

#[derive(Serialize)]
struct BinaryParameters {
    binary_data_size: usize,
}

/// The response, with its tensor in the requested format.
pub fn response(output: &InferResponse, binary: bool) -> Response {
    let numbers = output.output.data();
    let size = numbers.len() * 4;
    let head = JsonHead {
        id: output.id.as_deref(),
        model_name: &output.model,
        model_version: &output.version,
        outputs: [Output {
            name: OUTPUT,
            datatype: DATATYPE,
            shape: output.output.shape(),
            parameters: binary.then_some(BinaryParameters {
                binary_data_size: size,
            }),
            data: (!binary).then_some(numbers),
        }],
    };
    let mut body = Vec::with_capacity(if binary {
        512 + size
    } else {
        numbers.len() * 12
    });
    serde_json::to_writer(&mut body, &head).expect("words and numbers, written to memory");
    if !binary {
        return ([(header::CONTENT_TYPE, "application/json")], body).into_response();
    }
    let head_length = HeaderValue::from(body.len());
    output.push_bytes(&mut body);
    let kind = HeaderValue::from_static("application/octet-stream");
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::HeaderName::from_static(JSON_LENGTH), head_length),
    ];
    (headers, body).into_response()
}
