//! The HTTP interface: routes, and the choice between HTTP and gRPC for each request.

mod compression;
mod deepstack;
mod detect;
mod grpc_request;
mod health;
mod middleware;
mod models;
mod multipart;
mod open_inference;
mod openapi;
mod pages;
mod problems;
mod quality;
mod same_site;
mod schema;
mod scope;
mod static_file;
mod status;
mod streams;
mod videos;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tower::ServiceExt;

use crate::app::App;
use crate::grpc;
use crate::problem::{Problem, ProblemKind};

pub use detect::parse_body as parse_detect_body;
pub use open_inference::request::parse as parse_inference_request;
pub use status::history::sample as sample_history;

/// Everything that the server answers.
///
/// gRPC calls are recognised by their content type and have a router of their own, so that an unknown
/// path of one protocol is not answered in the form of the other.
pub fn router(app: Arc<App>) -> Router {
    let rest = rest(Arc::clone(&app));
    let grpc = grpc::router(Arc::clone(&app));
    let split = move |request: Request| {
        let chosen = if grpc_request::is_grpc(&request) {
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

/// Only `/metrics`, for a port of its own.
pub fn metrics_router(app: Arc<App>) -> Router {
    Router::new()
        .merge(health::metrics_routes())
        .fallback(not_found)
        .with_state(Arc::clone(&app))
        .layer(from_fn_with_state(Arc::clone(&app), compression::layer))
        .layer(from_fn_with_state(app, middleware::layer))
}

/// The native API without the middleware that counts and logs requests.
pub fn rest(app: Arc<App>) -> Router {
    Router::new()
        .merge(health::routes())
        .merge(health::metrics_routes())
        .merge(detect::routes())
        .merge(deepstack::routes())
        .merge(open_inference::routes())
        .merge(models::routes())
        .merge(status::routes())
        .merge(streams::routes())
        .merge(videos::routes())
        .merge(openapi::routes())
        .merge(pages::routes())
        .merge(problems::routes())
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(not_found)
        .route_layer(from_fn(middleware::remember_route))
        .layer(from_fn_with_state(Arc::clone(&app), compression::layer))
        .with_state(app)
}

async fn not_found(request: Request) -> Response {
    let path = drained(request).await;
    let detail = format!("nothing is served at {path:?}; /docs lists what is");
    Problem::new(ProblemKind::NotFound, detail).into_response()
}

async fn method_not_allowed(request: Request) -> Response {
    let method = request.method().clone();
    let path = drained(request).await;
    let detail = format!("{path:?} does not support {method}; /docs lists what it supports");
    Problem::new(ProblemKind::MethodNotAllowed, detail).into_response()
}

/// Reads the body to its end, and returns the path for an error message.
async fn drained(request: Request) -> String {
    let path = request.uri().path().chars().take(200).collect();
    crate::body::drain(request.into_body()).await;
    path
}
