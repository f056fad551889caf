//! A compiled network on a GPU: a plan per shape of the input, each a graph of launches with an
//! arena of its own, made at the first run with that shape.
//!
//! Calls from several threads take turns. Where memory runs out, plans that are not in use go.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use onelook_graph::{Executable, Explanation, Graph, GraphError, RunError, infer_shapes};
use onelook_types::{Shape, Tensor};
use sha2::{Digest, Sha256};

use super::Cuda;
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
    state: Mutex<State>,
}

/// What runs change; whoever holds it runs.
#[derive(Default)]
struct State {
    /// The one used last comes last.
    plans: Vec<Ready>,
    /// Weights as plans packed them, by their sum: tiles of another shape may pack them otherwise.
    constants: Vec<([u8; 32], Arc<Constants>)>,
}

struct Ready {
    input: Shape,
    loaded: LoadedPlan,
    outputs: Vec<Shape>,
    /// The bytes that come back.
    bytes: Vec<Vec<u8>>,
}

impl CudaExecutable {
    pub fn new(cuda: Cuda, graph: Graph, lowering: Options<'static>) -> Self {
        Self {
            cuda,
            graph,
            lowering,
            state: Mutex::default(),
        }
    }

    /// A panic elsewhere leaves plans whole: they are put in when they are ready.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn plan(&self, input: &Shape) -> Result<Plan, RunError> {
        lower(&self.graph, input, &self.lowering).map_err(|error| match error {
            LowerError::Graph(error) => RunError::Graph(error),
            error => RunError::Device(error.to_string()),
        })
    }

    /// The plan for this input, last of all.
    fn ready<'a>(&self, state: &'a mut State, input: &Shape) -> Result<&'a mut Ready, RunError> {
        let known = state.plans.iter().position(|ready| ready.input == *input);
        let ready = match known {
            Some(index) => state.plans.remove(index),
            None => self.prepare(state, input)?,
        };
        if state.plans.len() >= MAX_PLANS {
            state.plans.remove(0);
        }
        Ok(state.plans.push_mut(ready))
    }

    fn prepare(&self, state: &mut State, input: &Shape) -> Result<Ready, RunError> {
        let plan = self.plan(input)?;
        let shapes = infer_shapes(&self.graph, std::slice::from_ref(input))?;
        let outputs = self
            .graph
            .outputs
            .iter()
            .map(|id| shapes[id.index()].clone());
        let first = self.load(state, &plan);
        let loaded = match first {
            Err(CudaError::OutOfMemory(_)) if !state.plans.is_empty() => {
                *state = State::default();
                self.load(state, &plan)
            }
            first => first,
        };
        Ok(Ready {
            input: input.clone(),
            loaded: loaded.map_err(failed)?,
            outputs: outputs.collect(),
            bytes: plan.outputs.iter().map(|&bytes| vec![0; bytes]).collect(),
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
        let ready = self.ready(&mut state, input.shape())?;
        let bytes: Vec<u8> = input.data().iter().flat_map(|v| v.to_le_bytes()).collect();
        let mut slices: Vec<&mut [u8]> = ready.bytes.iter_mut().map(|b| &mut b[..]).collect();
        ready.loaded.run(&[&bytes], &mut slices).map_err(failed)?;
        outputs.resize_with(ready.outputs.len(), Tensor::default);
        for ((output, shape), bytes) in outputs.iter_mut().zip(&ready.outputs).zip(&ready.bytes) {
            if output.shape() != shape {
                *output = Tensor::zeros(shape.clone());
            }
            for (value, bytes) in output.data_mut().iter_mut().zip(bytes.as_chunks().0) {
                *value = f32::from_le_bytes(*bytes);
            }
        }
        Ok(())
    }

    fn preferred_batch(&self) -> usize {
        PREFERRED_BATCH
    }

    fn explain(&self, inputs: &[Shape]) -> Result<Explanation, RunError> {
        let [input] = inputs else {
            return Err(one_input(inputs.len()));
        };
        let plan = self.plan(input)?;
        Ok(explanation(&plan, &self.cuda))
    }

    fn profile(&self, inputs: &[&Tensor]) -> Result<Vec<Duration>, RunError> {
        let input = single(inputs)?;
        self.run_into(inputs, &mut Vec::new())?;
        let mut state = self.lock();
        let ready = self.ready(&mut state, input.shape())?;
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
