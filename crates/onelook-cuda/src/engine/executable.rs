//! A compiled network on a GPU: a plan per kind and shape of the input, each a graph of launches with
//! an arena of its own, made at the first run with that shape.
//!
//! Calls from several threads take turns. Where memory runs out, plans that are not in use go.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use onelook_graph::{
    Executable, Explanation, Graph, GraphError, PlacedImage, PlacedLimits, PlanKind, Prepared,
    RunError, RunOutput, infer_shapes, tensor_items,
};
use onelook_types::{DetectHead, Shape, Tensor};
use sha2::{Digest, Sha256};

use super::Cuda;
use super::explain::explanation;
use super::image_batch::ImageBatch;
use crate::driver::{Constants, CudaError, LoadedPlan};
use crate::lower::{LowerError, Options, lower};
use crate::plan::Plan;
use crate::settings::MAX_ROWS;

/// Images of more bytes than this are made smaller before they go to the GPU.
const MAX_IMAGE_BYTES: usize = 64 << 20;

/// Plans that are kept; the one unused for longest goes first.
const MAX_PLANS: usize = 16;

/// Images in one run from which a GPU gains.
const PREFERRED_BATCH: usize = 8;

pub(super) struct CudaExecutable {
    cuda: Cuda,
    graph: Graph,
    lowering: Options<'static>,
    /// Where images may come in and predictions go out.
    head: Option<DetectHead>,
    state: Mutex<PlanCache>,
}

/// What runs change; whoever holds it runs.
#[derive(Default)]
struct PlanCache {
    /// The one used last comes last.
    plans: Vec<ReadyPlan>,
    /// Weights as plans packed them, by their sum: tiles of another shape may pack them otherwise.
    constants: Vec<([u8; 32], Arc<Constants>)>,
}

/// Why there is no plan to run.
enum Unready {
    Lower(LowerError),
    Cuda(CudaError),
}

impl From<Unready> for RunError {
    fn from(unready: Unready) -> Self {
        match unready {
            Unready::Lower(LowerError::Graph(error)) => Self::Graph(error),
            Unready::Lower(error) => Self::Device(error.to_string()),
            Unready::Cuda(error) => Self::Device(error.to_string()),
        }
    }
}

struct ReadyPlan {
    kind: PlanKind,
    input: Shape,
    loaded: LoadedPlan,
    /// Of the graph's outputs.
    outputs: Vec<Shape>,
}

impl CudaExecutable {
    pub fn new(
        cuda: Cuda,
        graph: Graph,
        lowering: Options<'static>,
        head: Option<DetectHead>,
    ) -> Self {
        Self {
            cuda,
            graph,
            lowering,
            head,
            state: Mutex::default(),
        }
    }

    /// A panic elsewhere leaves plans whole: they are put in when they are ready.
    fn lock(&self) -> MutexGuard<'_, PlanCache> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn plan(&self, kind: PlanKind, input: &Shape) -> Result<Plan, LowerError> {
        let detect = match kind {
            PlanKind::Tensor => None,
            PlanKind::Image => self.head.as_ref(),
        };
        let options = Options {
            detect,
            ..self.lowering
        };
        lower(&self.graph, input, &options)
    }

    /// The plan for this input, last of all.
    fn ready<'a>(
        &self,
        state: &'a mut PlanCache,
        kind: PlanKind,
        input: &Shape,
    ) -> Result<&'a mut ReadyPlan, Unready> {
        let is = |ready: &ReadyPlan| ready.kind == kind && ready.input == *input;
        let known = state.plans.iter().position(is);
        let ready = match known {
            Some(index) => state.plans.remove(index),
            None => self.prepare(state, kind, input)?,
        };
        if state.plans.len() >= MAX_PLANS {
            state.plans.remove(0);
        }
        Ok(state.plans.push_mut(ready))
    }

    fn prepare(
        &self,
        state: &mut PlanCache,
        kind: PlanKind,
        input: &Shape,
    ) -> Result<ReadyPlan, Unready> {
        let plan = self.plan(kind, input).map_err(Unready::Lower)?;
        let first = self.load(state, &plan);
        let loaded = match first {
            Err(CudaError::OutOfMemory(_)) if !state.plans.is_empty() => {
                *state = PlanCache::default();
                self.load(state, &plan)
            }
            first => first,
        };
        let shapes = infer_shapes(&self.graph, std::slice::from_ref(input));
        let shapes = shapes.map_err(|error| Unready::Lower(LowerError::Graph(error)))?;
        let outputs = self.graph.outputs.iter();
        Ok(ReadyPlan {
            kind,
            input: input.clone(),
            loaded: loaded.map_err(Unready::Cuda)?,
            outputs: outputs.map(|id| shapes[id.index()].clone()).collect(),
        })
    }

    fn load(&self, state: &mut PlanCache, plan: &Plan) -> Result<LoadedPlan, CudaError> {
        let sum: [u8; 32] = Sha256::digest(&plan.constants).into();
        let known = state.constants.iter().find(|(known, _)| *known == sum);
        let constants = match known {
            Some((_, constants)) => Arc::clone(constants),
            None => {
                let constants = Constants::upload(&self.cuda.context, &plan.constants)?;
                state.constants.push((sum, Arc::clone(&constants)));
                constants
            }
        };
        LoadedPlan::new(
            &self.cuda.context,
            plan,
            constants,
            self.cuda.cache.as_deref(),
        )
    }
}

impl CudaExecutable {
    fn run_tensors(&self, batch: &[Prepared<'_>]) -> Result<Vec<Tensor>, RunError> {
        let items = tensor_items(batch, 1)?;
        let mut state = self.lock();
        let ready = self.ready(&mut state, PlanKind::Tensor, &stacked_shape(&items))?;
        let values = || items.iter().flat_map(|item| item[0].data());
        let write = |_, buffer: &mut [u8]| {
            for (bytes, value) in buffer.as_chunks_mut().0.iter_mut().zip(values()) {
                *bytes = value.to_le_bytes();
            }
        };
        let bytes = values().count() * size_of::<f32>();
        ready.loaded.run_filled(&[bytes], write).map_err(failed)?;
        let output = |(index, shape): (usize, &Shape)| {
            let bytes = ready.loaded.output(index).as_chunks().0;
            let mut output = Tensor::zeros(shape.clone());
            for (value, bytes) in output.data_mut().iter_mut().zip(bytes) {
                *value = f32::from_le_bytes(*bytes);
            }
            output
        };
        Ok(ready.outputs.iter().enumerate().map(output).collect())
    }

    /// What makes predictions of these images, with the plan's shape.
    fn image_batch<'a>(&self, images: &'a [PlacedImage<'a>]) -> Result<ImageBatch<'a>, RunError> {
        match &self.head {
            Some(head) => ImageBatch::new(images, head),
            None => Err(RunError::Input(
                "for this network the engine takes tensors, not images".to_owned(),
            )),
        }
    }
}

impl Executable for CudaExecutable {
    fn run(&self, batch: &[Prepared<'_>]) -> Result<RunOutput, RunError> {
        let Some(images) = placed_images(batch) else {
            return self.run_tensors(batch).map(RunOutput::Raw);
        };
        let batch = self.image_batch(&images)?;
        let mut state = self.lock();
        let ready = self.ready(&mut state, PlanKind::Image, &batch.shape)?;
        batch.run(&mut ready.loaded).map(RunOutput::Predictions)
    }

    fn placed_limits(&self) -> Option<PlacedLimits> {
        self.head.as_ref().map(|_| PlacedLimits {
            image_bytes: MAX_IMAGE_BYTES,
            max_detections: MAX_ROWS as usize,
        })
    }

    fn preferred_batch(&self) -> usize {
        PREFERRED_BATCH
    }

    fn explain(&self, kind: PlanKind, inputs: &[Shape]) -> Result<Explanation, RunError> {
        let [input] = inputs else {
            return Err(one_input(inputs.len()));
        };
        if self.head.is_none() {
            kind.expect_tensor()?;
        }
        let plan = self.plan(kind, input).map_err(Unready::Lower)?;
        Ok(explanation(&plan, kind, &self.cuda, self.lowering.element))
    }

    fn profile(&self, batch: &[Prepared<'_>]) -> Result<Vec<Duration>, RunError> {
        self.run(batch)?;
        let (kind, shape) = match placed_images(batch) {
            Some(images) => (PlanKind::Image, self.image_batch(&images)?.shape),
            None => (PlanKind::Tensor, stacked_shape(&tensor_items(batch, 1)?)),
        };
        let mut state = self.lock();
        let ready = self.ready(&mut state, kind, &shape)?;
        ready.loaded.profile().map_err(failed)
    }
}

/// The images of a batch of nothing else.
fn placed_images<'a>(batch: &[Prepared<'a>]) -> Option<Vec<PlacedImage<'a>>> {
    let images = batch.iter().map(|item| match item {
        Prepared::Placed(image) => Some(*image),
        Prepared::Tensors(_) => None,
    });
    images
        .collect::<Option<Vec<_>>>()
        .filter(|it| !it.is_empty())
}

/// The shape of all items along each other.
fn stacked_shape(items: &[&[Tensor]]) -> Shape {
    let mut extents = items[0][0].shape().to_vec();
    extents[0] = items.iter().map(|item| item[0].shape()[0]).sum();
    Shape::from(extents)
}

fn one_input(actual: usize) -> RunError {
    RunError::Graph(GraphError::Inputs {
        expected: 1,
        actual,
    })
}

fn failed(error: CudaError) -> RunError {
    RunError::Device(error.to_string())
}
