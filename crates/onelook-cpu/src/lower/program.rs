//! Binds interpreted pieces of a network: the tail of an export with its own suppression, say.
//!
//! The one step that allocates while it runs, for the sizes of its values depend on the image.

use std::sync::{Mutex, PoisonError};

use onelook_graph::Node;
use onelook_graph::op::{Operator, Program};
use onelook_types::{Shape, Tensor};

use super::Placed;
use crate::plan::{DensePlace, Memory, Step};

impl Placed {
    pub(super) fn program(&self, node: &Node, program: &Program) -> ProgramStep {
        let input = |&value: &_| (self.dense(value), self.shape(value).clone());
        ProgramStep {
            program: program.clone(),
            inputs: node.inputs.iter().map(input).collect(),
            output: self.dense(node.outputs[0]),
            shape: self.shape(node.outputs[0]).clone(),
            failure: Mutex::default(),
        }
    }
}

pub(super) struct ProgramStep {
    program: Program,
    inputs: Vec<(DensePlace, Shape)>,
    output: DensePlace,
    shape: Shape,
    failure: Mutex<Option<String>>,
}

impl ProgramStep {
    /// The result for inputs that lie in the memory of a run; fails with words.
    ///
    /// # Safety
    /// As [`Step::run`].
    unsafe fn compute(&self, memory: &Memory<'_>) -> Result<Tensor, String> {
        let mut inputs = Vec::with_capacity(self.inputs.len());
        for (place, shape) in &self.inputs {
            let start = place.read(memory);
            // SAFETY: the plan reserved as many floats as the shape has, and the step that wrote
            // them has ended.
            let values = unsafe { std::slice::from_raw_parts(start, shape.elements()) };
            let tensor = Tensor::new(shape.clone(), values.to_vec());
            inputs.push(tensor.map_err(|error| error.to_string())?);
        }
        let inputs: Vec<&Tensor> = inputs.iter().collect();
        let result = self
            .program
            .execute(&inputs)
            .map_err(|error| error.to_string())?;
        let result = result.into_iter().next();
        result
            .filter(|result| *result.shape() == self.shape)
            .ok_or_else(|| "the shape of a result depends on the image".to_owned())
    }
}

impl Step for ProgramStep {
    fn kernel(&self) -> &'static str {
        "program_interpreted"
    }

    fn choice(&self) -> String {
        "one thread an image".to_owned()
    }

    fn tasks(&self) -> usize {
        1
    }

    fn take_failure(&self) -> Option<String> {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.take()
    }

    unsafe fn run(&self, memory: &Memory<'_>, _task: usize, _worker: usize) {
        // SAFETY: the memory has the plan's extents and nobody else writes it, which the caller guarantees.
        match unsafe { self.compute(memory) } {
            Ok(result) => {
                let values = result.data();
                // SAFETY: the plan reserved the output with this shape, which `compute` checked,
                // and the only task of the step is its only writer.
                unsafe {
                    let target = self.output.write(memory);
                    target.copy_from_nonoverlapping(values.as_ptr(), values.len());
                }
            }
            Err(reason) => {
                let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
                *failure = Some(reason);
            }
        }
    }
}
