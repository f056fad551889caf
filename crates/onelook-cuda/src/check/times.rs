//! How long a network takes: as one graph, and launch by launch, beside what was predicted.

use std::fmt;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::{CheckError, Checker};
use crate::driver::{Constants, LoadedPlan};
use crate::lower::predict::predict;
use crate::plan::Plan;

/// Runs before times count.
const WARM_UP: usize = 10;
/// Runs whose times count at least, and how long they go on.
const ROUNDS: usize = 30;
const SPAN: Duration = Duration::from_secs(1);
/// Rounds of times per launch; the quickest of each counts.
const PROFILES: usize = 10;

/// A launch and its times in microseconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LaunchTimes {
    /// The layers that it computes.
    pub name: String,
    /// The kernel.
    pub kernel: String,
    /// Its tiles in words.
    pub choice: String,
    /// It cannot take less.
    pub floor_us: f64,
    /// What was predicted.
    pub predicted_us: f64,
    /// What it took alone.
    pub microseconds: f64,
}

/// A network's times for so many pictures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BatchTimes {
    /// Pictures in a run.
    pub batch: usize,
    /// From planes in the computer's memory to maps there: the median.
    pub run_ms: f64,
    /// All launches in a row without a graph.
    pub launches_ms: f64,
    /// What was predicted for a plain graph.
    pub predicted_ms: f64,
    /// Each launch.
    pub launches: Vec<LaunchTimes>,
}

impl fmt::Display for BatchTimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "batch {}: {:.3} ms with copies, {:.0} pictures/s; launches {:.3} ms; predicted {:.3} ms",
            self.batch,
            self.run_ms,
            self.batch as f64 * 1e3 / self.run_ms,
            self.launches_ms,
            self.predicted_ms
        )?;
        self.launches.iter().try_for_each(|it| {
            writeln!(
                f,
                "  {:>8.1} µs, predicted {:>7.1}, floor {:>6.1}  {} ({}, {})",
                it.microseconds, it.predicted_us, it.floor_us, it.name, it.kernel, it.choice
            )
        })
    }
}

impl Checker<'_> {
    /// Times of a plan from planes to maps.
    pub(super) fn times(&self, plan: &Plan, batch: usize) -> Result<BatchTimes, CheckError> {
        let constants = Constants::upload(self.context, &plan.constants)?;
        let mut loaded = LoadedPlan::new(self.context, plan, constants, self.cache)?;
        let inputs: Vec<Vec<u8>> = plan.inputs.iter().map(|&bytes| grey(bytes)).collect();
        let inputs: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
        let mut outputs: Vec<Vec<u8>> = plan.outputs.iter().map(|&bytes| vec![0; bytes]).collect();
        let mut run = || {
            let mut outputs: Vec<&mut [u8]> = outputs.iter_mut().map(Vec::as_mut_slice).collect();
            loaded.run(&inputs, &mut outputs)
        };
        for _ in 0..WARM_UP {
            run()?;
        }
        let mut times = Vec::new();
        let start = Instant::now();
        while times.len() < ROUNDS || start.elapsed() < SPAN {
            let clock = Instant::now();
            run()?;
            times.push(clock.elapsed().as_secs_f64() * 1e3);
        }
        times.sort_by(f64::total_cmp);
        let launches = self.launches(plan, &mut loaded, batch)?;
        let prediction = predict(plan, &self.gpu, u32::try_from(batch).unwrap_or(u32::MAX));
        let predicted = prediction
            .totals
            .first()
            .map_or(0.0, |total| total.predicted_us);
        Ok(BatchTimes {
            batch,
            run_ms: times[times.len() / 2],
            launches_ms: launches.iter().map(|it| it.microseconds).sum::<f64>() / 1e3,
            predicted_ms: predicted / 1e3,
            launches,
        })
    }

    fn launches(
        &self,
        plan: &Plan,
        loaded: &mut LoadedPlan,
        batch: usize,
    ) -> Result<Vec<LaunchTimes>, CheckError> {
        let mut best = vec![Duration::MAX; plan.launches.len()];
        for _ in 0..PROFILES {
            for (best, time) in best.iter_mut().zip(loaded.profile()?) {
                *best = time.min(*best);
            }
        }
        let batch = u32::try_from(batch).unwrap_or(u32::MAX);
        let predicted = predict(plan, &self.gpu, batch).launches;
        let launches = plan.launches.iter().zip(predicted).zip(best);
        let line = |((launch, predicted), time): ((&crate::plan::Launch, _), Duration)| {
            let predicted: crate::lower::predict::LaunchTime = predicted;
            LaunchTimes {
                name: launch.name.clone(),
                kernel: launch.kernel.name.clone(),
                choice: launch.choice.clone(),
                floor_us: predicted.floor_us,
                predicted_us: predicted.predicted_us,
                microseconds: time.as_secs_f64() * 1e6,
            }
        };
        Ok(launches.map(line).collect())
    }
}

/// Floats of one half: what a grey picture is.
fn grey(bytes: usize) -> Vec<u8> {
    0.5f32
        .to_le_bytes()
        .into_iter()
        .cycle()
        .take(bytes)
        .collect()
}
