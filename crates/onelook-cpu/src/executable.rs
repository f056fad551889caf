//! A compiled network: plans by input shape, one arena, runs picture by picture.
//!
//! Pictures of a batch run one after the other through the same plan, so that a picture's result
//! cannot depend on the batch, and its maps stay in the caches. Calls from several threads take
//! turns: each gets all cores.

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

/// What runs change; whoever holds it runs.
#[derive(Default)]
struct State {
    plans: Vec<(Vec<Shape>, Arc<Plan>)>,
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

    /// The plan for one picture of these shapes, made if need be.
    fn plan(&self, state: &mut State, shapes: Vec<Shape>) -> Result<Arc<Plan>, RunError> {
        if let Some(index) = state.plans.iter().position(|(known, _)| *known == shapes) {
            let found = state.plans.remove(index);
            let plan = Arc::clone(&found.1);
            state.plans.push(found);
            return Ok(plan);
        }
        let lowering = Lowering::new(&self.graph, self.isa, self.threads.threads());
        let plan = Arc::new(lowering.plan(&shapes, self.memory_limit, &mut state.weights)?);
        if state.plans.len() == MAX_PLANS {
            state.plans.remove(0);
        }
        state.plans.push((shapes, Arc::clone(&plan)));
        Ok(plan)
    }

    /// Runs every picture of the batch; `after` is called after each step.
    fn run_batch(
        &self,
        inputs: &[&Tensor],
        outputs: &mut Vec<Tensor>,
        mut after: impl FnMut(usize),
    ) -> Result<(), RunError> {
        let (batch, shapes) = single_shapes(&self.graph, inputs)?;
        let mut state = self.lock();
        let plan = self.plan(&mut state, shapes)?;
        resize_outputs(outputs, &plan.outputs, batch);
        let State { arena, scratch, .. } = &mut *state;
        let arena = at_least(arena, plan.arena_floats).as_mut_ptr();
        let scratch_floats = plan.scratch_floats;
        let scratch = at_least(scratch, scratch_floats * self.threads.threads()).as_mut_ptr();
        let mut sources = vec![std::ptr::null(); inputs.len()];
        let mut targets = vec![std::ptr::null_mut(); outputs.len()];
        for picture in 0..batch {
            for (source, input) in sources.iter_mut().zip(inputs) {
                let floats = input.data().len() / batch;
                *source = input.data()[picture * floats..].as_ptr();
            }
            for (target, output) in targets.iter_mut().zip(outputs.iter_mut()) {
                let floats = output.data().len() / batch;
                *target = output.data_mut()[picture * floats..].as_mut_ptr();
            }
            let memory = Memory {
                arena,
                scratch,
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
        Ok(())
    }
}

impl Executable for CpuExecutable {
    fn run_into(&self, inputs: &[&Tensor], outputs: &mut Vec<Tensor>) -> Result<(), RunError> {
        self.run_batch(inputs, outputs, |_| ())
    }

    fn explain(&self, inputs: &[Shape]) -> Result<Explanation, RunError> {
        let shapes = inputs.iter().map(single_shape).collect();
        let mut state = self.lock();
        let plan = self.plan(&mut state, shapes)?;
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
        let mut times: Vec<Duration> = Vec::new();
        let mut last = Instant::now();
        self.run_batch(inputs, &mut Vec::new(), |step| {
            let now = Instant::now();
            times.resize(times.len().max(step + 1), Duration::ZERO);
            times[step] += now - last;
            last = now;
        })?;
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
