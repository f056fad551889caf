//! What a model has done since it was first loaded; survives reloads of the model.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How often and how long.
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

/// Times of one answered request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Times {
    /// From the bytes to a frame.
    pub decode: Duration,
    /// Waiting for its turn and for its run.
    pub queue: Duration,
    /// Fitting the picture into the input.
    pub preprocess: Duration,
    /// The run, which others may have shared.
    pub inference: Duration,
    /// Reading boxes off the outputs.
    pub postprocess: Duration,
    /// Drawing and encoding the answer's picture.
    pub encode: Duration,
    /// Pictures in its run, or in the last of its runs.
    pub batch: usize,
}

/// Runs of one number of pictures, and the requests that shared them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Batch {
    /// Running, by run.
    pub infer: Tally,
    /// Decoding and fitting, by request.
    pub input: Tally,
    /// Reading boxes, encoding, by request.
    pub output: Tally,
}

/// A copy of the figures at one moment.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// Requests answered, and their whole time.
    pub success: Tally,
    /// Requests failed, and their whole time.
    pub failure: Tally,
    /// Waiting.
    pub queue: Tally,
    /// Decoding and fitting.
    pub input: Tally,
    /// Running.
    pub infer: Tally,
    /// Reading boxes, encoding.
    pub output: Tally,
    /// Pictures run.
    pub pictures: u64,
    /// Runs by their number of pictures.
    pub batches: BTreeMap<usize, Batch>,
    /// When a picture was last run, in milliseconds since 1970.
    pub last_run_ms: u64,
}

impl Figures {
    /// Runs.
    pub fn runs(&self) -> u64 {
        self.batches.values().map(|batch| batch.infer.count).sum()
    }
}

/// The figures of one model.
#[derive(Debug, Default)]
pub struct Statistics(Mutex<Figures>);

impl Statistics {
    /// A copy as of now.
    pub fn figures(&self) -> Figures {
        self.lock().clone()
    }

    /// A run took place.
    pub fn ran(&self, pictures: usize, time: Duration) {
        let mut figures = self.lock();
        figures.pictures += pictures as u64;
        figures.batches.entry(pictures).or_default().infer.add(time);
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
        figures.last_run_ms = since_1970.map_or(0, |time| time.as_millis() as u64);
    }

    /// A request was answered.
    pub fn succeeded(&self, whole: Duration, times: &Times) {
        let mut figures = self.lock();
        let shared = figures.batches.entry(times.batch).or_default();
        shared.input.add(times.decode + times.preprocess);
        shared.output.add(times.postprocess + times.encode);
        figures.success.add(whole);
        figures.queue.add(times.queue);
        figures.input.add(times.decode + times.preprocess);
        figures.infer.add(times.inference);
        figures.output.add(times.postprocess + times.encode);
    }

    /// A request was not answered.
    pub fn failed(&self, whole: Duration) {
        self.lock().failure.add(whole);
    }

    fn lock(&self) -> MutexGuard<'_, Figures> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
