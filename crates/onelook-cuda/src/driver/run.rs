//! A plan on a GPU: launches in, one CUDA graph out that runs them all in the order of their
//! dependencies.
//!
//! Memory is allocated and kernels are loaded once; a run copies the inputs in, launches the graph
//! and copies the outputs out. Never trusts the plan: each argument is checked against its region.

mod edges;
mod load;
mod regions;

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use super::{
    Context, CubinCache, CudaError, DeviceBuffer, Event, Function, GraphExec, PinnedBuffer, Stream,
    Value,
};
use crate::plan::{Argument, Launch, Plan};

pub use edges::Edges;

/// Constants on a GPU, shared by the plans of one model.
pub struct Constants(DeviceBuffer);

impl Constants {
    /// Brings them there.
    ///
    /// # Errors
    /// The GPU has no memory left for them.
    pub fn upload(context: &Arc<Context>, bytes: &[u8]) -> Result<Arc<Self>, CudaError> {
        let mut buffer = DeviceBuffer::new(context, bytes.len(), "the weights")?;
        buffer.write(0, bytes)?;
        Ok(Arc::new(Self(buffer)))
    }
}

/// Runs that take longer together than the CPU needs to launch each kernel of one.
const GRAPHS_AHEAD: usize = 8;

/// NaN in f16 and in f32, byte by byte.
const POISON: u8 = 0xff;

/// Bytes at first of an input whose size the caller decides.
const INITIAL_INPUT_BYTES: usize = 1 << 20;

/// A plan that is ready to run. One run at a time: it has one arena.
pub struct LoadedPlan {
    // Dropped in this order: what is launched goes before what it uses.
    exec: GraphExec,
    steps: Vec<PreparedLaunch>,
    stream: Stream,
    memory: Memory,
    plan: Plan,
    edges: Edges,
}

/// A launch with its values.
struct PreparedLaunch {
    function: Arc<Function>,
    grid: [u32; 3],
    values: Vec<Value>,
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

/// What the launches touch.
struct Memory {
    arena: DeviceBuffer,
    constants: Arc<Constants>,
    counters: DeviceBuffer,
    inputs: Vec<TransferBuffers>,
    outputs: Vec<TransferBuffers>,
}

impl LoadedPlan {
    /// Loads the plan's kernels, takes memory and builds the graph.
    /// `constants` are those of the plan, uploaded already if another plan has the same.
    ///
    /// # Errors
    /// The plan is inconsistent, the driver does not take a kernel, or memory runs out.
    pub fn new(
        context: &Arc<Context>,
        plan: &Plan,
        constants: Arc<Constants>,
        cache: Option<&CubinCache>,
    ) -> Result<Self, CudaError> {
        regions::check(plan, constants.0.bytes())?;
        let functions = load::functions(context, plan, cache)?;
        let memory = Memory::new(context, plan, constants)?;
        let steps = steps(plan, functions, &memory)?;
        let edges = Edges::default();
        let (graph, _) = edges::graph(context, plan, &steps, &memory.counters, edges)?;
        let exec = graph.instantiate()?;
        let stream = Stream::new(context)?;
        exec.upload(&stream)?;
        Ok(Self {
            exec,
            steps,
            stream,
            memory,
            plan: without_constants(plan),
            edges,
        })
    }

    /// Builds the graph anew with edges of this kind, on the same memory; how many of them let the
    /// later launch start early. After an error the edges are those of before.
    ///
    /// # Errors
    /// The driver refuses.
    pub fn connect(&mut self, edges: Edges) -> Result<usize, CudaError> {
        let context = Arc::clone(self.stream.context());
        let counters = &self.memory.counters;
        let (graph, early) = edges::graph(&context, &self.plan, &self.steps, counters, edges)?;
        let exec = graph.instantiate()?;
        exec.upload(&self.stream)?;
        self.stream.synchronize()?;
        self.exec = exec;
        self.edges = edges;
        Ok(early)
    }

    /// What is run; the constants are on the GPU only.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Runs it: fills each output from the inputs.
    ///
    /// # Errors
    /// Sizes differ from the plan's, or the GPU failed.
    pub fn run(&mut self, inputs: &[&[u8]], outputs: &mut [&mut [u8]]) -> Result<(), CudaError> {
        let lengths: Vec<usize> = inputs.iter().map(|input| input.len()).collect();
        same_lengths("inputs", &self.plan.inputs, lengths.iter().copied())?;
        let available = outputs.iter().map(|output| output.len());
        same_lengths("outputs", &self.plan.outputs, available)?;
        self.run_filled(&lengths, |index, buffer| {
            buffer.copy_from_slice(inputs[index])
        })?;
        for (index, output) in outputs.iter_mut().enumerate() {
            output.copy_from_slice(self.output(index));
        }
        Ok(())
    }

    /// Runs it on inputs of so many bytes, which `write` fills in: it gets each input's number and
    /// the pinned buffer that the GPU copies from, which still holds bytes of earlier runs.
    ///
    /// # Errors
    /// Sizes differ from the plan's, or the GPU failed.
    pub fn run_filled(
        &mut self,
        lengths: &[usize],
        mut write: impl FnMut(usize, &mut [u8]),
    ) -> Result<(), CudaError> {
        same_lengths("inputs", &self.plan.inputs, lengths.iter().copied())?;
        for (index, &bytes) in lengths.iter().enumerate() {
            self.grow_input(index, bytes)?;
            let buffer = self.memory.inputs[index].host.as_mut_slice();
            write(index, &mut buffer[..bytes]);
        }
        let enqueued = self.enqueue(lengths);
        // Even after an error nothing may still run when the buffers are accessed again.
        let waited = self.stream.synchronize();
        enqueued.and(waited)
    }

    /// An output of the last run; empty where the plan has no output of this number.
    pub fn output(&self, index: usize) -> &[u8] {
        let output = self.memory.outputs.get(index);
        output.map_or(&[], |exchange| exchange.host.as_slice())
    }

    /// Enlarges an input whose size the caller decides, and rebuilds the graph, which holds its
    /// address.
    fn grow_input(&mut self, input: usize, bytes: usize) -> Result<(), CudaError> {
        if bytes <= self.memory.inputs[input].host.bytes() {
            return Ok(());
        }
        let context = Arc::clone(self.stream.context());
        let rounded = bytes.checked_next_power_of_two().unwrap_or(bytes);
        let larger = TransferBuffers::new(&context, rounded, "images")?;
        let smaller = mem::replace(&mut self.memory.inputs[input], larger);
        let rebuilt = self.rebuild(&context);
        if rebuilt.is_err() {
            self.memory.inputs[input] = smaller;
        }
        rebuilt
    }

    fn rebuild(&mut self, context: &Arc<Context>) -> Result<(), CudaError> {
        let functions = self.steps.iter().map(|step| Arc::clone(&step.function));
        let steps = steps(&self.plan, functions.collect(), &self.memory)?;
        let counters = &self.memory.counters;
        let (graph, _) = edges::graph(context, &self.plan, &steps, counters, self.edges)?;
        self.exec = graph.instantiate()?;
        self.steps = steps;
        Ok(())
    }

    fn enqueue(&mut self, lengths: &[usize]) -> Result<(), CudaError> {
        for (input, &bytes) in self.memory.inputs.iter().zip(lengths) {
            // SAFETY: `self.memory` owns both buffers. `run_filled`, the only caller, has `self`
            // uniquely and synchronises the stream before it returns, also after an error.
            unsafe { self.stream.upload(&input.device, &input.host, bytes)? };
        }
        self.enqueue_graphs(1)?;
        for output in &mut self.memory.outputs {
            // SAFETY: `self.memory` owns both buffers, and `run_filled` synchronises the stream
            // before anyone can read the pinned bytes through `output`.
            unsafe { self.stream.download(&mut output.host, &output.device)? };
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
        // SAFETY: `self` owns the functions and buffers of every node (`launches`, `memory`), and a
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
        if self.plan.counter_bytes > 0 {
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

    /// The kernel of each launch.
    pub fn functions(&self) -> impl Iterator<Item = &Function> {
        self.steps.iter().map(|step| &*step.function)
    }
}

impl Drop for LoadedPlan {
    fn drop(&mut self) {
        // Memory goes back to the pool, which hands it out at once.
        let _ = self.stream.synchronize();
    }
}

impl Memory {
    fn new(
        context: &Arc<Context>,
        plan: &Plan,
        constants: Arc<Constants>,
    ) -> Result<Self, CudaError> {
        let exchanges = |sizes: &[usize], purpose| -> Result<Vec<TransferBuffers>, CudaError> {
            let size = |bytes| match bytes {
                Argument::WHOLE => INITIAL_INPUT_BYTES,
                bytes => bytes,
            };
            let new = |&bytes| TransferBuffers::new(context, size(bytes), purpose);
            sizes.iter().map(new).collect()
        };
        Ok(Self {
            arena: DeviceBuffer::new(context, plan.arena_bytes, "values between layers")?,
            constants,
            counters: DeviceBuffer::new(context, plan.counter_bytes, "counters")?,
            inputs: exchanges(&plan.inputs, "inputs")?,
            outputs: exchanges(&plan.outputs, "outputs")?,
        })
    }
}

/// The plan but for its largest part, which the GPU has.
fn without_constants(plan: &Plan) -> Plan {
    Plan {
        launches: plan.launches.clone(),
        arena_bytes: plan.arena_bytes,
        unshared_bytes: plan.unshared_bytes,
        constants: Vec::new(),
        counter_bytes: plan.counter_bytes,
        inputs: plan.inputs.clone(),
        outputs: plan.outputs.clone(),
    }
}

/// The launches with the addresses that they get.
fn steps(
    plan: &Plan,
    functions: Vec<Arc<Function>>,
    memory: &Memory,
) -> Result<Vec<PreparedLaunch>, CudaError> {
    let launches = plan.launches.iter().zip(functions);
    let step = |(launch, function): (&Launch, Arc<Function>)| {
        let values = launch
            .arguments
            .iter()
            .map(|argument| memory.value(argument));
        Ok(PreparedLaunch {
            function,
            grid: launch.grid,
            values: values.collect::<Result<_, CudaError>>()?,
        })
    };
    launches.map(step).collect()
}

fn same_lengths(
    what: &str,
    planned: &[usize],
    given: impl Iterator<Item = usize>,
) -> Result<(), CudaError> {
    let given: Vec<usize> = given.collect();
    let same =
        |(&planned, &given): (&usize, &usize)| planned == given || planned == Argument::WHOLE;
    if planned.len() == given.len() && planned.iter().zip(&given).all(same) {
        return Ok(());
    }
    Err(CudaError::Plan {
        launch: what.to_owned(),
        reason: format!("{given:?} bytes were given, the plan has {planned:?}"),
    })
}
