//! Detects objects on the images of a request: images or their URLs in, results out.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use onelook::Options;

use super::request::{ImageSource, RequestImage};
use super::response::ImageResponse;
use crate::app::App;
use crate::fetch;
use crate::inference_service::DetectResult;
use crate::model_repository::ModelEntry;
use crate::problem::Problem;
use crate::request_context::RequestContext;

/// What the images of a request have in common.
#[derive(Clone)]
pub struct DetectJob {
    /// The server.
    pub app: Arc<App>,
    /// The model.
    pub entry: Arc<ModelEntry>,
    /// Whose request it is.
    pub context: RequestContext,
    /// Thresholds and size.
    pub options: Options,
}

impl DetectJob {
    /// Detects objects on all images, several at a time; the results are in the images' order.
    pub async fn detect_all(
        &self,
        images: Vec<RequestImage>,
        names: &[String],
    ) -> Vec<(String, Result<ImageResponse, Problem>)> {
        // Enough to fill a batch while another runs. The rest must not occupy the queue.
        let width = self.entry.loaded().map_or(1, |loaded| 2 * loaded.max_batch);
        let detect = |(index, image): (usize, RequestImage)| async move {
            let result = self.detect(image.source).await;
            let response = result.map(|result| ImageResponse::of(&image.name, &result, names));
            (index, (image.name, response))
        };
        let responses = stream::iter(images.into_iter().enumerate().map(detect));
        let mut responses: Vec<_> = responses.buffer_unordered(width.max(4)).collect().await;
        responses.sort_by_key(|(index, _)| *index);
        responses
            .into_iter()
            .map(|(_, response)| response)
            .collect()
    }

    /// Detects objects on one image, which may have to be fetched.
    pub async fn detect(
        &self,
        source: Result<ImageSource, Problem>,
    ) -> Result<DetectResult, Problem> {
        match source? {
            ImageSource::Bytes(bytes) => self.detect_bytes(bytes).await,
            ImageSource::Url(url) => {
                let fetched = fetch::image(&self.app, &url, &self.context).await?;
                self.detect_bytes(fetched.bytes.clone()).await
            }
        }
    }

    async fn detect_bytes(&self, bytes: Bytes) -> Result<DetectResult, Problem> {
        let inference = &self.app.inference;
        inference
            .detect(&self.entry, &self.context, bytes, &self.options)
            .await
    }
}
