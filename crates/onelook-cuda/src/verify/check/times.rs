//! How long a network takes: launch by launch, and as one graph under each mechanism, beside what
//! was estimated.

use std::fmt;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::{CheckError, Checker, Run};
use crate::driver::{CudaError, Edges, ExecutionContext};
use crate::kernels::Element;
use crate::lower::estimate::{Estimate, LaunchEstimate, Mechanism, estimate};
use crate::plan::{Launch, Plan};

/// Runs before times count.
const WARM_UP: usize = 10;
/// Times of which a median is taken, at least.
const ROUNDS: usize = 5;
/// Graphs that are launched one behind the other.
const IN_A_ROW: usize = 20;
/// Rounds of times per launch; the quickest of each counts.
const PROFILES: usize = 10;
/// Runs whose outputs are compared bit for bit.
const REPEATS: usize = 10;

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
    /// What was estimated.
    pub estimated_us: f64,
    /// What it took alone.
    pub microseconds: f64,
}

/// A network's times as one graph: medians.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GraphTimes {
    /// How launches follow each other.
    pub mechanism: &'static str,
    /// Edges by which a launch starts before the one ahead of it has ended.
    pub early_edges: usize,
    /// Microseconds on the GPU, without copies.
    pub microseconds: f64,
    /// The same for each of several in a row, which hides what launching costs the CPU.
    pub in_a_row_us: f64,
    /// What was estimated.
    pub estimated_us: f64,
    /// Milliseconds by the computer's clock, without copies.
    pub wall_ms: f64,
    /// Milliseconds from inputs in the computer's memory to outputs there.
    pub with_copies_ms: f64,
    /// Runs whose outputs were compared with those of the first run of the plain graph.
    pub compared_runs: usize,
    /// Those of them that differed in any bit.
    pub unequal_runs: usize,
}

/// A network's times for so many images, in f16.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BatchTimes {
    /// Images in a run.
    pub batch: usize,
    /// Whether images go in and boxes come out; else planes go in and maps come out.
    pub whole: bool,
    /// All launches, each alone.
    pub launches_us: f64,
    /// By mechanism.
    pub graphs: Vec<GraphTimes>,
    /// Each launch.
    pub launches: Vec<LaunchTimes>,
}

impl BatchTimes {
    /// Whether equal inputs gave equal outputs, whatever the mechanism.
    pub fn passed(&self) -> bool {
        self.graphs.iter().all(|graph| graph.unequal_runs == 0)
    }
}

impl fmt::Display for BatchTimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ends = match self.whole {
            true => "images to boxes",
            false => "planes to maps",
        };
        writeln!(
            f,
            "batch {}, {ends}: {} launches, {:.1} µs if each is alone",
            self.batch,
            self.launches.len(),
            self.launches_us
        )?;
        for graph in &self.graphs {
            writeln!(
                f,
                "  {:<17} {:.1} µs on the GPU, {:.1} in a row, estimated {:.1}; {:.3} ms of the \
                 clock, {:.3} with copies",
                graph.mechanism,
                graph.microseconds,
                graph.in_a_row_us,
                graph.estimated_us,
                graph.wall_ms,
                graph.with_copies_ms,
            )?;
            let rate = |seconds: f64| self.batch as f64 / seconds;
            let verdict = match graph.unequal_runs {
                0 => "ok     equal bits in all".to_owned(),
                unequal => format!("WRONG  other bits in {unequal}"),
            };
            writeln!(
                f,
                "  {:<17} {:.0} images/s, {:.0} with copies; {} early edges; {verdict} of {} runs",
                "",
                rate(graph.in_a_row_us / 1e6),
                rate(graph.with_copies_ms / 1e3),
                graph.early_edges,
                graph.compared_runs
            )?;
        }
        self.launches.iter().try_for_each(|it| {
            writeln!(
                f,
                "  {:>8.1} µs, estimated {:>7.1}, floor {:>6.1}  {} ({}, {})",
                it.microseconds, it.estimated_us, it.floor_us, it.name, it.kernel, it.choice
            )
        })
    }
}

impl Checker<'_> {
    /// Times in f16 of each launch and of the plain graph.
    ///
    /// # Errors
    /// There is no plan, or the driver refused.
    pub fn times(&self, run: &Run<'_>) -> Result<BatchTimes, CheckError> {
        let plan = self.plan(run, Element::F16)?;
        let estimate = estimate(&plan, &self.gpu, words(run.batch));
        let mut timed = Timed::new(self, run, &plan)?;
        let graph = timed.graph(Mechanism::Graph, 0, &estimate)?;
        let launches = launches(&plan, &mut timed.loaded, estimate)?;
        Ok(BatchTimes {
            batch: run.batch,
            whole: run.head.is_some(),
            launches_us: launches.iter().map(|it| it.microseconds).sum(),
            graphs: vec![graph],
            launches,
        })
    }

    /// Times in f16 of the graph whose launches start early; nothing where GPU or driver know no
    /// such launches.
    ///
    /// # Errors
    /// There is no plan, or the driver refused.
    pub fn dependent_times(&self, run: &Run<'_>) -> Result<Option<GraphTimes>, CheckError> {
        let plan = self.plan(run, Element::F16)?;
        let estimate = estimate(&plan, &self.gpu, words(run.batch));
        let mut timed = Timed::new(self, run, &plan)?;
        match timed.loaded.connect(Edges::Dependent)? {
            0 => Ok(None),
            early => Ok(Some(timed.graph(
                Mechanism::DependentLaunch,
                early,
                &estimate,
            )?)),
        }
    }
}

/// A plan whose times are taken.
struct Timed<'a> {
    loaded: ExecutionContext,
    inputs: Vec<&'a [u8]>,
    outputs: Vec<Vec<u8>>,
    /// What the plain graph gave at first.
    expected: Vec<Vec<u8>>,
    /// How long times are taken for at least.
    span: Duration,
}

impl<'a> Timed<'a> {
    fn new(checker: &Checker<'_>, run: &'a Run<'_>, plan: &Plan) -> Result<Self, CudaError> {
        let mut loaded = checker.loaded(plan)?;
        let expected = run.poisoned(&mut loaded)?;
        Ok(Self {
            loaded,
            inputs: run.inputs.iter().map(Vec::as_slice).collect(),
            outputs: expected.clone(),
            expected,
            span: checker.options.span,
        })
    }

    /// Takes the graph's times as its edges are.
    fn graph(
        &mut self,
        mechanism: Mechanism,
        early_edges: usize,
        estimate: &Estimate,
    ) -> Result<GraphTimes, CudaError> {
        let unequal_runs = self.unequal_runs()?;
        for _ in 0..WARM_UP {
            self.run()?;
        }
        let mut totals = estimate.totals.iter();
        let estimated = totals
            .find(|total| total.mechanism == mechanism)
            .map_or(f64::NAN, |total| total.estimated_us);
        let span = self.span;
        let seconds = median(span, || Ok(self.loaded.replay(1)?.as_secs_f64()))?;
        let row = median(span, || {
            Ok(self.loaded.replay(IN_A_ROW)?.as_secs_f64() / IN_A_ROW as f64)
        })?;
        let wall = median(span, || on_the_clock(|| self.loaded.launch()))?;
        let with_copies = median(span, || on_the_clock(|| self.run()))?;
        Ok(GraphTimes {
            mechanism: mechanism.name(),
            early_edges,
            microseconds: seconds * 1e6,
            in_a_row_us: row * 1e6,
            estimated_us: estimated,
            wall_ms: wall * 1e3,
            with_copies_ms: with_copies * 1e3,
            compared_runs: REPEATS,
            unequal_runs,
        })
    }

    fn run(&mut self) -> Result<(), CudaError> {
        let mut outputs: Vec<&mut [u8]> = self.outputs.iter_mut().map(|o| &mut o[..]).collect();
        self.loaded.run(&self.inputs, &mut outputs)
    }

    fn unequal_runs(&mut self) -> Result<usize, CudaError> {
        let mut unequal = 0;
        for _ in 0..REPEATS {
            self.loaded.poison()?;
            self.run()?;
            unequal += usize::from(self.outputs != self.expected);
        }
        Ok(unequal)
    }
}

/// Each launch alone.
fn launches(
    plan: &Plan,
    loaded: &mut ExecutionContext,
    estimate: Estimate,
) -> Result<Vec<LaunchTimes>, CudaError> {
    let mut best = vec![Duration::MAX; plan.launches.len()];
    for _ in 0..PROFILES {
        for (best, time) in best.iter_mut().zip(loaded.profile()?) {
            *best = time.min(*best);
        }
    }
    let line = |((launch, estimate), time): ((&Launch, LaunchEstimate), Duration)| LaunchTimes {
        name: launch.name.clone(),
        kernel: launch.kernel.name.clone(),
        choice: launch.choice.clone(),
        floor_us: estimate.floor_us,
        estimated_us: estimate.estimated_us,
        microseconds: time.as_secs_f64() * 1e6,
    };
    let launches = plan.launches.iter().zip(estimate.launches).zip(best);
    Ok(launches.map(line).collect())
}

fn words(batch: usize) -> u32 {
    u32::try_from(batch).unwrap_or(u32::MAX)
}

fn on_the_clock(work: impl FnOnce() -> Result<(), CudaError>) -> Result<f64, CudaError> {
    let clock = Instant::now();
    work()?;
    Ok(clock.elapsed().as_secs_f64())
}

/// The median of many measurements.
fn median(
    span: Duration,
    mut measure: impl FnMut() -> Result<f64, CudaError>,
) -> Result<f64, CudaError> {
    let mut values = Vec::new();
    let start = Instant::now();
    while values.len() < ROUNDS || start.elapsed() < span {
        values.push(measure()?);
    }
    values.sort_by(f64::total_cmp);
    Ok(values[values.len() / 2])
}
