//! `/v1/status`: the figures that the page's charts are drawn from; sums since the start.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use prometheus::core::Collector;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

use super::models::{ModelState, QueueCard};
use crate::app::App;
use crate::metrics::STAGES;
use crate::model_repository::Slot;
use crate::problem::ProblemBody;

/// Routes.
pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/v1/status", get(status))
}

/// Live figures; all counts are sums since the start.
#[derive(Debug, Serialize, ToSchema)]
pub struct Status {
    /// The server's version.
    #[schema(example = "0.1.0")]
    version: &'static str,
    /// Seconds since the start.
    uptime_s: f64,
    /// Whether every model has been tried and at least one serves.
    ready: bool,
    /// Host and port that it was told to listen on.
    #[schema(example = "127.0.0.1:8000")]
    listening: String,
    /// The machine and the server's process.
    host: Host,
    /// The machine's GPUs.
    gpus: Vec<Gpu>,
    /// Requests that run models or change them.
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
    /// Load that the server makes: 100 for each core that it keeps busy.
    process_cpu_percent: f64,
    /// Memory of the server.
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
    /// Power that it draws.
    power_watts: f64,
}

/// Requests by POST: those that run models or change them.
#[derive(Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Requests {
    /// Requests that are being answered, this one included.
    in_flight: u64,
    /// Requests that were answered, in whatever way.
    total: u64,
    /// Requests that were answered with an error other than those of overload.
    failed: u64,
    /// Requests that were refused because of overload (429 and 503).
    rejected: u64,
}

/// What a model has done.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelFigures {
    /// Its name.
    #[schema(example = "yolo11n")]
    name: String,
    /// What it is doing.
    #[schema(value_type = ModelState)]
    state: &'static str,
    /// Pictures that were run.
    pictures: u64,
    /// Runs.
    batches: u64,
    /// Requests that wait.
    queue_length: usize,
    /// Most requests that may wait.
    queue_capacity: usize,
    /// How often and how long at each station: decode, queue, preprocess, inference, postprocess and
    /// encode.
    stages: BTreeMap<&'static str, StageFigures>,
}

/// How often and how long.
#[derive(Debug, Serialize, ToSchema)]
pub struct StageFigures {
    /// Pictures.
    count: u64,
    /// Milliseconds in all.
    sum_ms: f64,
}

impl ModelFigures {
    fn of(app: &App, slot: &Slot) -> Self {
        let figures = slot.statistics.figures();
        let served = slot.served().ok();
        let (queue_length, queue_capacity) = QueueCard::of(app, served.as_deref()).figures();
        let stage = |stage: &'static str| {
            let seconds = &app.metrics.stage_seconds;
            let histogram = seconds.with_label_values(&[slot.name.as_str(), stage]);
            let sum_ms = (histogram.get_sample_sum() * 1e6).round() / 1e3;
            let count = histogram.get_sample_count();
            (stage, StageFigures { count, sum_ms })
        };
        Self {
            name: slot.name.clone(),
            state: slot.state().name(),
            pictures: figures.pictures,
            batches: figures.runs(),
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

/// Live figures.
#[utoipa::path(
    get, path = "/v1/status", tag = "server", operation_id = "status",
    summary = "Live figures",
    description = "Counts are sums since the start: whoever draws charts takes differences.",
    responses(
        (status = 200, description = "The figures as of now.", body = Status),
        (status = 400, description = "A header makes no sense.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "No token, or one that is not known.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn status(State(app): State<Arc<App>>) -> Json<Status> {
    let host = app.host.figures();
    let slots = app.catalogue.all();
    let models = slots.iter().map(|slot| ModelFigures::of(&app, slot));
    Json(Status {
        version: env!("CARGO_PKG_VERSION"),
        uptime_s: app.started.elapsed().as_millis() as f64 / 1e3,
        ready: app.catalogue.is_ready(),
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
    fn overload_is_counted_apart_from_failure() {
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
