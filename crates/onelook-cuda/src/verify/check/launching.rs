//! What it costs to launch one kernel after another: a chain of kernels that do nothing, under each
//! mechanism.

use std::fmt;
use std::time::Instant;

use onelook_ptx::emit;
use onelook_ptx::lang::{Builder, Feature, Kernel};
use serde::Serialize;

use super::{CheckError, Checker};
use crate::driver::{CudaError, Event, Function, Graph, Node, Stream};

/// Kernels of the chain.
const CHAIN: usize = 200;
/// Chains per figure; the quickest counts.
const ROUNDS: usize = 20;

/// What one kernel of a chain costs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Latency {
    /// How kernels are launched.
    pub mechanism: &'static str,
    /// From one kernel to the next on the GPU.
    pub microseconds: f64,
    /// What the CPU spends on one kernel.
    pub host_microseconds: f64,
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<28} {:.2} µs on the GPU, {:.2} µs of the CPU",
            self.mechanism, self.microseconds, self.host_microseconds
        )
    }
}

impl Checker<'_> {
    /// One line per mechanism that GPU and driver have.
    ///
    /// # Errors
    /// The driver refused.
    pub fn latencies(&self) -> Result<Vec<Latency>, CheckError> {
        let function = self.idle()?;
        let stream = Stream::new(self.context)?;
        let mut latencies = vec![self.in_stream("stream", &function, &stream, false)?];
        latencies.extend(self.in_graph("graph", &function, &stream, false)?);
        if self.gpu.target.has(Feature::BulkCopy) {
            let name = "stream, dependent launch";
            latencies.push(self.in_stream(name, &function, &stream, true)?);
            let name = "graph, dependent launch";
            latencies.extend(self.in_graph(name, &function, &stream, true)?);
        }
        Ok(latencies)
    }

    /// A kernel that waits for the one before it and does nothing.
    fn idle(&self) -> Result<Function, CudaError> {
        let k = Builder::new("idle", self.gpu.target, 128);
        k.grid_launch();
        k.grid_wait();
        self.load(&k.finish())
    }

    /// Has the driver take a kernel.
    pub(super) fn load(&self, kernel: &Kernel) -> Result<Function, CudaError> {
        let text = emit(kernel).map_err(|error| CudaError::Plan {
            launch: kernel.name.clone(),
            reason: error.to_string(),
        })?;
        Function::load(self.context, kernel, &text, self.cache)
    }

    fn in_stream(
        &self,
        mechanism: &'static str,
        function: &Function,
        stream: &Stream,
        dependent: bool,
    ) -> Result<Latency, CudaError> {
        let grid = [self.gpu.multiprocessors, 1, 1];
        self.chain(mechanism, stream, || {
            // SAFETY: the kernel has no parameters.
            (0..CHAIN).try_for_each(|_| unsafe { function.launch(stream, grid, &[], dependent) })
        })
    }

    /// None where the driver knows no edges of this kind.
    fn in_graph(
        &self,
        mechanism: &'static str,
        function: &Function,
        stream: &Stream,
        dependent: bool,
    ) -> Result<Option<Latency>, CudaError> {
        let grid = [self.gpu.multiprocessors, 1, 1];
        let mut graph = Graph::new(self.context)?;
        let mut last: Option<Node> = None;
        for _ in 0..CHAIN {
            let after = last.filter(|_| !dependent);
            // SAFETY: the kernel has no parameters, and `function` outlives the graph's launches.
            let node = unsafe { graph.add_launch(function, grid, &[], after.as_slice())? };
            if let (true, Some(last)) = (dependent, last)
                && !graph.add_dependent(last, node)?
            {
                return Ok(None);
            }
            last = Some(node);
        }
        let exec = graph.instantiate()?;
        exec.upload(stream)?;
        // SAFETY: the kernel has no parameters and accesses no memory; the function is borrowed.
        let latency = self.chain(mechanism, stream, || unsafe { exec.launch(stream) })?;
        Ok(Some(latency))
    }

    fn chain(
        &self,
        mechanism: &'static str,
        stream: &Stream,
        launch: impl Fn() -> Result<(), CudaError>,
    ) -> Result<Latency, CudaError> {
        let mut best = Latency {
            mechanism,
            microseconds: f64::INFINITY,
            host_microseconds: f64::INFINITY,
        };
        for _ in 0..ROUNDS {
            let clock = Instant::now();
            let device = self.timed(stream, &launch)?;
            // The host's part is what passed until the launches were in the stream.
            best.microseconds = best.microseconds.min(device.seconds * 1e6 / CHAIN as f64);
            let host = device.enqueued.duration_since(clock).as_secs_f64();
            best.host_microseconds = best.host_microseconds.min(host * 1e6 / CHAIN as f64);
        }
        Ok(best)
    }

    /// Puts work into the stream and waits: its time on the GPU.
    pub(super) fn timed(
        &self,
        stream: &Stream,
        work: impl FnOnce() -> Result<(), CudaError>,
    ) -> Result<Timed, CudaError> {
        let (start, end) = (Event::new(self.context)?, Event::new(self.context)?);
        start.record(stream)?;
        let worked = work();
        let enqueued = Instant::now();
        let ended = end.record(stream);
        let waited = stream.synchronize();
        worked.and(ended).and(waited)?;
        Ok(Timed {
            seconds: end.since(&start)?.as_secs_f64(),
            enqueued,
        })
    }
}

/// How long work took.
pub(super) struct Timed {
    /// On the GPU.
    pub(super) seconds: f64,
    /// When all of it was in the stream.
    pub(super) enqueued: Instant,
}
