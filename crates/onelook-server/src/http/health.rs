//! Liveness, readiness, and metrics for Prometheus.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::model_repository::ModelStateName;

/// Liveness.
#[derive(Debug, Serialize, ToSchema)]
pub struct Live {
    /// Always true.
    live: bool,
}

/// Readiness of the server and state of each model.
#[derive(Debug, Serialize, ToSchema)]
pub struct Readiness {
    /// Whether requests can be answered.
    ready: bool,
    /// All models; only for requests with a token, where tokens are needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Vec<ModelReadiness>, required = false)]
    models: Option<Vec<ModelReadiness>>,
}

/// The state of a model.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelReadiness {
    /// Its name.
    #[schema(example = "yolo11n")]
    name: String,
    /// Its state.
    state: ModelStateName,
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

/// Liveness of the process.
#[utoipa::path(
    get, path = "/livez", tag = "server", operation_id = "live",
    summary = "Liveness",
    responses(
        (status = 200, description = "The process answers.", body = Live),
        (status = 400),
    )
)]
pub async fn live() -> Response {
    Json(Live { live: true }).into_response()
}

/// Ready once loading of every model has been tried and the default has done a first run.
#[utoipa::path(
    get, path = "/readyz", tag = "server", operation_id = "ready",
    summary = "Readiness",
    responses(
        (status = 200, description = "Loading of every model has been tried and the default serves.", body = Readiness),
        (status = 400),
        (status = 503, description = "Not yet, or the default does not serve.", body = Readiness),
    )
)]
pub async fn ready(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let ready = app.models.is_ready();
    let models = app.models.all();
    let models = models.iter().map(|entry| ModelReadiness {
        name: entry.name.clone(),
        state: entry.state().name(),
        error: entry.error(),
    });
    let body = Readiness {
        ready,
        models: (!app.is_stranger(&headers)).then(|| models.collect()),
    };
    (readiness(ready), Json(body)).into_response()
}

/// The status by which load balancers read readiness.
pub fn readiness(ready: bool) -> StatusCode {
    match ready {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// Metrics for Prometheus.
#[utoipa::path(
    get, path = "/metrics", tag = "server", operation_id = "metrics",
    summary = "Metrics for Prometheus",
    responses(
        (status = 200, description = "Text in the exposition format 0.0.4.", body = String, content_type = "text/plain"),
        (status = 400), (status = 401),
    )
)]
pub async fn metrics(State(app): State<Arc<App>>) -> Response {
    let host = app.host.usage();
    for (what, value) in [
        ("cpu", host.cpu_percent * app.host.cores() as f64 / 100.0),
        ("process_cpu", host.process_cpu_percent / 100.0),
        ("memory_used", host.memory_used_bytes as f64),
        ("memory_total", host.memory_total_bytes as f64),
        ("process_memory", host.process_memory_bytes as f64),
    ] {
        app.metrics.host.with_label_values(&[what]).set(value);
    }
    for entry in app.models.all() {
        let length = entry.loaded().map_or(0, |loaded| loaded.admission.length());
        let gauge = app.metrics.queue_length.with_label_values(&[&entry.name]);
        gauge.set(length as i64);
    }
    let text = app.streams.with_metrics(|| app.metrics.text());
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}
