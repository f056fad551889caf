//! The rten crate, with its default graph optimisations and a pool of the asked size.

use std::sync::Arc;

use ::rten::{Model, NodeId, RunOptions, ThreadPool};
use rten_tensor::prelude::*;
use rten_tensor::{NdTensorView, Tensor};

use super::{Engine, Failure, Request, Run};

pub struct Rten {
    model: Model,
    input: NodeId,
    output: NodeId,
    pool: Arc<ThreadPool>,
    shape: [usize; 4],
}

impl Rten {
    pub fn load(request: Request) -> Result<Self, Failure> {
        request.expect_f32()?;
        let model = Model::load_file(&request.model)?;
        let input = *model.input_ids().first().ok_or("the model has no input")?;
        let output = *model
            .output_ids()
            .first()
            .ok_or("the model has no output")?;
        let pool = Arc::new(ThreadPool::with_num_threads(request.threads));
        Ok(Self {
            model,
            input,
            output,
            pool,
            shape: request.shape(),
        })
    }
}

impl Engine for Rten {
    fn name(&self) -> String {
        "rten 0.27".into()
    }

    fn run(&mut self, input: &[f32]) -> Result<Run, Failure> {
        let view = NdTensorView::from_data(self.shape, input);
        let options = RunOptions::default().with_thread_pool(Some(self.pool.clone()));
        let (outputs, time) = crate::timed(|| {
            let inputs = vec![(self.input, view.into())];
            Ok(self.model.run(inputs, &[self.output], Some(options))?)
        })?;
        let value = outputs.into_iter().next().ok_or("no output")?;
        let tensor: Tensor<f32> = value.try_into().map_err(|_| "the output is not f32")?;
        Ok(Run {
            output: tensor.to_vec(),
            time,
        })
    }
}
