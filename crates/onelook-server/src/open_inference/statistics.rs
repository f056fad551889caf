//! What a model has done, in the words of the protocol; times in nanoseconds.

use serde::Serialize;

use super::served;
use crate::app::App;
use crate::model_repository::Slot;
use crate::problem::Problem;
use crate::statistics::Tally;

/// Models and what they have done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AllStatistics {
    /// One entry per model.
    pub model_stats: Vec<ModelStatistics>,
}

/// What one model has done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelStatistics {
    /// Its name.
    pub name: String,
    /// The version that serves.
    pub version: String,
    /// When a picture was last run, in milliseconds since 1970.
    pub last_inference: u64,
    /// Pictures.
    pub inference_count: u64,
    /// Runs.
    pub execution_count: u64,
    /// Times of requests.
    pub inference_stats: Stages,
    /// Runs by their number of pictures.
    pub batch_stats: Vec<BatchStatistics>,
}

/// How often and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Count {
    /// How often.
    pub count: u64,
    /// How long in all.
    pub ns: u64,
}

/// Where the time of requests went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stages {
    /// Requests answered.
    pub success: Count,
    /// Requests that were not.
    pub fail: Count,
    /// Waiting.
    pub queue: Count,
    /// Making inputs.
    pub compute_input: Count,
    /// Running.
    pub compute_infer: Count,
    /// Making outputs.
    pub compute_output: Count,
    /// Answers from a cache: there is none.
    pub cache_hit: Count,
    /// Answers that were not in a cache: there is none.
    pub cache_miss: Count,
}

/// Runs of one number of pictures; inputs and outputs are made by request, not by run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BatchStatistics {
    /// Pictures in each.
    pub batch_size: u64,
    /// Making inputs.
    pub compute_input: Count,
    /// Running.
    pub compute_infer: Count,
    /// Making outputs.
    pub compute_output: Count,
}

impl From<Tally> for Count {
    fn from(tally: Tally) -> Self {
        Self {
            count: tally.count,
            ns: u64::try_from(tally.time.as_nanos()).unwrap_or(u64::MAX),
        }
    }
}

/// What one model has done.
pub fn of(slot: &Slot, version: Option<&str>) -> Result<AllStatistics, Problem> {
    served(slot, version)?;
    Ok(AllStatistics {
        model_stats: vec![model(slot)],
    })
}

/// What all models that serve have done.
pub fn all(app: &App) -> AllStatistics {
    let slots = app.catalogue.all();
    let serving = slots.iter().filter(|slot| slot.served().is_ok());
    AllStatistics {
        model_stats: serving.map(|slot| model(slot)).collect(),
    }
}

fn model(slot: &Slot) -> ModelStatistics {
    let figures = slot.statistics.figures();
    let batches = figures.batches.iter();
    let batch_stats = batches.map(|(&pictures, batch)| BatchStatistics {
        batch_size: pictures as u64,
        compute_input: batch.input.into(),
        compute_infer: batch.infer.into(),
        compute_output: batch.output.into(),
    });
    ModelStatistics {
        name: slot.name.clone(),
        version: super::VERSION.to_owned(),
        last_inference: figures.last_run_ms,
        inference_count: figures.pictures,
        execution_count: figures.runs(),
        batch_stats: batch_stats.collect(),
        inference_stats: Stages {
            success: figures.success.into(),
            fail: figures.failure.into(),
            queue: figures.queue.into(),
            compute_input: figures.input.into(),
            compute_infer: figures.infer.into(),
            compute_output: figures.output.into(),
            cache_hit: Count::default(),
            cache_miss: Count::default(),
        },
    }
}
