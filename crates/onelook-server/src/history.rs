//! The server's last two minutes: a bounded ring of samples, one per second, which the Monitor page
//! draws. Counts in a sample are sums since the start.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::host::HostUsage;
use crate::latencies::LatencyHistogram;
use crate::locks::lock;
use crate::metrics::STAGES;

/// Time between samples.
pub const INTERVAL: Duration = Duration::from_secs(1);

/// Rates are differences: two minutes of them take one sample more.
const CAPACITY: usize = 121;

/// The server at one moment.
#[derive(Debug)]
pub struct Sample {
    /// Milliseconds since the start.
    pub uptime_ms: u64,
    /// The machine and the process.
    pub host: HostUsage,
    /// Requests in progress.
    pub in_flight: u64,
    /// Every model.
    pub models: Vec<ModelSample>,
}

/// A model at one moment.
#[derive(Debug)]
pub struct ModelSample {
    /// Its name.
    pub name: String,
    /// What it has done and what waits for it.
    pub totals: ModelTotals,
}

/// What one or several models have done since the start, and what waits for them.
#[derive(Debug, Clone, Default)]
pub struct ModelTotals {
    /// Images that were run.
    pub images: u64,
    /// Runs.
    pub runs: u64,
    /// Waiting requests.
    pub queue_length: usize,
    /// Largest number of waiting requests.
    pub queue_capacity: usize,
    /// Number of images and milliseconds in each stage, in the order of [`STAGES`].
    pub stages: [(u64, f64); STAGES.len()],
    /// Requests that were answered since the sample before.
    pub latencies: LatencyHistogram,
}

impl ModelTotals {
    /// Adds the totals of another model.
    pub fn add(&mut self, other: &Self) {
        self.images += other.images;
        self.runs += other.runs;
        self.queue_length += other.queue_length;
        self.queue_capacity += other.queue_capacity;
        for (sum, (count, ms)) in self.stages.iter_mut().zip(&other.stages) {
            sum.0 += count;
            sum.1 += ms;
        }
        self.latencies.add(&other.latencies);
    }
}

impl Sample {
    /// The totals of a model, or of all.
    pub fn totals(&self, model: Option<&str>) -> ModelTotals {
        let mut totals = ModelTotals::default();
        for entry in &self.models {
            if model.is_none_or(|name| entry.name == name) {
                totals.add(&entry.totals);
            }
        }
        totals
    }
}

/// The samples that are kept.
#[derive(Debug, Default)]
pub struct History(Mutex<VecDeque<Arc<Sample>>>);

impl History {
    /// Adds a sample; the oldest one goes when there are too many.
    pub fn add(&self, sample: Sample) {
        let mut samples = lock(&self.0);
        if samples.len() == CAPACITY {
            samples.pop_front();
        }
        samples.push_back(Arc::new(sample));
    }

    /// All samples, the oldest first.
    pub fn samples(&self) -> Vec<Arc<Sample>> {
        let samples = lock(&self.0);
        samples.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(uptime_ms: u64) -> Sample {
        let model = |name: &str, images| ModelSample {
            name: name.to_owned(),
            totals: ModelTotals {
                images,
                ..ModelTotals::default()
            },
        };
        Sample {
            uptime_ms,
            host: HostUsage::default(),
            in_flight: 0,
            models: vec![model("a", 2), model("b", 3)],
        }
    }

    #[test]
    fn only_the_last_two_minutes_are_kept() {
        let history = History::default();
        for second in 0..1000 {
            history.add(sample(second * 1000));
        }
        let samples = history.samples();
        assert_eq!(samples.len(), CAPACITY);
        assert_eq!(samples[0].uptime_ms, 879_000);
        assert_eq!(samples[CAPACITY - 1].uptime_ms, 999_000);
    }

    #[test]
    fn totals_are_of_one_model_or_of_all() {
        assert_eq!(sample(0).totals(Some("b")).images, 3);
        assert_eq!(sample(0).totals(None).images, 5);
        assert_eq!(sample(0).totals(Some("c")).images, 0);
    }
}
