//! A compiled network on a GPU: a plan per kind and shape of the input, made at the first run with that
//! shape and shared by all runs of it.
//!
//! Runs from several threads overlap: each has an execution context of its own, and no lock is held
//! while inputs are packed, while the GPU computes or while results are read.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use onelook_graph::{
    Executable, Explanation, Graph, GraphError, PlacedImage, PlacedLimits, PlanKind, Prepared,
    RunError, RunOutput, infer_shapes,
};
use onelook_types::{DetectHead, Shape};
use sha2::{Digest, Sha256};

use super::Cuda;
use super::explain::explanation;
use super::image_batch::ImageBatch;
use super::plan_cache::{
    CONTEXTS_PER_PLAN, Lease, PlanBytes, PlanCache, PlanKey, PlanMaker, Unready,
};
use super::tensor_batch::TensorBatch;
use crate::driver::{Constants, CudaError, ExecutionContext, LoadedPlan, Modules};
use crate::lower::{LowerError, Options, lower, plan_batch};
use crate::plan::Plan;
use crate::settings::MAX_ROWS;

/// Images of more bytes than this are made smaller before they go to the GPU.
const MAX_IMAGE_BYTES: usize = 64 << 20;

/// Images in one run from which a GPU gains.
const PREFERRED_BATCH: usize = 8;

pub(super) struct CudaExecutable {
    cuda: Cuda,
    graph: Graph,
    lowering: Options<'static>,
    /// Where images may come in and predictions go out.
    head: Option<DetectHead>,
    plans: PlanCache,
    loader: Mutex<Loader>,
}

/// What plans share on the GPU. Whoever makes a plan holds it while kernels are compiled, so that none
/// is compiled twice; runs do not.
#[derive(Default)]
struct Loader {
    modules: Modules,
    /// Weights as plans packed them, by their sum: tiles of another shape may pack them otherwise.
    constants: HashMap<[u8; 32], Weak<Constants>>,
}

/// A batch in the form that its plan takes.
enum Batch<'a> {
    Images(ImageBatch<'a>),
    Tensors(TensorBatch<'a>),
}

impl Batch<'_> {
    fn key(&self) -> PlanKey {
        let (kind, shape) = match self {
            Self::Images(batch) => (PlanKind::Image, &batch.shape),
            Self::Tensors(batch) => (PlanKind::Tensor, &batch.shape),
        };
        let input = shape.clone();
        PlanKey { kind, input }
    }
}

impl CudaExecutable {
    pub fn new(
        cuda: Cuda,
        graph: Graph,
        lowering: Options<'static>,
        head: Option<DetectHead>,
    ) -> Self {
        Self {
            plans: PlanCache::new(cuda.plan_bytes()),
            cuda,
            graph,
            lowering,
            head,
            loader: Mutex::default(),
        }
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

    /// An execution context for this batch, whose plan may have more images. Where such a plan is too
    /// large, one of just so many images is made.
    fn checkout(&self, batch: &Batch<'_>) -> Result<Lease<'_>, Unready> {
        let exact = batch.key();
        let rounded = PlanKey {
            kind: exact.kind,
            input: rounded(&exact.input),
        };
        if rounded == exact || self.plans.has(&exact) {
            return self.plans.checkout(&exact, self);
        }
        match self.plans.checkout(&rounded, self) {
            Err(unready) if unready.is_too_large() => self.plans.checkout(&exact, self),
            outcome => outcome,
        }
    }

    fn batch<'a>(
        &self,
        batch: &[Prepared<'a>],
        images: Option<&'a [PlacedImage<'a>]>,
    ) -> Result<Batch<'a>, RunError> {
        match (images, &self.head) {
            (None, _) => TensorBatch::new(batch).map(Batch::Tensors),
            (Some(images), Some(head)) => ImageBatch::new(images, head).map(Batch::Images),
            (Some(_), None) => Err(RunError::Input(
                "for this network the engine takes tensors, not images".to_owned(),
            )),
        }
    }

    /// Runs a batch; `then` may use the context before others do.
    fn run_then<T>(
        &self,
        batch: &[Prepared<'_>],
        then: impl FnOnce(&mut ExecutionContext, RunOutput) -> Result<T, CudaError>,
    ) -> Result<T, RunError> {
        let images = placed_images(batch);
        let batch = self.batch(batch, images.as_deref())?;
        let mut lease = self.checkout(&batch)?;
        if let Batch::Images(images) = &batch {
            let mut reserved = reserve(&mut lease, images)?;
            let ran_out = |error: &CudaError| error.is_out_of_memory();
            if reserved.as_ref().is_err_and(ran_out) && lease.yields_to_others() {
                drop(lease);
                lease = self.checkout(&batch)?;
                reserved = reserve(&mut lease, images)?;
            }
            reserved.map_err(Unready::Cuda)?;
        }
        lease.run(|context, plan| {
            let output = match &batch {
                Batch::Images(batch) => RunOutput::Predictions(batch.run(context)?),
                Batch::Tensors(batch) => RunOutput::Raw(batch.run(context, plan)?),
            };
            then(context, output).map_err(|error| RunError::Device(error.to_string()))
        })
    }
}

impl PlanMaker for CudaExecutable {
    fn lower(&self, key: &PlanKey) -> Result<(Plan, Vec<Shape>), LowerError> {
        let plan = self.plan(key.kind, &key.input)?;
        let shapes = infer_shapes(&self.graph, std::slice::from_ref(&key.input))?;
        let outputs = self.graph.outputs.iter();
        let outputs = outputs.map(|id| shapes[id.index()].clone()).collect();
        Ok((plan, outputs))
    }

    fn bytes(&self, plan: &Plan) -> PlanBytes {
        PlanBytes {
            context: ExecutionContext::expected_bytes(plan),
            constants: plan.constants.len(),
            constants_sum: Sha256::digest(&plan.constants).into(),
        }
    }

    fn load(&self, plan: &Plan) -> Result<Arc<LoadedPlan>, CudaError> {
        // A panic elsewhere leaves it whole: things are put in when they are ready.
        let mut loader = self.loader.lock().unwrap_or_else(PoisonError::into_inner);
        let sum: [u8; 32] = Sha256::digest(&plan.constants).into();
        let known = loader.constants.get(&sum).and_then(Weak::upgrade);
        let constants = match known {
            Some(constants) => constants,
            None => {
                let constants = Constants::upload(&self.cuda.context, &plan.constants)?;
                loader.constants.retain(|_, it| it.strong_count() > 0);
                loader.constants.insert(sum, Arc::downgrade(&constants));
                constants
            }
        };
        let cache = self.cuda.cache.as_deref();
        let context = &self.cuda.context;
        LoadedPlan::new(context, plan, constants, &mut loader.modules, cache)
    }
}

impl Executable for CudaExecutable {
    fn run(&self, batch: &[Prepared<'_>]) -> Result<RunOutput, RunError> {
        self.run_then(batch, |_, output| Ok(output))
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

    fn batches_in_flight(&self) -> usize {
        CONTEXTS_PER_PLAN
    }

    fn explain(&self, kind: PlanKind, inputs: &[Shape]) -> Result<Explanation, RunError> {
        let [input] = inputs else {
            return Err(one_input(inputs.len()));
        };
        if self.head.is_none() {
            kind.expect_tensor()?;
        }
        let plan = self.plan(kind, &rounded(input)).map_err(Unready::Lower)?;
        explanation(&plan, kind, &self.cuda, self.lowering.element)
            .map_err(|error| RunError::Device(error.to_string()))
    }

    fn profile(&self, batch: &[Prepared<'_>]) -> Result<Vec<Duration>, RunError> {
        self.run_then(batch, |context, _| context.profile())
    }
}

/// Makes sure that the images' bytes fit into the inputs of the context.
fn reserve(
    lease: &mut Lease<'_>,
    images: &ImageBatch<'_>,
) -> Result<Result<(), CudaError>, RunError> {
    match lease.plan().map(|plan| images.input_bytes(plan)) {
        Some(inputs) => Ok(lease.reserve(&inputs?)),
        None => Ok(Ok(())),
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

/// The input of the plan that runs a batch of this shape.
fn rounded(input: &Shape) -> Shape {
    let mut extents = input.to_vec();
    if let Some(images) = extents.first_mut() {
        *images = plan_batch(*images);
    }
    Shape::from(extents)
}

fn one_input(actual: usize) -> RunError {
    RunError::Graph(GraphError::Inputs {
        expected: 1,
        actual,
    })
}
