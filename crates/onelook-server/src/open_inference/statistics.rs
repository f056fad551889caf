//! What models have done, in the terms of the protocol; times in nanoseconds.

use serde::Serialize;
use utoipa::ToSchema;

use super::version::loaded_version;
use crate::app::App;
use crate::metrics::MODEL_VERSION;
use crate::model_repository::ModelEntry;
use crate::problem::Problem;
use crate::statistics::Tally;

/// Models and what they have done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = InferenceStatistics)]
pub struct AllStatistics {
    /// One entry per model.
    pub model_stats: Vec<ModelStatistics>,
}

/// What one model has done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = InferenceModelStatistics)]
pub struct ModelStatistics {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Time of the last run, in milliseconds since 1970.
    pub last_inference: u64,
    /// Number of images.
    pub inference_count: u64,
    /// Number of runs.
    pub execution_count: u64,
    /// Where the time of requests went.
    pub inference_stats: InferStatistics,
    /// Runs by their number of images.
    pub batch_stats: Vec<InferBatchStatistics>,
}

/// How often something happened and how long it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, ToSchema)]
#[schema(as = InferenceDuration)]
pub struct StatisticDuration {
    /// How often.
    pub count: u64,
    /// How long in all.
    pub ns: u64,
}

/// Where the time of requests went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = InferenceTimes)]
pub struct InferStatistics {
    /// Answered requests.
    pub success: StatisticDuration,
    /// Failed requests.
    pub fail: StatisticDuration,
    /// Waiting.
    pub queue: StatisticDuration,
    /// Making inputs.
    pub compute_input: StatisticDuration,
    /// Running.
    pub compute_infer: StatisticDuration,
    /// Making outputs.
    pub compute_output: StatisticDuration,
    /// Responses from a cache; there is none.
    pub cache_hit: StatisticDuration,
    /// Responses that were not in a cache; there is none.
    pub cache_miss: StatisticDuration,
}

/// Runs with one number of images. Inputs and outputs are made by request, not by run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = InferenceBatches)]
pub struct InferBatchStatistics {
    /// Number of images in each.
    pub batch_size: u64,
    /// Making inputs.
    pub compute_input: StatisticDuration,
    /// Running.
    pub compute_infer: StatisticDuration,
    /// Making outputs.
    pub compute_output: StatisticDuration,
}

impl From<Tally> for StatisticDuration {
    fn from(tally: Tally) -> Self {
        Self {
            count: tally.count,
            ns: u64::try_from(tally.time.as_nanos()).unwrap_or(u64::MAX),
        }
    }
}

/// What one model has done.
pub fn of(entry: &ModelEntry, version: Option<&str>) -> Result<AllStatistics, Problem> {
    loaded_version(entry, version)?;
    Ok(AllStatistics {
        model_stats: vec![model(entry)],
    })
}

/// What all loaded models have done.
pub fn all(app: &App) -> AllStatistics {
    let entries = app.models.all();
    let serving = entries.iter().filter(|entry| entry.loaded().is_ok());
    AllStatistics {
        model_stats: serving.map(|entry| model(entry)).collect(),
    }
}

fn model(entry: &ModelEntry) -> ModelStatistics {
    let totals = entry.statistics.snapshot();
    let batches = totals.batches.iter();
    let batch_stats = batches.map(|(&images, batch)| InferBatchStatistics {
        batch_size: images as u64,
        compute_input: batch.input.into(),
        compute_infer: batch.infer.into(),
        compute_output: batch.output.into(),
    });
    ModelStatistics {
        name: entry.name.clone(),
        version: MODEL_VERSION.to_owned(),
        last_inference: totals.last_run_ms,
        inference_count: totals.images,
        execution_count: totals.runs(),
        batch_stats: batch_stats.collect(),
        inference_stats: InferStatistics {
            success: totals.success.into(),
            fail: totals.failure.into(),
            queue: totals.queue.into(),
            compute_input: totals.input.into(),
            compute_infer: totals.infer.into(),
            compute_output: totals.output.into(),
            cache_hit: StatisticDuration::default(),
            cache_miss: StatisticDuration::default(),
        },
    }
}
