//! Why a request failed: one type for all protocols, each of which has its own form for it. The form
//! of the native API is RFC 9457, `application/problem+json`.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// The encodings of request bodies that are undone.
pub const ACCEPTED_ENCODINGS: &str = "gzip, deflate, zstd";

/// The kind of a problem; the same name in every protocol, in logs and in metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProblemKind {
    /// A parameter or the body is invalid.
    BadRequest,
    /// No token, or an unknown one.
    Unauthorised,
    /// The token does not allow this.
    Forbidden,
    /// There is no such path or model.
    NotFound,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// No response format fits the `Accept` header.
    NotAcceptable,
    /// The request arrived too slowly.
    Timeout,
    /// The body or an image is larger than allowed.
    TooLarge,
    /// The format of the body or of an image is not supported.
    Unsupported,
    /// The body is compressed in a way that is not supported.
    UnsupportedEncoding,
    /// The body was understood, but its content cannot be used.
    Unprocessable,
    /// This client sends more than its share.
    TooMany,
    /// All clients together send more than the server can do.
    Overloaded,
    /// The model is not loaded.
    NotReady,
    /// The deadline passed before the answer was ready.
    Deadline,
    /// A bug, or the machine fails.
    Internal,
}

impl ProblemKind {
    /// Every kind.
    pub const ALL: [Self; 16] = [
        Self::BadRequest,
        Self::Unauthorised,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::NotAcceptable,
        Self::Timeout,
        Self::TooLarge,
        Self::Unsupported,
        Self::UnsupportedEncoding,
        Self::Unprocessable,
        Self::TooMany,
        Self::Overloaded,
        Self::NotReady,
        Self::Deadline,
        Self::Internal,
    ];

    /// The HTTP status.
    pub fn status(self) -> StatusCode {
        match self {
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::Unauthorised => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Self::Timeout => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unsupported | Self::UnsupportedEncoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Unprocessable => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Self::Overloaded | Self::NotReady | Self::Deadline => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The gRPC status.
    pub fn code(self) -> tonic::Code {
        match self {
            Self::BadRequest | Self::Unsupported | Self::Unprocessable | Self::NotAcceptable => {
                tonic::Code::InvalidArgument
            }
            Self::Unauthorised => tonic::Code::Unauthenticated,
            Self::Forbidden => tonic::Code::PermissionDenied,
            Self::NotFound => tonic::Code::NotFound,
            Self::MethodNotAllowed | Self::UnsupportedEncoding => tonic::Code::Unimplemented,
            Self::TooLarge | Self::TooMany => tonic::Code::ResourceExhausted,
            Self::Timeout | Self::Deadline => tonic::Code::DeadlineExceeded,
            Self::Overloaded | Self::NotReady => tonic::Code::Unavailable,
            Self::Internal => tonic::Code::Internal,
        }
    }

    /// The name.
    pub fn name(self) -> &'static str {
        match self {
            Self::BadRequest => "bad-request",
            Self::Unauthorised => "unauthorised",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not-found",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::NotAcceptable => "not-acceptable",
            Self::Timeout => "timeout",
            Self::TooLarge => "too-large",
            Self::Unsupported => "unsupported",
            Self::UnsupportedEncoding => "unsupported-encoding",
            Self::Unprocessable => "unprocessable",
            Self::TooMany => "too-many-requests",
            Self::Overloaded => "overloaded",
            Self::NotReady => "not-ready",
            Self::Deadline => "deadline",
            Self::Internal => "internal",
        }
    }
}

/// A client's text for an error message: quoted, escaped and cut.
pub fn shown(text: &str) -> String {
    let start: String = text.chars().take(80).collect();
    format!("{start:?}")
}

/// Why a request failed: what happened and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Problem {
    /// Its kind.
    pub kind: ProblemKind,
    /// For people: what happened and what to do.
    pub detail: String,
    /// After how long to try again.
    pub retry_after: Option<Duration>,
}

impl Problem {
    /// A problem of this kind.
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            retry_after: None,
        }
    }

    /// A parameter or the body is invalid.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::BadRequest, detail)
    }

    /// The body is larger than `--max-body` allows.
    pub fn too_large(max_bytes: u64) -> Self {
        let detail = format!(
            "the body has more than the {max_bytes} bytes that this server accepts: send less, or \
             start the server with a larger --max-body"
        );
        Self::new(ProblemKind::TooLarge, detail)
    }

    /// Something that no request should be able to cause. Logged as an error.
    pub fn internal(detail: impl std::fmt::Display) -> Self {
        tracing::error!(%detail, "internal error");
        Self::new(ProblemKind::Internal, detail.to_string())
    }

    /// Adds the time after which to try again.
    #[must_use]
    pub fn retry_after(self, time: Duration) -> Self {
        Self {
            retry_after: Some(time),
            ..self
        }
    }

    /// The problem in JSON.
    pub fn body(&self, request_id: &str) -> ProblemBody {
        ProblemBody {
            kind: format!("/problems/{}", self.kind.name()),
            title: self.kind.status().canonical_reason().unwrap_or("Error"),
            status: self.kind.status().as_u16(),
            detail: self.detail.clone(),
            request_id: request_id.to_owned(),
        }
    }

    /// The value of a `Retry-After` header: whole seconds, at least one.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        let time = self.retry_after?;
        Some((time.as_secs_f64().ceil() as u64).max(1))
    }
}

/// Why a request failed (RFC 9457).
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// The kind, as a relative URL.
    #[serde(rename = "type")]
    #[schema(rename = "type", example = "/problems/not-found")]
    pub kind: String,
    /// The status's name.
    #[schema(value_type = String, example = "Not Found")]
    pub title: &'static str,
    /// The HTTP status.
    #[schema(example = 404)]
    pub status: u16,
    /// What happened and what to do.
    pub detail: String,
    /// The request's id, as in the header `x-request-id` and in the log.
    pub request_id: String,
}

impl From<onelook::Error> for Problem {
    fn from(error: onelook::Error) -> Self {
        let detail = error.to_string();
        match error {
            onelook::Error::Setting { .. } => Self::bad_request(detail),
            onelook::Error::Run(_) | onelook::Error::Graph(_) | onelook::Error::Vision(_) => {
                Self::internal(detail)
            }
            _ => Self::new(ProblemKind::Unprocessable, detail),
        }
    }
}

/// Only the status and some headers: the middleware adds the body in the form of the protocol.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.kind.status().into_response();
        if let Some(seconds) = self.retry_after_seconds() {
            let value = HeaderValue::from(seconds);
            response.headers_mut().insert(header::RETRY_AFTER, value);
        }
        if self.kind == ProblemKind::Unauthorised {
            let value = HeaderValue::from_static("Bearer");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, value);
        }
        if self.kind == ProblemKind::UnsupportedEncoding {
            let value = HeaderValue::from_static(ACCEPTED_ENCODINGS);
            response
                .headers_mut()
                .insert(header::ACCEPT_ENCODING, value);
        }
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_a_client_is_escaped_and_cut() {
        assert_eq!(shown("a\n\"b"), "\"a\\n\\\"b\"");
        assert_eq!(shown(&"x".repeat(1000)).len(), 82);
    }
}
