//! Tells calls of gRPC from other requests.

use axum::http::header;

/// Whether this is a gRPC call, by its content type.
pub fn is_grpc<B>(request: &axum::http::Request<B>) -> bool {
    request
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}
