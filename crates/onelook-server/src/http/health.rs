//! Whether the server lives, whether it is ready, and its figures for Prometheus.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

use crate::app::App;

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

async fn live() -> Response {
    Json(json!({"live": true})).into_response()
}

/// Ready once every model has been tried and at least one has answered a first run.
async fn ready(State(app): State<Arc<App>>) -> Response {
    let ready = app.catalogue.is_ready();
    let models = app.catalogue.all();
    let models = models.iter().map(
        |slot| json!({"name": slot.name, "state": slot.state().name(), "error": slot.error()}),
    );
    let body = json!({"ready": ready, "models": models.collect::<Vec<_>>()});
    let status = match ready {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(body)).into_response()
}

async fn metrics(State(app): State<Arc<App>>) -> Response {
    for slot in app.catalogue.all() {
        let length = slot.served().map_or(0, |served| served.gate.length());
        let gauge = app.metrics.queue_length.with_label_values(&[&slot.name]);
        gauge.set(length as i64);
    }
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], app.metrics.text()).into_response()
}
