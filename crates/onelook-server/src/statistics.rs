//! What a model has done since it was first loaded; kept when the model is reloaded.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::latencies::LatencyHistogram;
use crate::locks::lock;

/// How often something happened and how long it took in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// How often.
    pub count: u64,
    /// How long in all.
    pub time: Duration,
}

impl Tally {
    fn add(&mut self, time: Duration) {
        self.count += 1;
        self.time += time;
    }
}

/// Time of each stage of one answered request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StageTimes {
    /// Decoding the image.
    pub decode: Duration,
    /// Waiting for admission and for the run.
    pub queue: Duration,
    /// Preparing the network's input.
    pub preprocess: Duration,
    /// The run, which other requests may have shared.
    pub inference: Duration,
    /// Reading boxes from the network's outputs.
    pub postprocess: Duration,
    /// Number of images in the run, or in the last of several.
    pub batch: usize,
}

impl StageTimes {
    /// Time of making the network's input.
    pub fn input(&self) -> Duration {
        self.decode + self.preprocess
    }
}

/// Runs with one number of images, and the requests that shared them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BatchTotals {
    /// Running, by run.
    pub infer: Tally,
    /// Making inputs, by request.
    pub input: Tally,
    /// Reading outputs, by request.
    pub output: Tally,
}

/// A copy of the statistics at one moment.
#[derive(Debug, Clone, Default)]
pub struct StatisticsSnapshot {
    /// Requests answered, and their whole time.
    pub success: Tally,
    /// Requests failed, and their whole time.
    pub failure: Tally,
    /// Waiting.
    pub queue: Tally,
    /// Making inputs.
    pub input: Tally,
    /// Running.
    pub infer: Tally,
    /// Reading outputs.
    pub output: Tally,
    /// Number of images that were run.
    pub images: u64,
    /// Runs by their number of images.
    pub batches: BTreeMap<usize, BatchTotals>,
    /// Time of the last run, in milliseconds since 1970.
    pub last_run_ms: u64,
}

impl StatisticsSnapshot {
    /// Number of runs.
    pub fn runs(&self) -> u64 {
        self.batches.values().map(|batch| batch.infer.count).sum()
    }
}

/// The statistics of one model.
#[derive(Debug, Default)]
pub struct Statistics {
    totals: Mutex<StatisticsSnapshot>,
    /// Answered requests since [`Statistics::take_latencies`].
    latencies: Mutex<LatencyHistogram>,
}

impl Statistics {
    /// A copy as of now.
    pub fn snapshot(&self) -> StatisticsSnapshot {
        self.lock().clone()
    }

    /// Counts a run.
    pub fn record_run(&self, images: usize, time: Duration) {
        let mut totals = self.lock();
        totals.images += images as u64;
        totals.batches.entry(images).or_default().infer.add(time);
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
        totals.last_run_ms = since_1970.map_or(0, |time| time.as_millis() as u64);
    }

    /// Counts an answered request.
    pub fn record_success(&self, whole: Duration, times: &StageTimes) {
        lock(&self.latencies).record(whole);
        let mut totals = self.lock();
        let batch = totals.batches.entry(times.batch).or_default();
        batch.input.add(times.input());
        batch.output.add(times.postprocess);
        totals.success.add(whole);
        totals.queue.add(times.queue);
        totals.input.add(times.input());
        totals.infer.add(times.inference);
        totals.output.add(times.postprocess);
    }

    /// Whole times of the requests that were answered since the last call; one caller a second.
    pub fn take_latencies(&self) -> LatencyHistogram {
        std::mem::take(&mut *lock(&self.latencies))
    }

    /// Counts a request that failed.
    pub fn record_failure(&self, whole: Duration) {
        self.lock().failure.add(whole);
    }

    fn lock(&self) -> MutexGuard<'_, StatisticsSnapshot> {
        lock(&self.totals)
    }
}
