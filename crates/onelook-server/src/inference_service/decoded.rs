//! Detection on frames that are decoded already, such as those of videos.

use std::sync::Arc;
use std::time::Instant;

use onelook::types::{Frame, Prediction};
use onelook::{Options, Pipeline};

use super::tensors::tensor_bytes;
use super::{InferenceService, Run};
use crate::admission;
use crate::blocking::blocking;
use crate::model_repository::ModelEntry;
use crate::problem::Problem;
use crate::request_context::RequestContext;
use crate::statistics::StageTimes;

impl InferenceService {
    /// Detects objects on a frame that is decoded already.
    pub async fn detect_frame(
        &self,
        entry: &Arc<ModelEntry>,
        context: &RequestContext,
        frame: &Arc<Frame>,
        options: &Options,
    ) -> Result<Prediction, Problem> {
        let start = Instant::now();
        let mut times = StageTimes::default();
        let frame = Arc::clone(frame);
        let outcome = self.detect_frame_once(entry, context, frame, options, &mut times);
        let outcome = outcome.await;
        self.record(entry, start.elapsed(), outcome.as_ref().map(|_| &times));
        outcome
    }

    async fn detect_frame_once(
        &self,
        entry: &Arc<ModelEntry>,
        context: &RequestContext,
        frame: Arc<Frame>,
        options: &Options,
        times: &mut StageTimes,
    ) -> Result<Prediction, Problem> {
        let loaded = entry.loaded()?;
        let size = options.rounded_size(loaded.model.metadata())?;
        let request = context.admission_request(admission::work(1, size));
        drop(loaded);
        let (loaded, permit) = self.admit(entry, &request, times).await?;
        let pipeline = Arc::new(Pipeline::new(Arc::clone(&loaded.model), options.clone())?);
        let bytes = frame.pixels().len() as u64 + tensor_bytes(1, size);
        let memory = self.take(&request, bytes).await?;
        let start = Instant::now();
        let own = Arc::clone(&pipeline);
        // The permits go along: one that is cancelled does not end what was begun for it.
        let (image, permit, _memory) =
            blocking(move || (own.prepare(frame), permit, memory)).await?;
        times.preprocess = start.elapsed();
        let run = Run {
            loaded: &loaded,
            pipeline,
            work: request.work,
        };
        run.finish(image, permit, times).await
    }
}
