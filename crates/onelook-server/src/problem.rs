//! Why a request is not answered as asked: one type for all protocols, each of which words it in
//! its own form. The own API's form is RFC 9457, `application/problem+json`.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// What kind of refusal; the same word in every protocol, in logs and in metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A parameter or a body makes no sense.
    BadRequest,
    /// No token, or one that is not known.
    Unauthorised,
    /// The token does not allow this.
    Forbidden,
    /// No such path or model.
    NotFound,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// Nothing that is served fits the `Accept` header.
    NotAcceptable,
    /// The request came too slowly.
    Timeout,
    /// The body or the picture is larger than allowed.
    TooLarge,
    /// The body's form is not one that is read here.
    Unsupported,
    /// The body was understood, its content cannot be used.
    Unprocessable,
    /// This client asks for more than its share.
    TooMany,
    /// Everybody together asks for more than can be done.
    Overloaded,
    /// The model is not loaded.
    NotReady,
    /// The deadline passed before the answer was there.
    Deadline,
    /// A bug or a failing machine.
    Internal,
}

impl Kind {
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
            Self::Unsupported => StatusCode::UNSUPPORTED_MEDIA_TYPE,
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
            Self::MethodNotAllowed => tonic::Code::Unimplemented,
            Self::TooLarge | Self::TooMany => tonic::Code::ResourceExhausted,
            Self::Timeout | Self::Deadline => tonic::Code::DeadlineExceeded,
            Self::Overloaded | Self::NotReady => tonic::Code::Unavailable,
            Self::Internal => tonic::Code::Internal,
        }
    }

    /// The word.
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
            Self::Unprocessable => "unprocessable",
            Self::TooMany => "too-many-requests",
            Self::Overloaded => "overloaded",
            Self::NotReady => "not-ready",
            Self::Deadline => "deadline",
            Self::Internal => "internal",
        }
    }
}

/// A refusal: its kind, what happened and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Problem {
    /// What kind.
    pub kind: Kind,
    /// For people: names the thing and what to do.
    pub detail: String,
    /// When to try again.
    pub retry_after: Option<Duration>,
}

impl Problem {
    /// A refusal of this kind.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            retry_after: None,
        }
    }

    /// A parameter or a body makes no sense.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(Kind::BadRequest, detail)
    }

    /// Something that no request should be able to cause; the log has more than the answer.
    pub fn internal(detail: impl std::fmt::Display) -> Self {
        tracing::error!(%detail, "a request failed inside");
        Self::new(Kind::Internal, detail.to_string())
    }

    /// The same, to be tried again after this time.
    #[must_use]
    pub fn retry_after(self, time: Duration) -> Self {
        Self {
            retry_after: Some(time),
            ..self
        }
    }

    /// The form in JSON.
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

/// A refusal in JSON (RFC 9457).
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// The kind, as a relative address.
    #[serde(rename = "type")]
    #[schema(rename = "type", example = "/problems/not-found")]
    pub kind: String,
    /// The status in words.
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
            _ => Self::new(Kind::Unprocessable, detail),
        }
    }
}

/// The request id is put in by the layer that knows it.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.kind.status().into_response();
        if let Some(seconds) = self.retry_after_seconds() {
            let value = HeaderValue::from(seconds);
            response.headers_mut().insert(header::RETRY_AFTER, value);
        }
        if self.kind == Kind::Unauthorised {
            let value = HeaderValue::from_static("Bearer");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, value);
        }
        response.extensions_mut().insert(self);
        response
    }
}
