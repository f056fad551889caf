//! `/v1/status`: statistics for the charts of the Web UI, summed since the start.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use prometheus::core::Collector;
use serde::Serialize;
use utoipa::ToSchema;

use super::models::QueueCard;
use crate::app::App;
use crate::metrics::STAGES;
use crate::model_repository::{ModelEntry, ModelStateName};

/// Routes.
pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/v1/status", get(status))
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
}

/// The machine and the server's process.
#[derive(Debug, Serialize, ToSchema)]
pub struct Host {
    /// Cores that the server may use.
    cores: usize,
    /// Load of all cores, 0 to 100.
    cpu_percent: f64,
    /// Memory in use.
    memory_used_bytes: u64,
    /// Memory of the machine.
    memory_total_bytes: u64,
    /// Load of the server's process: 100 for each core that it keeps busy.
    process_cpu_percent: f64,
    /// Memory of the server's process.
    process_memory_bytes: u64,
}

/// A GPU.
#[derive(Debug, Serialize, ToSchema)]
pub struct Gpu {
    /// Its name.
    name: String,
    /// Load, 0 to 100.
    utilization_percent: f64,
    /// Memory in use.
    memory_used_bytes: u64,
    /// Its memory.
    memory_total_bytes: u64,
    /// Power draw.
    power_watts: f64,
}

/// Requests with POST, which run or change models.
#[derive(Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Requests {
    /// Requests in progress, including this one.
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

/// How often a stage ran and how long it took.
#[derive(Debug, Serialize, ToSchema)]
pub struct StageFigures {
    /// Number of images.
    count: u64,
    /// Milliseconds in all.
    sum_ms: f64,
}

impl ModelFigures {
    fn of(app: &App, entry: &ModelEntry) -> Self {
        let totals = entry.statistics.snapshot();
        let loaded = entry.loaded().ok();
        let (queue_length, queue_capacity) = QueueCard::of(app, loaded.as_deref()).figures();
        let stage = |stage: &'static str| {
            let seconds = &app.metrics.stage_seconds;
            let histogram = seconds.with_label_values(&[entry.name.as_str(), stage]);
            let sum_ms = (histogram.get_sample_sum() * 1e6).round() / 1e3;
            let count = histogram.get_sample_count();
            (stage, StageFigures { count, sum_ms })
        };
        Self {
            name: entry.name.clone(),
            state: entry.state().name(),
            images: totals.images,
            batches: totals.runs(),
            queue_length,
            queue_capacity,
            stages: STAGES.into_iter().map(stage).collect(),
        }
    }
}

impl Requests {
    fn of(app: &App) -> Self {
        let mut requests = Self {
            in_flight: u64::try_from(app.metrics.in_flight.get()).unwrap_or(0),
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
    let host = app.host.usage();
    let entries = app.models.all();
    let models = entries.iter().map(|entry| ModelFigures::of(&app, entry));
    Json(Status {
        version: env!("CARGO_PKG_VERSION"),
        uptime_s: app.started.elapsed().as_millis() as f64 / 1e3,
        ready: app.models.is_ready(),
        listening: format!("{}:{}", app.config.host, app.config.port),
        host: Host {
            cores: app.host.cores(),
            cpu_percent: host.cpu_percent,
            memory_used_bytes: host.memory_used_bytes,
            memory_total_bytes: host.memory_total_bytes,
            process_cpu_percent: host.process_cpu_percent,
            process_memory_bytes: host.process_memory_bytes,
        },
        gpus: Vec::new(),
        requests: Requests::of(&app),
        models: models.collect(),
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
