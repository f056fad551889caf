//! A loaded model: the network, its door and its thread.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use onelook::types::Tensor;
use onelook::{Engine, LoadOptions, Model, usable_cores};

use super::Slot;
use crate::admission::Gate;
use crate::batch_worker::{Batching, Worker};
use crate::metrics::Metrics;

/// How runs are to be put together; what is absent is up to the engine.
#[derive(Debug, Clone, Copy)]
pub struct BatchingWish {
    /// Most pictures in one run.
    pub max_batch: Option<usize>,
    /// Longest wait for company.
    pub max_delay: Duration,
    /// Most requests that wait.
    pub queue: usize,
}

/// A model that serves.
pub struct Served {
    /// The network.
    pub model: Arc<Model>,
    /// The door before it.
    pub gate: Arc<Gate>,
    /// The thread behind it.
    pub worker: Worker,
    /// Counts loads, from 1.
    pub version: u64,
    /// Time of loading and of the first run.
    pub load_time: Duration,
    /// Most pictures in one run.
    pub max_batch: usize,
}

impl Served {
    /// Loads a model, runs it once, and starts its thread.
    pub(super) fn open(
        engine: &Engine,
        slot: &Arc<Slot>,
        version: u64,
        options: &LoadOptions,
        wish: &BatchingWish,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, String> {
        let start = Instant::now();
        let model = load(engine, &slot.source, options)?;
        let max_batch = wish.max_batch.unwrap_or(model.preferred_batch()).max(1);
        // Enough to have the next run decoded and fitted while this one runs.
        let permits = 2 * max_batch + usable_cores();
        let gate = Gate::new(permits, wish.queue);
        let batching = Batching {
            max_batch,
            max_delay: wish.max_delay,
        };
        let (owner, metrics) = (Arc::clone(slot), Arc::clone(metrics));
        let on_run = move |pictures: usize, time: Duration| {
            owner.statistics.ran(pictures, time);
            metrics.ran(&owner.name, pictures, time);
        };
        let worker = Worker::start(
            Arc::clone(&model),
            Arc::clone(&gate),
            batching,
            Box::new(on_run),
        )
        .map_err(|error| format!("its thread could not be started: {error}"))?;
        Ok(Self {
            model,
            gate,
            worker,
            version,
            load_time: start.elapsed(),
            max_batch,
        })
    }
}

/// The model after its first run, which lays out memory and packs weights.
fn load(engine: &Engine, source: &Path, options: &LoadOptions) -> Result<Arc<Model>, String> {
    let model = Model::load_on(engine, source, options).map_err(|error| error.to_string())?;
    if model.has_random_weights() {
        let name = model.name();
        tracing::warn!("the weights of '{name}' are random: its boxes mean nothing");
    }
    let [height, width] = model.metadata().image_size;
    model
        .run(&Tensor::zeros([1, 3, height, width]))
        .map_err(|error| format!("it was loaded, but its first run failed: {error}"))?;
    Ok(Arc::new(model))
}
