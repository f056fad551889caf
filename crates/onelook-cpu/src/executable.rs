//! A compiled network: plans by input shape, one arena per picture at work.
//!
//! As many pictures as there are threads run side by side, a thread each, for that wastes nothing on
//! waiting at the end of every kernel; the rest of a batch runs one after the other on all threads.
//! Kernels give the same bits on any number of threads, so a picture's result cannot depend on the
//! batch. Calls from several threads take turns: each gets all cores.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use onelook_graph::{Executable, Explanation, Graph, GraphError, RunError};
use onelook_types::{Precision, Shape, Tensor};

use crate::isa::Isa;
use crate::kernels::AlignedBuffer;
use crate::lower::{Lowering, WeightCache};
use crate::plan::{Memory, Plan};
use crate::threads::ThreadPool;

/// Plans that are kept; the one unused for longest goes first.
const MAX_PLANS: usize = 64;

pub(crate) struct CpuExecutable {
    graph: Graph,
    isa: Isa,
    threads: Arc<ThreadPool>,
    memory_limit: usize,
    device: String,
    state: Mutex<State>,
}

/// Threads up to which pictures run side by side; a wide machine would wait long for such a batch.
const MAX_SIDE_BY_SIDE: usize = 8;

/// What a plan is for: the shapes of the inputs for one picture, and the threads at work on it.
type PlanKey = (Vec<Shape>, usize);

/// What runs change; whoever holds it runs.
#[derive(Default)]
struct State {
    plans: Vec<(PlanKey, Arc<Plan>)>,
    weights: WeightCache,
    arena: Option<AlignedBuffer>,
    scratch: Option<AlignedBuffer>,
}

impl CpuExecutable {
    pub(crate) fn new(
        graph: Graph,
        isa: Isa,
        threads: Arc<ThreadPool>,
        memory_limit: usize,
        device: String,
    ) -> Self {
        Self {
            graph,
            isa,
            threads,
            memory_limit,
            device,
            state: Mutex::default(),
        }
    }

    /// Every run leaves the state whole, a panicking one too: buffers are written before they are
    /// read.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The plan for one picture of these shapes on so many threads, made if need be.
    fn plan(&self, state: &mut State, key: PlanKey) -> Result<Arc<Plan>, RunError> {
        if let Some(index) = state.plans.iter().position(|(known, _)| *known == key) {
            let found = state.plans.remove(index);
            let plan = Arc::clone(&found.1);
            state.plans.push(found);
            return Ok(plan);
        }
        let lowering = Lowering::new(&self.graph, self.isa, key.1);
        let plan = Arc::new(lowering.plan(&key.0, self.memory_limit, &mut state.weights)?);
        if state.plans.len() == MAX_PLANS {
            state.plans.remove(0);
        }
        state.plans.push((key, Arc::clone(&plan)));
        Ok(plan)
    }

    /// Pictures that run side by side.
    fn side_by_side(&self) -> usize {
        match self.threads.threads() {
            threads if threads <= MAX_SIDE_BY_SIDE => threads,
            _ => 1,
        }
    }

    /// Runs every picture of the batch.
    fn run_batch(&self, inputs: &[&Tensor], outputs: &mut Vec<Tensor>) -> Result<(), RunError> {
        let (batch, shapes) = single_shapes(&self.graph, inputs)?;
        let mut state = self.lock();
        let mut first = 0;
        let together = self.side_by_side();
        if together > 1 && batch >= together {
            let plan = self.plan(&mut state, (shapes.clone(), 1))?;
            if plan
                .arena_floats
                .saturating_mul(together * size_of::<f32>())
                <= self.memory_limit
            {
                first = batch - batch % together;
                resize_outputs(outputs, &plan.outputs, batch);
                self.run_side_by_side(
                    &mut state,
                    &plan,
                    &Pictures::new(inputs, outputs, batch),
                    first,
                );
                check(&plan)?;
            }
        }
        if first < batch {
            let plan = self.plan(&mut state, (shapes, self.threads.threads()))?;
            resize_outputs(outputs, &plan.outputs, batch);
            let pictures = Pictures::new(inputs, outputs, batch);
            for picture in first..batch {
                self.run_on_all(&mut state, &plan, &pictures, picture, |_| ());
            }
            check(&plan)?;
        }
        Ok(())
    }

    /// Runs the pictures below `count`, each on one thread.
    fn run_side_by_side(&self, state: &mut State, plan: &Plan, pictures: &Pictures, count: usize) {
        let workers = self.threads.threads();
        let arena_floats = plan.arena_floats.next_multiple_of(LINE_FLOATS);
        let scratch_floats = plan.scratch_floats.next_multiple_of(LINE_FLOATS);
        let State { arena, scratch, .. } = state;
        let arena = Shared(at_least(arena, arena_floats * workers).as_mut_ptr());
        let scratch = Shared(at_least(scratch, scratch_floats * workers).as_mut_ptr());
        self.threads.run(count, &|picture, worker| {
            let (sources, targets) = pictures.of(picture);
            let memory = Memory {
                arena: arena.at(worker * arena_floats),
                scratch: scratch.at(worker * scratch_floats),
                scratch_floats,
                inputs: &sources,
                outputs: &targets,
            };
            for step in &plan.steps {
                for task in 0..step.tasks() {
                    // SAFETY: each worker has an arena and a scratch of the plan's extents to
                    // itself, each picture its inputs and outputs; tasks follow one another.
                    unsafe { step.run(&memory, task, 0) };
                }
            }
        });
    }

    /// Runs one picture on all threads; `after` is called after each step.
    fn run_on_all(
        &self,
        state: &mut State,
        plan: &Plan,
        pictures: &Pictures,
        picture: usize,
        mut after: impl FnMut(usize),
    ) {
        let State { arena, scratch, .. } = state;
        let scratch_floats = plan.scratch_floats;
        let (sources, targets) = pictures.of(picture);
        let memory = Memory {
            arena: at_least(arena, plan.arena_floats).as_mut_ptr(),
            scratch: at_least(scratch, scratch_floats * self.threads.threads()).as_mut_ptr(),
            scratch_floats,
            inputs: &sources,
            outputs: &targets,
        };
        for (index, step) in plan.steps.iter().enumerate() {
            // SAFETY: arena, scratch, inputs and outputs have the plan's extents; the pool runs
            // every task once, each worker one at a time, and returns when all have ended.
            self.threads.run(step.tasks(), &|task, worker| unsafe {
                step.run(&memory, task, worker)
            });
            after(index);
        }
    }
}

/// Fails when a step of the plan did.
fn check(plan: &Plan) -> Result<(), RunError> {
    match plan.take_failure() {
        None => Ok(()),
        Some(reason) => Err(RunError::Device(format!("the model failed: {reason}"))),
    }
}

/// Floats in a cache line: what belongs to two threads never shares one.
const LINE_FLOATS: usize = 16;

/// An address that several threads take parts of.
#[derive(Clone, Copy)]
struct Shared(*mut f32);

// SAFETY: an address only; whoever uses it takes a part that nobody else has.
unsafe impl Sync for Shared {}

impl Shared {
    fn at(&self, offset: usize) -> *mut f32 {
        self.0.wrapping_add(offset)
    }
}

/// Where the values of each picture of a batch lie: addresses of its first picture, and strides.
struct Pictures {
    inputs: Vec<(*const f32, usize)>,
    outputs: Vec<(*mut f32, usize)>,
}

// SAFETY: addresses only; each picture is run by one thread at a time, or read by all.
unsafe impl Sync for Pictures {}

impl Pictures {
    fn new(inputs: &[&Tensor], outputs: &mut [Tensor], batch: usize) -> Self {
        let inputs = inputs.iter().map(|input| {
            let data = input.data();
            (data.as_ptr(), data.len() / batch)
        });
        let outputs = outputs.iter_mut().map(|output| {
            let data = output.data_mut();
            let floats = data.len() / batch;
            (data.as_mut_ptr(), floats)
        });
        Self {
            inputs: inputs.collect(),
            outputs: outputs.collect(),
        }
    }

    /// The inputs and outputs of one picture.
    fn of(&self, picture: usize) -> (Vec<*const f32>, Vec<*mut f32>) {
        let source = |(data, floats): &(*const f32, usize)| data.wrapping_add(picture * floats);
        let target = |(data, floats): &(*mut f32, usize)| data.wrapping_add(picture * floats);
        (
            self.inputs.iter().map(source).collect(),
            self.outputs.iter().map(target).collect(),
        )
    }
}

impl Executable for CpuExecutable {
    fn run_into(&self, inputs: &[&Tensor], outputs: &mut Vec<Tensor>) -> Result<(), RunError> {
        self.run_batch(inputs, outputs)
    }

    fn preferred_batch(&self) -> usize {
        self.side_by_side()
    }

    fn explain(&self, inputs: &[Shape]) -> Result<Explanation, RunError> {
        let shapes = inputs.iter().map(single_shape).collect();
        let mut state = self.lock();
        let plan = self.plan(&mut state, (shapes, self.threads.threads()))?;
        Ok(Explanation {
            device: self.device.clone(),
            precision: Precision::F32,
            nodes: plan.listing.clone(),
            arena_bytes: plan.arena_floats * size_of::<f32>(),
            unshared_bytes: plan.unshared_bytes,
            weight_bytes: state.weights.bytes(),
        })
    }

    fn profile(&self, inputs: &[&Tensor]) -> Result<Vec<Duration>, RunError> {
        let (batch, shapes) = single_shapes(&self.graph, inputs)?;
        let mut state = self.lock();
        let plan = self.plan(&mut state, (shapes, self.threads.threads()))?;
        let mut outputs = Vec::new();
        resize_outputs(&mut outputs, &plan.outputs, batch);
        let pictures = Pictures::new(inputs, &mut outputs, batch);
        let mut times = vec![Duration::ZERO; plan.steps.len()];
        let mut last = Instant::now();
        for picture in 0..batch {
            self.run_on_all(&mut state, &plan, &pictures, picture, |step| {
                let now = Instant::now();
                times[step] += now - last;
                last = now;
            });
        }
        Ok(times)
    }
}

/// The batch, and the shapes of the inputs for one picture.
fn single_shapes(graph: &Graph, inputs: &[&Tensor]) -> Result<(usize, Vec<Shape>), RunError> {
    if inputs.len() != graph.inputs.len() {
        let error = GraphError::Inputs {
            expected: graph.inputs.len(),
            actual: inputs.len(),
        };
        return Err(error.into());
    }
    let batch = inputs
        .first()
        .and_then(|input| input.shape().first())
        .copied()
        .unwrap_or(1);
    let all: Vec<&Shape> = inputs.iter().map(|input| input.shape()).collect();
    if batch == 0
        || all
            .iter()
            .any(|shape| shape.first() != Some(&batch) || shape.contains(&0))
    {
        let reason = "all inputs must have the same batch and no empty axis";
        return Err(GraphError::shape("input", &all, reason).into());
    }
    Ok((batch, all.into_iter().map(single_shape).collect()))
}

fn single_shape(shape: &Shape) -> Shape {
    let mut extents = shape.to_vec();
    if let Some(batch) = extents.first_mut() {
        *batch = 1;
    }
    Shape::from(extents)
}

fn resize_outputs(outputs: &mut Vec<Tensor>, shapes: &[Shape], batch: usize) {
    outputs.resize(shapes.len(), Tensor::default());
    for (output, shape) in outputs.iter_mut().zip(shapes) {
        let mut extents = shape.to_vec();
        match extents.first_mut() {
            Some(first) => *first *= batch,
            None => extents.push(batch),
        }
        output.resize(&Shape::from(extents));
    }
}

/// The buffer, made anew if it is shorter.
fn at_least(buffer: &mut Option<AlignedBuffer>, floats: usize) -> &mut AlignedBuffer {
    if buffer.as_ref().is_none_or(|buffer| buffer.len() < floats) {
        *buffer = None;
    }
    buffer.get_or_insert_with(|| AlignedBuffer::zeroed(floats))
}
