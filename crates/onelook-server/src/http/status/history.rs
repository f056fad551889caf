//! `/v1/status/history`: the last two minutes, a sample per second, so that charts begin with what
//! happened before anybody looked. Also the task that takes the samples.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::Uri;
use serde::{Deserialize, Serialize};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use utoipa::{IntoParams, ToSchema};

use super::figures::{Gpu, Host, StageFigures, in_flight, stages, totals};
use crate::app::App;
use crate::history::{INTERVAL, ModelSample, ModelTotals, Sample};
use crate::latencies::LatencyHistogram;
use crate::model_repository::ModelEntry;
use crate::problem::Problem;

/// Which part of the history.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct HistoryQuery {
    /// Only this model; all models together if absent.
    #[param(example = "yolo11n")]
    model: Option<String>,
    /// Only samples with a larger `uptime_s`.
    #[param(example = 12.5)]
    after: Option<f64>,
}

/// The last two minutes.
#[derive(Debug, Serialize, ToSchema)]
pub struct StatusHistory {
    /// Seconds between samples.
    interval_s: f64,
    /// The samples, the oldest first.
    samples: Vec<HistorySample>,
    /// Whole times of the requests that were answered in all of the two minutes.
    latency: Latency,
}

/// The server at one moment. Counts are sums since the start; rates are differences between two samples.
#[derive(Debug, Serialize, ToSchema)]
pub struct HistorySample {
    /// Seconds since the start.
    uptime_s: f64,
    /// The machine and the server's process.
    host: Host,
    /// The machine's GPUs.
    gpus: Vec<Gpu>,
    /// Requests in progress.
    in_flight: u64,
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
    /// Whole times of the requests that were answered since the sample before.
    latency: Latency,
}

/// How long requests took; percentiles are at most 2.2 % off.
#[derive(Debug, Serialize, ToSchema)]
pub struct Latency {
    /// Number of requests.
    count: u64,
    /// Half of them took no longer; null if there are none.
    p50_ms: Option<f64>,
    /// 99 of 100 took no longer; null if there are none.
    p99_ms: Option<f64>,
}

impl Latency {
    fn of(histogram: &LatencyHistogram) -> Self {
        let rounded = |share| {
            let ms = histogram.percentile_ms(share)?;
            Some((ms * 1e3).round() / 1e3)
        };
        Self {
            count: histogram.count(),
            p50_ms: rounded(0.5),
            p99_ms: rounded(0.99),
        }
    }
}

impl HistorySample {
    fn of(app: &App, sample: &Sample, totals: &ModelTotals) -> Self {
        Self {
            uptime_s: sample.uptime_ms as f64 / 1e3,
            host: Host::of(app, &sample.host),
            gpus: Vec::new(),
            in_flight: sample.in_flight,
            images: totals.images,
            batches: totals.runs,
            queue_length: totals.queue_length,
            queue_capacity: totals.queue_capacity,
            stages: stages(totals),
            latency: Latency::of(&totals.latencies),
        }
    }
}

/// The last two minutes.
#[utoipa::path(
    get, path = "/v1/status/history", tag = "server", operation_id = "statusHistory",
    summary = "The last two minutes",
    description = "The server takes a sample each second and keeps those of two minutes.",
    params(HistoryQuery),
    responses(
        (status = 200, description = "The samples that are kept.", body = StatusHistory),
        (status = 400), (status = 401), (status = 404),
    )
)]
pub async fn history(
    State(app): State<Arc<App>>,
    uri: Uri,
) -> Result<Json<StatusHistory>, Problem> {
    let Query(query) = Query::<HistoryQuery>::try_from_uri(&uri)
        .map_err(|error| Problem::bad_request(format!("the query cannot be read: {error}")))?;
    if let Some(name) = &query.model {
        app.models.find(Some(name))?;
    }
    let after = query.after.unwrap_or(-1.0);
    let mut all = LatencyHistogram::default();
    let mut samples = Vec::new();
    for sample in app.history.samples() {
        let totals = sample.totals(query.model.as_deref());
        all.add(&totals.latencies);
        if sample.uptime_ms as f64 / 1e3 > after {
            samples.push(HistorySample::of(&app, &sample, &totals));
        }
    }
    Ok(Json(StatusHistory {
        interval_s: INTERVAL.as_secs_f64(),
        samples,
        latency: Latency::of(&all),
    }))
}

/// Takes a sample each second until `stop`.
pub async fn sample(app: Arc<App>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => app.history.add(take(&app)),
        }
    }
}

fn take(app: &App) -> Sample {
    let model = |entry: &Arc<ModelEntry>| ModelSample {
        name: entry.name.clone(),
        totals: ModelTotals {
            latencies: entry.statistics.take_latencies(),
            ..totals(app, entry)
        },
    };
    Sample {
        uptime_ms: app.started.elapsed().as_millis() as u64,
        host: app.host.usage(),
        in_flight: in_flight(app),
        models: app.models.all().iter().map(model).collect(),
    }
}
