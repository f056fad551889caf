//! The tract-onnx crate, optimised for the concrete input shape.

use std::path::Path;
use std::sync::Arc;

use tract_linalg::multithread::{Executor, multithread_tract_scope};
use tract_onnx::prelude::*;

use super::{Engine, Failure, Run};

pub struct Tract {
    model: Arc<TypedRunnableModel>,
    executor: Executor,
    size: usize,
}

impl Tract {
    pub fn load(path: &Path, size: usize, threads: usize) -> Result<Self, Failure> {
        let model = tract_onnx::onnx()
            .model_for_path(path)?
            .with_input_fact(0, f32::fact([1, 3, size, size]).into())?
            .into_optimized()?
            .into_runnable()?;
        let executor = match threads {
            1 => Executor::SingleThread,
            more => Executor::multithread(more),
        };
        Ok(Self {
            model,
            executor,
            size,
        })
    }
}

impl Engine for Tract {
    fn name(&self) -> String {
        "tract 0.23".into()
    }

    fn run(&mut self, input: &[f32]) -> Result<Run, Failure> {
        let tensor = Tensor::from_shape(&[1, 3, self.size, self.size], input)?;
        let (outputs, time) = crate::timed(|| {
            multithread_tract_scope(self.executor.clone(), || {
                Ok(self.model.run(tvec!(tensor.into()))?)
            })
        })?;
        let output = outputs[0]
            .to_plain_array_view::<f32>()?
            .iter()
            .copied()
            .collect();
        Ok(Run { output, time })
    }
}
