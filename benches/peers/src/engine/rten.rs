//! The rten crate, with its default graph optimisations and a pool of the asked size.

use std::path::Path;
use std::sync::Arc;

use ::rten::{Model, NodeId, RunOptions, ThreadPool};
use rten_tensor::prelude::*;
use rten_tensor::{NdTensorView, Tensor};

use super::{Engine, Failure, Run};

pub struct Rten {
    model: Model,
    input: NodeId,
    output: NodeId,
    pool: Arc<ThreadPool>,
    size: usize,
}

impl Rten {
    pub fn load(path: &Path, size: usize, threads: usize) -> Result<Self, Failure> {
        let model = Model::load_file(path)?;
        let input = *model.input_ids().first().ok_or("the model has no input")?;
        let output = *model
            .output_ids()
            .first()
            .ok_or("the model has no output")?;
        let pool = Arc::new(ThreadPool::with_num_threads(threads));
        Ok(Self {
            model,
            input,
            output,
            pool,
            size,
        })
    }
}

impl Engine for Rten {
    fn name(&self) -> String {
        "rten 0.27".into()
    }

    fn run(&mut self, input: &[f32]) -> Result<Run, Failure> {
        let view = NdTensorView::from_data([1, 3, self.size, self.size], input);
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
