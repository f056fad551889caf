//! The tract-onnx crate, optimised for the concrete input shape.

use std::sync::Arc;

use tract_linalg::multithread::{Executor, multithread_tract_scope};
use tract_onnx::prelude::*;

use super::{Engine, Failure, Request, Run};

pub struct Tract {
    model: Arc<TypedRunnableModel>,
    executor: Executor,
    shape: [usize; 4],
}

impl Tract {
    pub fn load(request: Request) -> Result<Self, Failure> {
        request.expect_f32()?;
        let model = tract_onnx::onnx()
            .model_for_path(&request.model)?
            .with_input_fact(0, f32::fact(request.shape()).into())?
            .into_optimized()?
            .into_runnable()?;
        let executor = match request.threads {
            1 => Executor::SingleThread,
            more => Executor::multithread(more),
        };
        Ok(Self {
            model,
            executor,
            shape: request.shape(),
        })
    }
}

impl Engine for Tract {
    fn name(&self) -> String {
        "tract 0.23".into()
    }

    fn run(&mut self, input: &[f32]) -> Result<Run, Failure> {
        let tensor = Tensor::from_shape(&self.shape, input)?;
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
