//! The answer to an inference request: JSON with numbers, or JSON and the tensor's bytes behind it.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::HEAD_LENGTH;
use crate::open_inference::{Answer, DATATYPE, OUTPUT};

#[derive(Serialize)]
struct Head<'a> {
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
    parameters: Option<Announced>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a [f32]>,
}

#[derive(Serialize)]
struct Announced {
    binary_data_size: usize,
}

/// The answer, with its tensor in the form that was asked for.
pub fn response(answer: &Answer, binary: bool) -> Response {
    let numbers = answer.output.data();
    let size = numbers.len() * 4;
    let head = Head {
        id: answer.id.as_deref(),
        model_name: &answer.model,
        model_version: &answer.version,
        outputs: [Output {
            name: OUTPUT,
            datatype: DATATYPE,
            shape: answer.output.shape(),
            parameters: binary.then_some(Announced {
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
    answer.push_bytes(&mut body);
    let kind = HeaderValue::from_static("application/octet-stream");
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::HeaderName::from_static(HEAD_LENGTH), head_length),
    ];
    (headers, body).into_response()
}
