//! The server's HTTP face: which path leads where, and which of the two ways a request takes.

mod deepstack;
mod detect;
mod health;
mod middleware;
mod models;
mod multipart;
mod open_inference;
mod openapi;
mod pages;
mod schema;
mod status;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tower::ServiceExt;

use crate::app::App;
use crate::grpc;
use crate::problem::{Kind, Problem};

pub use middleware::{Peer, Visit};
pub use open_inference::request::parse as parse_inference_request;

/// Everything that this server answers.
///
/// Requests of gRPC are told by their content type and never share a fallback with the rest: an
/// unknown path of one must not be answered in the words of the other.
pub fn router(app: Arc<App>) -> Router {
    let rest = rest(Arc::clone(&app));
    let grpc = grpc::router(Arc::clone(&app));
    let split = move |request: Request| {
        let chosen = if is_grpc(&request) {
            grpc.clone()
        } else {
            rest.clone()
        };
        async move {
            let Ok(response) = chosen.oneshot(request).await;
            response
        }
    };
    Router::new()
        .fallback(split)
        .layer(from_fn_with_state(app, middleware::layer))
}

/// Only what Prometheus asks for, for a port of its own.
pub fn metrics_router(app: Arc<App>) -> Router {
    Router::new()
        .merge(health::metrics_routes())
        .fallback(not_found)
        .with_state(Arc::clone(&app))
        .layer(from_fn_with_state(app, middleware::layer))
}

fn rest(app: Arc<App>) -> Router {
    Router::new()
        .merge(health::routes())
        .merge(health::metrics_routes())
        .merge(detect::routes())
        .merge(deepstack::routes())
        .merge(open_inference::routes())
        .merge(models::routes())
        .merge(status::routes())
        .merge(openapi::routes())
        .merge(pages::routes())
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(not_found)
        .route_layer(from_fn(middleware::remember_route))
        .with_state(app)
}

pub(crate) fn is_grpc<B>(request: &axum::http::Request<B>) -> bool {
    request
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

async fn not_found(request: Request) -> Response {
    let path: String = request.uri().path().chars().take(200).collect();
    crate::body::drain(request.into_body()).await;
    let detail = format!("nothing is served at {path:?}; /docs lists what is");
    Problem::new(Kind::NotFound, detail).into_response()
}

async fn method_not_allowed(request: Request<Body>) -> Response {
    let method = request.method().clone();
    let path: String = request.uri().path().chars().take(200).collect();
    crate::body::drain(request.into_body()).await;
    let detail = format!("{path:?} does not take {method}; /docs lists what it takes");
    Problem::new(Kind::MethodNotAllowed, detail).into_response()
}
