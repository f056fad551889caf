//! `/v1/status`: statistics for the Web UI, summed since the start, and the last two minutes second by
//! second.

mod figures;
pub mod history;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use prometheus::core::Collector;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::model_repository::{ModelEntry, ModelStateName};
use crate::recent_requests::RequestRecord;
use figures::{Gpu, Host, StageFigures, in_flight, stages, totals};

/// Routes.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/status/history", get(history::history))
}

/// Live statistics. All counts are sums since the start.
#[derive(Debug, Serialize, ToSchema)]
pub struct Status {
    /// The server's version.
    #[schema(example = "0.1.0")]
    version: &'static str,
    /// Seconds since the start.
    uptime_s: f64,
    /// Whether loading of every model has been tried and at least one serves.
    ready: bool,
    /// The configured host and port.
    #[schema(example = "127.0.0.1:8000")]
    listening: String,
    /// The machine and the server's process.
    host: Host,
    /// The machine's GPUs.
    gpus: Vec<Gpu>,
    /// Requests that run or change models.
    requests: Requests,
    /// What each model has done.
    models: Vec<ModelFigures>,
    /// The last requests that failed, the latest first.
    errors: Vec<RequestRecord>,
    /// The slowest requests of the last ten minutes, the slowest first.
    slow: Vec<RequestRecord>,
}

/// Requests with POST, which run or change models.
#[derive(Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Requests {
    /// Requests in progress.
    in_flight: u64,
    /// Finished requests, with any status.
    total: u64,
    /// Requests that failed for another reason than overload.
    failed: u64,
    /// Requests that were rejected because of overload (429 and 503).
    rejected: u64,
}

/// What a model has done.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelFigures {
    /// Its name.
    #[schema(example = "yolo11n")]
    name: String,
    /// Its state.
    state: ModelStateName,
    /// Number of images that were run.
    images: u64,
    /// Number of runs.
    batches: u64,
    /// Number of waiting requests.
    queue_length: usize,
    /// Largest number of waiting requests.
    queue_capacity: usize,
    /// Time in each stage: decode, queue, preprocess, inference, postprocess and encode.
    stages: BTreeMap<&'static str, StageFigures>,
}

impl ModelFigures {
    fn of(app: &App, entry: &ModelEntry) -> Self {
        let totals = totals(app, entry);
        Self {
            name: entry.name.clone(),
            state: entry.state().name(),
            images: totals.images,
            batches: totals.runs,
            queue_length: totals.queue_length,
            queue_capacity: totals.queue_capacity,
            stages: stages(&totals),
        }
    }
}

impl Requests {
    fn of(app: &App) -> Self {
        let mut requests = Self {
            in_flight: in_flight(app),
            ..Self::default()
        };
        let families = app.metrics.requests.collect();
        for metric in families.iter().flat_map(|family| family.get_metric()) {
            let label = |name: &str| {
                let mut labels = metric.get_label().iter();
                let found = labels.find(|label| label.name() == name);
                found.map_or("", |label| label.value())
            };
            if label("method") == "POST" {
                let count = metric.get_counter().get_value() as u64;
                requests.add(label("status").parse().unwrap_or(0), count);
            }
        }
        requests
    }

    fn add(&mut self, status: u16, count: u64) {
        self.total += count;
        match status {
            429 | 503 => self.rejected += count,
            400.. => self.failed += count,
            _ => {}
        }
    }
}

/// Live statistics.
#[utoipa::path(
    get, path = "/v1/status", tag = "server", operation_id = "status",
    summary = "Live statistics",
    description = "Counts are sums since the start; rates are differences between two responses.",
    responses(
        (status = 200, description = "The statistics now.", body = Status),
        (status = 400), (status = 401),
    )
)]
pub async fn status(State(app): State<Arc<App>>) -> Json<Status> {
    let entries = app.models.all();
    let models = entries.iter().map(|entry| ModelFigures::of(&app, entry));
    Json(Status {
        version: env!("CARGO_PKG_VERSION"),
        uptime_s: app.started.elapsed().as_millis() as f64 / 1e3,
        ready: app.models.is_ready(),
        listening: format!("{}:{}", app.config.host, app.config.port),
        host: Host::of(&app, &app.host.usage()),
        gpus: Vec::new(),
        requests: Requests::of(&app),
        models: models.collect(),
        errors: app.recent_requests.errors(),
        slow: app.recent_requests.slowest(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overload_is_counted_separately_from_failure() {
        let mut requests = Requests::default();
        for status in [200, 204, 400, 422, 429, 503, 500] {
            requests.add(status, 2);
        }
        let expected = Requests {
            in_flight: 0,
            total: 14,
            failed: 6,
            rejected: 4,
        };
        assert_eq!(requests, expected);
    }
}
