//! A loaded model: the network, the admission before it and the threads that run it.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use onelook::types::{Frame, Task};
use onelook::{Engine, LoadOptions, Model, Options, Pipeline, usable_cores};

use crate::admission::{self, AdmissionController};
use crate::batch_worker::{BatchPolicy, BatchWorker, OnRun};

/// How requests are queued and put into batches.
#[derive(Debug, Clone, Copy)]
pub struct ServingOptions {
    /// Largest number of images in one run; what the engine prefers if absent.
    pub max_batch: Option<usize>,
    /// Longest time that a ready image waits for others to share its run.
    pub max_delay: Duration,
    /// Largest number of waiting requests.
    pub queue: usize,
}

/// A model that can serve requests.
pub struct LoadedModel {
    /// The network.
    pub model: Arc<Model>,
    /// Admits requests to it.
    pub admission: Arc<AdmissionController>,
    /// The threads that run it.
    pub worker: BatchWorker,
    /// Counts loads, from 1.
    pub version: u64,
    /// Time of loading and of the first run.
    pub load_time: Duration,
    /// Largest number of images in one run.
    pub max_batch: usize,
}

impl LoadedModel {
    /// Loads a model, runs it once, and starts its threads.
    pub(super) fn open(
        engine: &Engine,
        source: &Path,
        version: u64,
        options: &LoadOptions,
        serving: &ServingOptions,
        on_run: OnRun,
    ) -> Result<Self, String> {
        let start = Instant::now();
        let model = load(engine, source, options)?;
        let max_batch = serving.max_batch.unwrap_or(model.preferred_batch()).max(1);
        let threads = model.batches_in_flight().max(1);
        // The batches that run, one that is decoded and prepared meanwhile, and some to keep every
        // core busy. More would only take memory: the images of the rest stay encoded in the queue.
        let images = (threads + 1) * max_batch + usable_cores();
        let most_work = admission::work(images, model.metadata().image_size);
        let admission = AdmissionController::new(most_work, serving.queue);
        let policy = BatchPolicy {
            max_batch,
            max_delay: serving.max_delay,
            threads,
        };
        let worker = BatchWorker::start(Arc::clone(&model), Arc::clone(&admission), policy, on_run)
            .map_err(|error| format!("its threads could not be started: {error}"))?;
        Ok(Self {
            model,
            admission,
            worker,
            version,
            load_time: start.elapsed(),
            max_batch,
        })
    }
}

/// The model after its first run, which lays out memory and packs weights for the requests to come.
fn load(engine: &Engine, source: &Path, options: &LoadOptions) -> Result<Arc<Model>, String> {
    let model = Model::load_on(engine, source, options).map_err(|error| error.to_string())?;
    let task = model.metadata().task();
    if task != Task::Detect {
        return Err(format!(
            "it is a {task} model; serve takes detection models only, predict and verify take it"
        ));
    }
    if model.has_random_weights() {
        let name = model.name();
        tracing::warn!("the weights of '{name}' are random: its boxes mean nothing");
    }
    let model = Arc::new(model);
    first_run(&model)
        .map_err(|error| format!("it was loaded, but its first run failed: {error}"))?;
    Ok(model)
}

fn first_run(model: &Arc<Model>) -> Result<(), onelook::Error> {
    let [height, width] = model.metadata().image_size;
    let pipeline = Pipeline::new(Arc::clone(model), Options::default())?;
    let frame = Frame::filled(width, height, [0; 3])?;
    pipeline.predict(&[frame]).map(drop)
}
