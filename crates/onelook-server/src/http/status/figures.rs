//! Figures that the status and its history have in common: the machine, and what models have done.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::history::ModelTotals;
use crate::host::HostUsage;
use crate::http::models::QueueCard;
use crate::metrics::STAGES;
use crate::model_repository::ModelEntry;

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

/// How often a stage ran and how long it took.
#[derive(Debug, Serialize, ToSchema)]
pub struct StageFigures {
    /// Number of images.
    pub count: u64,
    /// Milliseconds in all.
    pub sum_ms: f64,
}

impl Host {
    pub fn of(app: &App, usage: &HostUsage) -> Self {
        Self {
            cores: app.host.cores(),
            cpu_percent: usage.cpu_percent,
            memory_used_bytes: usage.memory_used_bytes,
            memory_total_bytes: usage.memory_total_bytes,
            process_cpu_percent: usage.process_cpu_percent,
            process_memory_bytes: usage.process_memory_bytes,
        }
    }
}

/// What a model has done and what waits for it; the latencies are empty.
pub fn totals(app: &App, entry: &ModelEntry) -> ModelTotals {
    let done = entry.statistics.snapshot();
    let loaded = entry.loaded().ok();
    let (queue_length, queue_capacity) = QueueCard::of(app, loaded.as_deref()).figures();
    let stage = |stage: &str| {
        let seconds = &app.metrics.stage_seconds;
        let histogram = seconds.with_label_values(&[entry.name.as_str(), stage]);
        let sum_ms = (histogram.get_sample_sum() * 1e6).round() / 1e3;
        (histogram.get_sample_count(), sum_ms)
    };
    ModelTotals {
        images: done.images,
        runs: done.runs(),
        queue_length,
        queue_capacity,
        stages: STAGES.map(stage),
        ..ModelTotals::default()
    }
}

/// Stages by their names.
pub fn stages(totals: &ModelTotals) -> BTreeMap<&'static str, StageFigures> {
    let figures = totals.stages.iter();
    let figures = figures.map(|&(count, sum_ms)| StageFigures { count, sum_ms });
    STAGES.into_iter().zip(figures).collect()
}

/// Requests in progress.
pub fn in_flight(app: &App) -> u64 {
    u64::try_from(app.metrics.in_flight.get()).unwrap_or(0)
}
