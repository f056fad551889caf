//! A compiled network on a GPU: a plan per door and shape of the input, each a graph of launches
//! with an arena of its own, made at the first run with that shape.
//!
//! Calls from several threads take turns. Where memory runs out, plans that are not in use go.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use onelook_graph::{
    Executable, Explanation, Graph, GraphError, PlacedPicture, RunError, infer_shapes,
};
use onelook_types::{DetectHead, Detections, Shape, Tensor, Thresholds};
use sha2::{Digest, Sha256};

use super::Cuda;
use super::detector;
use super::explain::explanation;
use crate::driver::{Constants, CudaError, LoadedPlan};
use crate::lower::{LowerError, Options, lower};
use crate::plan::Plan;

/// Plans that are kept; the one unused for longest goes first.
const MAX_PLANS: usize = 16;

/// Pictures in one run from which a GPU gains.
const PREFERRED_BATCH: usize = 8;

pub(super) struct CudaExecutable {
    cuda: Cuda,
    graph: Graph,
    lowering: Options<'static>,
    /// Where pictures may come in and boxes go out.
    head: Option<DetectHead>,
    state: Mutex<State>,
}

/// What runs change; whoever holds it runs.
#[derive(Default)]
struct State {
    /// The one used last comes last.
    plans: Vec<Ready>,
    /// Weights as plans packed them, by their sum: tiles of another shape may pack them otherwise.
    constants: Vec<([u8; 32], Arc<Constants>)>,
    /// Whether it has turned out that a kernel between pictures and boxes is beyond this GPU.
    no_pictures: bool,
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

/// What goes in and comes out of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    /// Planes, and the graph's outputs.
    Planes,
    /// Pictures, and boxes.
    Pictures,
}

struct Ready {
    door: Door,
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
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn plan(&self, door: Door, input: &Shape) -> Result<Plan, LowerError> {
        let detect = match door {
            Door::Planes => None,
            Door::Pictures => self.head.as_ref(),
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
        state: &'a mut State,
        door: Door,
        input: &Shape,
    ) -> Result<&'a mut Ready, Unready> {
        let is = |ready: &Ready| ready.door == door && ready.input == *input;
        let known = state.plans.iter().position(is);
        let ready = match known {
            Some(index) => state.plans.remove(index),
            None => self.prepare(state, door, input)?,
        };
        if state.plans.len() >= MAX_PLANS {
            state.plans.remove(0);
        }
        Ok(state.plans.push_mut(ready))
    }

    fn prepare(&self, state: &mut State, door: Door, input: &Shape) -> Result<Ready, Unready> {
        let plan = self.plan(door, input).map_err(Unready::Lower)?;
        let first = self.load(state, &plan);
        let loaded = match first {
            Err(CudaError::OutOfMemory(_)) if !state.plans.is_empty() => {
                *state = State::default();
                self.load(state, &plan)
            }
            first => first,
        };
        let shapes = infer_shapes(&self.graph, std::slice::from_ref(input));
        let shapes = shapes.map_err(|error| Unready::Lower(LowerError::Graph(error)))?;
        let outputs = self.graph.outputs.iter();
        Ok(Ready {
            door,
            input: input.clone(),
            loaded: loaded.map_err(Unready::Cuda)?,
            outputs: outputs.map(|id| shapes[id.index()].clone()).collect(),
        })
    }

    fn load(&self, state: &mut State, plan: &Plan) -> Result<LoadedPlan, CudaError> {
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

impl Executable for CudaExecutable {
    fn run_into(&self, inputs: &[&Tensor], outputs: &mut Vec<Tensor>) -> Result<(), RunError> {
        let input = single(inputs)?;
        let mut state = self.lock();
        let ready = self.ready(&mut state, Door::Planes, input.shape())?;
        let write = |_, room: &mut [u8]| {
            for (bytes, value) in room.as_chunks_mut().0.iter_mut().zip(input.data()) {
                *bytes = value.to_le_bytes();
            }
        };
        let bytes = size_of_val(input.data());
        ready.loaded.run_filled(&[bytes], write).map_err(failed)?;
        outputs.resize_with(ready.outputs.len(), Tensor::default);
        for (index, (output, shape)) in outputs.iter_mut().zip(&ready.outputs).enumerate() {
            if output.shape() != shape {
                *output = Tensor::zeros(shape.clone());
            }
            let bytes = ready.loaded.output(index).as_chunks().0;
            for (value, bytes) in output.data_mut().iter_mut().zip(bytes) {
                *value = f32::from_le_bytes(*bytes);
            }
        }
        Ok(())
    }

    fn detects(&self) -> bool {
        self.head.is_some()
    }

    fn detect(
        &self,
        pictures: &[PlacedPicture<'_>],
        thresholds: &Thresholds,
    ) -> Result<Option<Vec<Detections>>, RunError> {
        let Some(head) = &self.head else {
            return Ok(None);
        };
        let Some(asked) = detector::Asked::of(pictures, thresholds, head) else {
            return Ok(None);
        };
        let mut state = self.lock();
        if state.no_pictures {
            return Ok(None);
        }
        let ready = match self.ready(&mut state, Door::Pictures, &asked.shape) {
            Err(Unready::Lower(LowerError::Unsupported(_))) => {
                state.no_pictures = true;
                return Ok(None);
            }
            ready => ready?,
        };
        asked.run(&mut ready.loaded).map_err(failed)
    }

    fn preferred_batch(&self) -> usize {
        PREFERRED_BATCH
    }

    fn explain(&self, inputs: &[Shape]) -> Result<Explanation, RunError> {
        let [input] = inputs else {
            return Err(one_input(inputs.len()));
        };
        let plan = self.plan(Door::Planes, input).map_err(Unready::Lower)?;
        Ok(explanation(&plan, &self.cuda))
    }

    fn profile(&self, inputs: &[&Tensor]) -> Result<Vec<Duration>, RunError> {
        let input = single(inputs)?;
        self.run_into(inputs, &mut Vec::new())?;
        let mut state = self.lock();
        let ready = self.ready(&mut state, Door::Planes, input.shape())?;
        ready.loaded.profile().map_err(failed)
    }
}

fn single<'a>(inputs: &[&'a Tensor]) -> Result<&'a Tensor, RunError> {
    match inputs {
        [input] => Ok(input),
        _ => Err(one_input(inputs.len())),
    }
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
