//! A compiled network: plans by input shape, one arena per image at work.
//!
//! As many images as there are threads run side by side, a thread each, because that wastes nothing on
//! waiting at the end of every kernel; the rest of a batch runs one after the other on all threads.
//! Kernels give the same bits on any number of threads, so an image's result cannot depend on the
//! batch. Calls from several threads take turns: each gets all cores.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use onelook_graph::{
    Ceiling, Executable, Explanation, Graph, PlanKind, Prepared, RunError, RunOutput, tensor_items,
};
use onelook_types::{Precision, Shape, Tensor};

use crate::ceiling;
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
    precision: Precision,
    threads: Arc<ThreadPool>,
    memory_limit: usize,
    device: String,
    state: Mutex<State>,
}

/// Threads up to which images run side by side; a wide machine would wait long for such a batch.
const MAX_SIDE_BY_SIDE: usize = 8;

/// What a plan is for: the shapes of the inputs for one image, and the threads at work on it.
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
        precision: Precision,
        threads: Arc<ThreadPool>,
        memory_limit: usize,
        device: String,
    ) -> Self {
        Self {
            graph,
            isa,
            precision,
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

    /// The plan for one image of these shapes on so many threads, made if need be.
    fn plan(&self, state: &mut State, key: PlanKey) -> Result<Arc<Plan>, RunError> {
        if let Some(index) = state.plans.iter().position(|(known, _)| *known == key) {
            let found = state.plans.remove(index);
            let plan = Arc::clone(&found.1);
            state.plans.push(found);
            return Ok(plan);
        }
        let lowering = Lowering::new(&self.graph, self.isa, self.precision, key.1);
        let plan = Arc::new(lowering.plan(&key.0, self.memory_limit, &mut state.weights)?);
        if state.plans.len() == MAX_PLANS {
            state.plans.remove(0);
        }
        state.plans.push((key, Arc::clone(&plan)));
        Ok(plan)
    }

    /// Images that run side by side.
    fn side_by_side(&self) -> usize {
        match self.threads.threads() {
            threads if threads <= MAX_SIDE_BY_SIDE => threads,
            _ => 1,
        }
    }

    /// Runs every image of the batch.
    fn run_batch(&self, batch: &[Prepared<'_>]) -> Result<Vec<Tensor>, RunError> {
        let items = tensor_items(batch, self.graph.inputs.len())?;
        let (count, shapes) = single_shapes(&items);
        let mut state = self.lock();
        let mut first = 0;
        let mut outputs = Vec::new();
        let together = self.side_by_side();
        if together > 1 && count >= together {
            let plan = self.plan(&mut state, (shapes.clone(), 1))?;
            let bytes = plan.arena_words.saturating_mul(together * size_of::<f32>());
            if bytes <= self.memory_limit {
                first = count - count % together;
                outputs = zeroed_outputs(&plan.outputs, count);
                let images = Images::new(&items, &mut outputs, count);
                self.run_side_by_side(&mut state, &plan, &images, first);
                check(&plan)?;
            }
        }
        if first < count {
            let plan = self.plan(&mut state, (shapes, self.threads.threads()))?;
            if outputs.is_empty() {
                outputs = zeroed_outputs(&plan.outputs, count);
            }
            let images = Images::new(&items, &mut outputs, count);
            for image in first..count {
                self.run_on_all(&mut state, &plan, &images, image, |_| ());
            }
            check(&plan)?;
        }
        Ok(outputs)
    }

    /// Runs the images below `count`, each on one thread.
    fn run_side_by_side(&self, state: &mut State, plan: &Plan, images: &Images, count: usize) {
        let workers = self.threads.threads();
        let arena_words = plan.arena_words.next_multiple_of(LINE_FLOATS);
        let scratch_floats = plan.scratch_floats.next_multiple_of(LINE_FLOATS);
        let State { arena, scratch, .. } = state;
        let arena = Shared(at_least(arena, arena_words * workers).as_mut_ptr());
        let scratch = Shared(at_least(scratch, scratch_floats * workers).as_mut_ptr());
        self.threads.run(count, &|image, worker| {
            let (sources, targets) = images.of(image);
            let memory = Memory {
                arena: arena.at(worker * arena_words),
                scratch: scratch.at(worker * scratch_floats),
                scratch_floats,
                inputs: sources,
                outputs: &targets,
            };
            for step in &plan.steps {
                for task in 0..step.tasks() {
                    // SAFETY: each worker has an arena and a scratch of the plan's extents to
                    // itself, each image its inputs and outputs; tasks follow one another.
                    unsafe { step.run(&memory, task, 0) };
                }
            }
        });
    }

    /// Runs one image on all threads; `after` is called after each step.
    fn run_on_all(
        &self,
        state: &mut State,
        plan: &Plan,
        images: &Images,
        image: usize,
        mut after: impl FnMut(usize),
    ) {
        let State { arena, scratch, .. } = state;
        let scratch_floats = plan.scratch_floats;
        let (sources, targets) = images.of(image);
        let memory = Memory {
            arena: at_least(arena, plan.arena_words).as_mut_ptr(),
            scratch: at_least(scratch, scratch_floats * self.threads.threads()).as_mut_ptr(),
            scratch_floats,
            inputs: sources,
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

/// Where the values of each image of a batch lie.
struct Images {
    /// By image, an address per input of the graph.
    inputs: Vec<Vec<*const f32>>,
    /// By output of the graph, the address of the first image's values and their number per image.
    outputs: Vec<(*mut f32, usize)>,
}

// SAFETY: addresses only; each image is run by one thread at a time, or read by all.
unsafe impl Sync for Images {}

impl Images {
    /// The outputs hold `count` images, as many as the items have together.
    fn new(items: &[&[Tensor]], outputs: &mut [Tensor], count: usize) -> Self {
        let images = items.iter().flat_map(|item| {
            let rows = item[0].shape()[0];
            (0..rows).map(move |row| {
                let of_input = |input: &Tensor| {
                    let values = input.data().len() / rows;
                    input.data()[row * values..][..values].as_ptr()
                };
                item.iter().map(of_input).collect()
            })
        });
        let outputs = outputs.iter_mut().map(|output| {
            let data = output.data_mut();
            let floats = data.len() / count;
            (data.as_mut_ptr(), floats)
        });
        Self {
            inputs: images.collect(),
            outputs: outputs.collect(),
        }
    }

    /// The inputs and outputs of one image.
    fn of(&self, image: usize) -> (&[*const f32], Vec<*mut f32>) {
        let target = |(data, floats): &(*mut f32, usize)| data.wrapping_add(image * floats);
        (
            &self.inputs[image],
            self.outputs.iter().map(target).collect(),
        )
    }
}

impl Executable for CpuExecutable {
    fn run(&self, batch: &[Prepared<'_>]) -> Result<RunOutput, RunError> {
        self.run_batch(batch).map(RunOutput::Raw)
    }

    fn preferred_batch(&self) -> usize {
        self.side_by_side()
    }

    fn explain(&self, kind: PlanKind, inputs: &[Shape]) -> Result<Explanation, RunError> {
        kind.expect_tensor()?;
        let shapes = inputs.iter().map(single_shape).collect();
        let mut state = self.lock();
        let plan = self.plan(&mut state, (shapes, self.threads.threads()))?;
        Ok(Explanation {
            device: self.device.clone(),
            kind,
            precision: self.precision,
            nodes: plan.listing.clone(),
            arena_bytes: plan.arena_words * size_of::<f32>(),
            unshared_bytes: plan.unshared_bytes,
            weight_bytes: state.weights.bytes(),
            modules: None,
        })
    }

    fn profile(&self, batch: &[Prepared<'_>]) -> Result<Vec<Duration>, RunError> {
        let items = tensor_items(batch, self.graph.inputs.len())?;
        let (count, shapes) = single_shapes(&items);
        let mut state = self.lock();
        let plan = self.plan(&mut state, (shapes, self.threads.threads()))?;
        let mut outputs = zeroed_outputs(&plan.outputs, count);
        let images = Images::new(&items, &mut outputs, count);
        let mut times = vec![Duration::ZERO; plan.steps.len()];
        let mut last = Instant::now();
        for image in 0..count {
            self.run_on_all(&mut state, &plan, &images, image, |step| {
                let now = Instant::now();
                times[step] += now - last;
                last = now;
            });
        }
        Ok(times)
    }

    fn ceiling(&self) -> Option<Ceiling> {
        // Of other products it is not known.
        (self.precision == Precision::F32).then(|| Ceiling {
            path: format!("{} {}", self.isa.name(), Precision::F32),
            gflops: ceiling::measure_f32(self.isa, &self.threads),
        })
    }
}

/// The number of images, and the shapes of the inputs for one of them.
fn single_shapes(items: &[&[Tensor]]) -> (usize, Vec<Shape>) {
    let count = items.iter().map(|item| item[0].shape()[0]).sum();
    let shapes = items[0].iter().map(|input| single_shape(input.shape()));
    (count, shapes.collect())
}

fn single_shape(shape: &Shape) -> Shape {
    let mut extents = shape.to_vec();
    if let Some(batch) = extents.first_mut() {
        *batch = 1;
    }
    Shape::from(extents)
}

/// Outputs of so many images, given their shapes for one.
fn zeroed_outputs(shapes: &[Shape], count: usize) -> Vec<Tensor> {
    let zeroed = |shape: &Shape| {
        let mut extents = shape.to_vec();
        match extents.first_mut() {
            Some(first) => *first *= count,
            None => extents.push(count),
        }
        Tensor::zeros(extents)
    };
    shapes.iter().map(zeroed).collect()
}

/// The buffer, made anew if it is shorter.
fn at_least(buffer: &mut Option<AlignedBuffer>, floats: usize) -> &mut AlignedBuffer {
    if buffer.as_ref().is_none_or(|buffer| buffer.len() < floats) {
        *buffer = None;
    }
    buffer.get_or_insert_with(|| AlignedBuffer::zeroed(floats))
}
