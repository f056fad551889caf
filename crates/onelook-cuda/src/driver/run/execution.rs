//! What one run of a plan at a time needs for itself: a stream, memory, pinned buffers, and the CUDA
//! graph that names them.
//!
//! Inputs come in, outputs go out: a run copies the inputs to the GPU, launches the graph and copies the
//! outputs back, all in the context's own stream. Runs of different contexts overlap; nothing here takes
//! a lock.

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use super::super::{
    Context, CudaError, DeviceBuffer, Event, Function, GraphExec, PinnedBuffer, Stream,
};
use super::edges::PreparedLaunch;
use super::{Constants, Edges, LoadedPlan, edges, regions};
use crate::plan::{Argument, Launch, Plan, Regions};

/// Runs that take longer together than the CPU needs to launch each kernel of one.
const GRAPHS_AHEAD: usize = 8;

/// NaN in f16 and in f32, byte by byte.
const POISON: u8 = 0xff;

/// Bytes at first of an input whose size the caller decides.
const INITIAL_INPUT_BYTES: usize = 1 << 20;

/// One run of a plan at a time: an arena, inputs and outputs, and the graph that names them.
pub struct ExecutionContext {
    // Dropped in this order: what is launched goes before what it uses.
    exec: GraphExec,
    steps: Vec<PreparedLaunch>,
    stream: Stream,
    memory: Memory,
    /// Owns the functions and the constants that the graph's nodes name.
    loaded: Arc<LoadedPlan>,
    edges: Edges,
}

/// Memory of the GPU and the pinned bytes that are copied to or from it.
struct TransferBuffers {
    device: DeviceBuffer,
    host: PinnedBuffer,
}

impl TransferBuffers {
    fn new(context: &Arc<Context>, bytes: usize, purpose: &str) -> Result<Self, CudaError> {
        Ok(Self {
            device: DeviceBuffer::new(context, bytes, purpose)?,
            host: PinnedBuffer::new(context, bytes)?,
        })
    }
}

/// What the launches touch, but for the constants.
pub(super) struct Memory {
    arena: DeviceBuffer,
    counters: DeviceBuffer,
    inputs: Vec<TransferBuffers>,
    outputs: Vec<TransferBuffers>,
}

impl ExecutionContext {
    /// Takes memory and builds the graph.
    ///
    /// # Errors
    /// The driver refuses, or memory runs out.
    pub fn new(loaded: &Arc<LoadedPlan>) -> Result<Self, CudaError> {
        let (context, plan) = (&loaded.context, &loaded.plan);
        let memory = Memory::new(context, plan)?;
        let steps = steps(loaded, &memory)?;
        let edges = Edges::default();
        let (graph, _) = edges::graph(context, plan, &steps, &memory.counters, edges)?;
        let exec = graph.instantiate()?;
        let stream = Stream::new(context)?;
        exec.upload(&stream)?;
        let new = Self {
            exec,
            steps,
            stream,
            memory,
            loaded: Arc::clone(loaded),
            edges,
        };
        let planned = plan.inputs.iter().zip(&new.memory.inputs);
        for (_, input) in planned.filter(|(bytes, _)| **bytes != Argument::WHOLE) {
            // SAFETY: `new.memory` owns the buffer. Whatever else accesses it comes later in the
            // same stream, which `drop` synchronises before the buffer goes.
            unsafe { new.stream.clear(&input.device)? };
        }
        Ok(new)
    }

    /// Bytes that a context of this plan takes at first: device memory and pinned memory.
    pub fn expected_bytes(plan: &Plan) -> usize {
        let transfers = plan.inputs.iter().chain(&plan.outputs);
        let twice = transfers.map(|&bytes| initial_bytes(bytes).saturating_mul(2));
        twice.fold(plan.arena_bytes + plan.counter_bytes, usize::saturating_add)
    }

    /// Bytes of device memory and of pinned memory that it has.
    pub fn bytes(&self) -> usize {
        let memory = &self.memory;
        let transfers = memory.inputs.iter().chain(&memory.outputs);
        let twice = transfers.map(|buffers| buffers.device.bytes() + buffers.host.bytes());
        memory.arena.bytes() + memory.counters.bytes() + twice.sum::<usize>()
    }

    /// Builds the graph anew with edges of this kind, on the same memory; how many of them let the
    /// later launch start early. After an error the edges are those of before.
    ///
    /// # Errors
    /// The driver refuses.
    pub fn connect(&mut self, edges: Edges) -> Result<usize, CudaError> {
        let (context, plan) = (&self.loaded.context, &self.loaded.plan);
        let counters = &self.memory.counters;
        let (graph, early) = edges::graph(context, plan, &self.steps, counters, edges)?;
        let exec = graph.instantiate()?;
        exec.upload(&self.stream)?;
        self.stream.synchronize()?;
        self.exec = exec;
        self.edges = edges;
        Ok(early)
    }

    /// What is run; the constants are on the GPU only.
    pub fn plan(&self) -> &Plan {
        &self.loaded.plan
    }

    /// Runs it: fills each output from the inputs.
    ///
    /// # Errors
    /// Sizes differ from the plan's, or the GPU failed.
    pub fn run(&mut self, inputs: &[&[u8]], outputs: &mut [&mut [u8]]) -> Result<(), CudaError> {
        let planned = &self.loaded.plan;
        let lengths: Vec<usize> = inputs.iter().map(|input| input.len()).collect();
        let available: Vec<usize> = outputs.iter().map(|output| output.len()).collect();
        check_lengths("inputs", &planned.inputs, &lengths, |planned, given| {
            planned == given
        })?;
        check_lengths("outputs", &planned.outputs, &available, |planned, given| {
            planned == given
        })?;
        self.run_filled(&lengths, &available, |index, buffer| {
            buffer.copy_from_slice(inputs[index])
        })?;
        for (index, output) in outputs.iter_mut().enumerate() {
            output.copy_from_slice(self.output(index));
        }
        Ok(())
    }

    /// Runs it on inputs of so many bytes, which `write` fills in: it gets each input's number and
    /// the pinned buffer that the GPU copies from, which still holds bytes of earlier runs. Of each
    /// output the first bytes, so many, are copied back.
    ///
    /// Fewer bytes than the plan's are the first images of a batch: what is behind them on the GPU is
    /// zero or of earlier runs.
    ///
    /// # Errors
    /// There are more bytes than the plan's, or the GPU failed.
    pub fn run_filled(
        &mut self,
        inputs: &[usize],
        outputs: &[usize],
        mut write: impl FnMut(usize, &mut [u8]),
    ) -> Result<(), CudaError> {
        let planned = &self.loaded.plan.outputs;
        check_lengths("outputs", planned, outputs, |planned, given| {
            given <= planned
        })?;
        self.reserve(inputs)?;
        for (index, &bytes) in inputs.iter().enumerate() {
            let buffer = self.memory.inputs[index].host.as_mut_slice();
            write(index, &mut buffer[..bytes]);
        }
        let enqueued = self.enqueue(inputs, outputs);
        // Even after an error nothing may still run when the buffers are accessed again.
        let waited = self.stream.synchronize();
        enqueued.and(waited)
    }

    /// An output of the last run; empty where the plan has no output of this number.
    pub fn output(&self, index: usize) -> &[u8] {
        let output = self.memory.outputs.get(index);
        output.map_or(&[], |exchange| exchange.host.as_slice())
    }

    /// Makes sure that inputs whose size the caller decides have so many bytes each.
    ///
    /// # Errors
    /// Memory runs out, or the driver refuses; what there was stays.
    pub fn reserve(&mut self, inputs: &[usize]) -> Result<(), CudaError> {
        let planned = &self.loaded.plan.inputs;
        check_lengths("inputs", planned, inputs, |planned, given| given <= planned)?;
        let mut inputs = inputs.iter().enumerate();
        inputs.try_for_each(|(index, &bytes)| self.grow_input(index, bytes))
    }

    /// Enlarges an input whose size the caller decides, and rebuilds the graph, which holds its
    /// address.
    fn grow_input(&mut self, input: usize, bytes: usize) -> Result<(), CudaError> {
        if bytes <= self.memory.inputs[input].host.bytes() {
            return Ok(());
        }
        let rounded = bytes.checked_next_power_of_two().unwrap_or(bytes);
        let larger = TransferBuffers::new(&self.loaded.context, rounded, "images")?;
        let smaller = mem::replace(&mut self.memory.inputs[input], larger);
        let rebuilt = self.rebuild();
        if rebuilt.is_err() {
            self.memory.inputs[input] = smaller;
        }
        rebuilt
    }

    fn rebuild(&mut self) -> Result<(), CudaError> {
        let (context, plan) = (&self.loaded.context, &self.loaded.plan);
        let steps = steps(&self.loaded, &self.memory)?;
        let counters = &self.memory.counters;
        let (graph, _) = edges::graph(context, plan, &steps, counters, self.edges)?;
        self.exec = graph.instantiate()?;
        self.steps = steps;
        Ok(())
    }

    fn enqueue(&mut self, inputs: &[usize], outputs: &[usize]) -> Result<(), CudaError> {
        for (input, &bytes) in self.memory.inputs.iter().zip(inputs) {
            // SAFETY: `self.memory` owns both buffers. `run_filled`, the only caller, has `self`
            // uniquely and synchronises the stream before it returns, also after an error.
            unsafe { self.stream.upload(&input.device, &input.host, bytes)? };
        }
        self.enqueue_graphs(1)?;
        for (output, &bytes) in self.memory.outputs.iter_mut().zip(outputs) {
            // SAFETY: `self.memory` owns both buffers, and `run_filled` synchronises the stream
            // before anyone can read the pinned bytes through `output`.
            unsafe {
                self.stream
                    .download(&mut output.host, &output.device, bytes)?
            };
        }
        Ok(())
    }

    /// Launches the graph on the inputs of the last run and waits. Copies nothing.
    ///
    /// # Errors
    /// The GPU failed.
    pub fn launch(&mut self) -> Result<(), CudaError> {
        let launched = self.enqueue_graphs(1);
        let waited = self.stream.synchronize();
        launched.and(waited)
    }

    /// The GPU's time for so many launches of the graph in a row on the inputs of the last run. One
    /// more goes ahead: what the CPU takes to launch them is no part of it.
    ///
    /// # Errors
    /// The GPU failed.
    pub fn replay(&mut self, times: usize) -> Result<Duration, CudaError> {
        let context = self.stream.context();
        let (start, end) = (Event::new(context)?, Event::new(context)?);
        let launched = self
            .enqueue_graphs(1)
            .and_then(|()| start.record(&self.stream))
            .and_then(|()| self.enqueue_graphs(times))
            .and_then(|()| end.record(&self.stream));
        let waited = self.stream.synchronize();
        launched.and(waited)?;
        end.since(&start)
    }

    fn enqueue_graphs(&self, times: usize) -> Result<(), CudaError> {
        // SAFETY: `self` owns the functions and buffers of every node (`loaded`, `memory`), and a
        // rebuilt graph replaces `exec` before the buffers it named are dropped. The callers have
        // `self` uniquely and synchronise the stream before they return.
        (0..times).try_for_each(|_| unsafe { self.exec.launch(&self.stream) })
    }

    /// Fills all that a run writes with NaN, so that what it leaves unwritten shows.
    ///
    /// # Errors
    /// The GPU failed.
    pub fn poison(&mut self) -> Result<(), CudaError> {
        let memory = &mut self.memory;
        let outputs = memory.outputs.iter_mut().map(|output| &mut output.device);
        [&mut memory.arena, &mut memory.counters]
            .into_iter()
            .chain(outputs)
            .try_for_each(|buffer| buffer.fill(POISON))
    }

    /// Runs the launches one after the other on the inputs of the last run; the GPU's time of each.
    ///
    /// # Errors
    /// The GPU failed.
    pub fn profile(&mut self) -> Result<Vec<Duration>, CudaError> {
        let new = |_| Event::new(self.stream.context());
        let marks: Vec<Event> = (0..=self.steps.len()).map(new).collect::<Result<_, _>>()?;
        // Graphs ahead keep the GPU busy until all launches wait in the stream: it never waits for
        // the CPU, whose time for a launch is longer than many a kernel's.
        let enqueued = self
            .enqueue_graphs(GRAPHS_AHEAD)
            .and_then(|()| self.enqueue_marked(&marks));
        let waited = self.stream.synchronize();
        enqueued.and(waited)?;
        marks
            .windows(2)
            .map(|pair| pair[1].since(&pair[0]))
            .collect()
    }

    fn enqueue_marked(&self, marks: &[Event]) -> Result<(), CudaError> {
        if self.loaded.plan.counter_bytes > 0 {
            // SAFETY: `self.memory` owns the counters; `profile`, the only caller, has `self`
            // uniquely and synchronises the stream before it returns.
            unsafe { self.stream.clear(&self.memory.counters)? };
        }
        marks[0].record(&self.stream)?;
        for (step, mark) in self.steps.iter().zip(&marks[1..]) {
            // SAFETY: the addresses lie in buffers that `self.memory` owns; `regions::check` proved
            // that each argument's bytes lie in its region, and the plan's grid is the one that the
            // kernel was lowered for. `profile` has `self` uniquely and synchronises the stream.
            unsafe {
                step.function
                    .launch(&self.stream, step.grid, &step.values, false)?
            };
            mark.record(&self.stream)?;
        }
        Ok(())
    }
}

impl Drop for ExecutionContext {
    fn drop(&mut self) {
        // Memory goes back to the pool, which hands it out at once.
        let _ = self.stream.synchronize();
    }
}

impl Memory {
    fn new(context: &Arc<Context>, plan: &Plan) -> Result<Self, CudaError> {
        let transfers = |sizes: &[usize], purpose| -> Result<Vec<TransferBuffers>, CudaError> {
            let new = |&bytes| TransferBuffers::new(context, initial_bytes(bytes), purpose);
            sizes.iter().map(new).collect()
        };
        Ok(Self {
            arena: DeviceBuffer::new(context, plan.arena_bytes, "values between layers")?,
            counters: DeviceBuffer::new(context, plan.counter_bytes, "counters")?,
            inputs: transfers(&plan.inputs, "inputs")?,
            outputs: transfers(&plan.outputs, "outputs")?,
        })
    }

    /// Where each region is.
    pub(super) fn regions<'a>(&'a self, constants: &'a Constants) -> Regions<&'a DeviceBuffer> {
        Regions {
            arena: &self.arena,
            constants: &constants.0,
            counters: &self.counters,
            inputs: self.inputs.iter().map(|input| &input.device).collect(),
            outputs: self.outputs.iter().map(|output| &output.device).collect(),
        }
    }
}

/// Bytes at first of an input or output that the plan says to have so many.
fn initial_bytes(planned: usize) -> usize {
    match planned {
        Argument::WHOLE => INITIAL_INPUT_BYTES,
        bytes => bytes,
    }
}

/// The launches with the addresses that they get.
fn steps(loaded: &LoadedPlan, memory: &Memory) -> Result<Vec<PreparedLaunch>, CudaError> {
    let regions = memory.regions(&loaded.constants);
    let launches = loaded.plan.launches.iter().zip(&loaded.functions);
    let step = |(launch, function): (&Launch, &Arc<Function>)| {
        let arguments = launch.arguments.iter();
        let values = arguments.map(|argument| regions::value(&regions, argument));
        Ok(PreparedLaunch {
            function: Arc::clone(function),
            grid: launch.grid,
            values: values.collect::<Result<_, CudaError>>()?,
        })
    };
    launches.map(step).collect()
}

/// Refuses lengths of which one does not fit what is planned.
fn check_lengths(
    what: &str,
    planned: &[usize],
    given: &[usize],
    fits: impl Fn(usize, usize) -> bool,
) -> Result<(), CudaError> {
    let fits =
        |(&planned, &given): (&usize, &usize)| planned == Argument::WHOLE || fits(planned, given);
    if planned.len() == given.len() && planned.iter().zip(given).all(fits) {
        return Ok(());
    }
    Err(CudaError::Plan {
        launch: what.to_owned(),
        reason: format!("{given:?} bytes were given, the plan has {planned:?}"),
    })
}
