//! Whether the server lives, whether it is ready, and its figures for Prometheus.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use utoipa::ToSchema;

use super::models::ModelState;
use crate::app::App;
use crate::problem::ProblemBody;

/// A sign of life.
#[derive(Debug, Serialize, ToSchema)]
pub struct Live {
    /// Always true.
    live: bool,
}

/// Whether requests can be answered, and what each model is doing.
#[derive(Debug, Serialize, ToSchema)]
pub struct Readiness {
    /// Whether requests can be answered.
    ready: bool,
    /// All models.
    models: Vec<ModelReadiness>,
}

/// What a model is doing.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelReadiness {
    /// Its name.
    #[schema(example = "yolo11n")]
    name: String,
    /// What it is doing.
    #[schema(value_type = ModelState)]
    state: &'static str,
    /// Why the last load failed, if it did.
    error: Option<String>,
}

/// `/livez` and `/readyz`.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/livez", get(live))
        .route("/readyz", get(ready))
}

/// `/metrics`.
pub fn metrics_routes() -> Router<Arc<App>> {
    Router::new().route("/metrics", get(metrics))
}

/// Whether the process answers.
#[utoipa::path(
    get, path = "/livez", tag = "server", operation_id = "live",
    summary = "Whether the process answers",
    responses(
        (status = 200, description = "It does.", body = Live),
        (status = 400, description = "A header makes no sense.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn live() -> Response {
    Json(Live { live: true }).into_response()
}

/// Ready once every model has been tried and at least one has answered a first run.
#[utoipa::path(
    get, path = "/readyz", tag = "server", operation_id = "ready",
    summary = "Whether requests can be answered",
    responses(
        (status = 200, description = "Every model has been tried and at least one serves.", body = Readiness),
        (status = 400, description = "A header makes no sense.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Not yet, or no model serves.", body = Readiness),
    )
)]
pub async fn ready(State(app): State<Arc<App>>) -> Response {
    let ready = app.catalogue.is_ready();
    let models = app.catalogue.all();
    let models = models.iter().map(|slot| ModelReadiness {
        name: slot.name.clone(),
        state: slot.state().name(),
        error: slot.error(),
    });
    let body = Readiness {
        ready,
        models: models.collect(),
    };
    let status = match ready {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(body)).into_response()
}

/// Figures for Prometheus.
#[utoipa::path(
    get, path = "/metrics", tag = "server", operation_id = "metrics",
    summary = "Figures for Prometheus",
    responses(
        (status = 200, description = "Text in the exposition format 0.0.4.", body = String, content_type = "text/plain"),
        (status = 400, description = "A header makes no sense.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "No token, or one that is not known.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn metrics(State(app): State<Arc<App>>) -> Response {
    let host = app.host.figures();
    for (what, value) in [
        ("cpu", host.cpu_percent * app.host.cores() as f64 / 100.0),
        ("process_cpu", host.process_cpu_percent / 100.0),
        ("memory_used", host.memory_used_bytes as f64),
        ("memory_total", host.memory_total_bytes as f64),
        ("process_memory", host.process_memory_bytes as f64),
    ] {
        app.metrics.host.with_label_values(&[what]).set(value);
    }
    for slot in app.catalogue.all() {
        let length = slot.served().map_or(0, |served| served.gate.length());
        let gauge = app.metrics.queue_length.with_label_values(&[&slot.name]);
        gauge.set(length as i64);
    }
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], app.metrics.text()).into_response()
}
