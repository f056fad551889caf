//! `POST /v1/detect`: images in as they are, in a form or in JSON; boxes out, or the image with boxes
//! drawn on it.

mod accept;
mod json;
mod parameters;
mod request;
mod response;
mod schema;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Query, State};
use axum::http::{HeaderMap, Uri, header};
use axum::response::Response;
use axum::routing::post;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use onelook::Options;

use crate::app::App;
use crate::blocking::blocking;
use crate::body::{self, BufferedBody};
use crate::fetch;
use crate::inference_service::DetectResult;
use crate::memory_budget::MemoryBudget;
use crate::model_repository::ModelEntry;
use crate::problem::{Problem, ProblemKind};
use crate::request_context::RequestContext;
use accept::ResponseFormat;
use parameters::DetectParameters;
use request::{BodyFormat, ImageSource, RequestImage};
use response::{DetectResponse, ImageResponse};

#[cfg(test)]
pub use parameters::NAMES;
pub use parameters::fraction;
pub use schema::{DetectForm, DetectJson, ImageBytes};

/// Larger bodies are parsed away from the threads that answer requests.
const SMALL_BODY: usize = 256 << 10;

/// Routes.
pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/v1/detect", post(detect))
}

/// What is known of a request before its body is read.
struct RequestHead {
    parameters: DetectParameters,
    body: BodyFormat,
    response: ResponseFormat,
}

/// Detects objects on images.
#[utoipa::path(
    post, path = "/v1/detect", tag = "detect", operation_id = "detect",
    summary = "Detect objects on images",
    description = "Takes one image as the body, or several in a form or in JSON, up to the server's \
                   limit. Parameters can be in the query, in the form's fields or in the JSON \
                   object, but each only once.\n\nReads JPEG, PNG, WebP, BMP, TIFF and GIF, which \
                   are recognised by their first bytes. If some of several images fail, the status \
                   is 200 and each of them has its error in place of a result. If all fail, the \
                   response is the first one's problem.\n\nWith `Accept: image/jpeg` or \
                   `image/png` the response is the image with the boxes drawn on it; the request \
                   must then have exactly one image.",
    params(schema::DetectQuery),
    request_body(
        description = "An image, a form, or JSON.",
        content(
            (ImageBytes = "image/*"),
            (ImageBytes = "application/octet-stream"),
            (DetectForm = "multipart/form-data"),
            (DetectJson = "application/json", example = json!({
                "image": {"base64": "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"},
                "conf": 0.25
            })),
        )
    ),
    responses(
        (status = 200, description = "The detected objects, or the image with boxes drawn on it.", content(
            (DetectResponse = "application/json"),
            (ImageBytes = "image/jpeg"),
            (ImageBytes = "image/png"),
        )),
        (status = 400), (status = 401),
        (status = 403, description = "The token does not allow this, or URLs are not fetched."),
        (status = 404), (status = 406), (status = 408), (status = 413), (status = 415),
        (status = 422, description = "An image is damaged or cannot be fetched."),
        (status = 429), (status = 503),
    )
)]
pub async fn detect(
    State(app): State<Arc<App>>,
    Extension(mut context): Extension<RequestContext>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let head = read_head(&app, &context, &uri, &headers);
    let (head, body) = body::keep_if_ok(head, body).await?;
    let body = body::read(&app, &mut context, &headers, body).await?;
    let (body, parameters, images) = parse(&app, body, head.body, head.parameters).await?;
    let entry = app.models.find(parameters.model.as_deref())?;
    let metadata = entry.loaded()?.model.metadata().clone();
    let job = DetectJob {
        app: Arc::clone(&app),
        entry: Arc::clone(&entry),
        options: parameters.options(&metadata, app.config.limits.image_size)?,
        context,
    };
    if head.response == ResponseFormat::Json {
        let images = job.detect_all(images, &metadata.names).await;
        drop(body);
        return response::json(&entry.name, &job.context.id, images);
    }
    let result = job.detect(only(images)?.source).await?;
    drop(body);
    let style = parameters.style();
    response::image(&app, &entry, result, metadata.names, style, head.response).await
}

/// Reads query and headers, and refuses what can be refused before the body is read.
fn read_head(
    app: &App,
    context: &RequestContext,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<RequestHead, Problem> {
    let mut parameters = DetectParameters::default();
    for (name, value) in query(uri)? {
        parameters.set(&name, &value)?;
    }
    let head = RequestHead {
        response: accept::negotiate(headers)?,
        body: BodyFormat::of(headers)?,
        parameters,
    };
    // A form or JSON may still name a model other than the default.
    let named = head.parameters.model.as_deref();
    if named.is_some() || head.body == BodyFormat::Image || app.models.all().len() == 1 {
        let entry = app.models.find(named)?;
        app.inference.precheck(&entry, context)?;
        let max_side = app.config.limits.image_size;
        head.parameters
            .options(entry.loaded()?.model.metadata(), max_side)?;
    }
    Ok(head)
}

/// The pairs of a query.
fn query(uri: &Uri) -> Result<Vec<(String, String)>, Problem> {
    Query::try_from_uri(uri)
        .map(|Query(pairs)| pairs)
        .map_err(|error| Problem::bad_request(format!("the query cannot be read: {error}")))
}

/// Parses a body. Its share of the budget is returned too, to be kept as long as the images.
async fn parse(
    app: &App,
    mut body: BufferedBody,
    format: BodyFormat,
    mut parameters: DetectParameters,
) -> Result<(BufferedBody, DetectParameters, Vec<RequestImage>), Problem> {
    let bytes = std::mem::take(&mut body.bytes);
    let (max_images, is_large) = (app.config.limits.images, bytes.len() > SMALL_BODY);
    let parse = move || {
        let images = format.parse(bytes, &mut parameters, max_images, &body.share)?;
        Ok((body, parameters, images))
    };
    match is_large {
        true => blocking(parse).await?,
        false => parse(),
    }
}

/// Parses the bytes of a body as those of a request with this content type; whether it holds images.
pub fn parse_body(content_type: &str, body: Bytes) -> bool {
    let mut headers = HeaderMap::new();
    if let Ok(value) = content_type.parse() {
        headers.insert(header::CONTENT_TYPE, value);
    }
    let share = Arc::new(MemoryBudget::new(usize::MAX).share(&Arc::from("")));
    let images = BodyFormat::of(&headers).and_then(|format| {
        let mut parameters = DetectParameters::default();
        format.parse(body, &mut parameters, 4, &share)
    });
    images.is_ok()
}

fn only(mut images: Vec<RequestImage>) -> Result<RequestImage, Problem> {
    match (images.pop(), images.is_empty()) {
        (Some(image), true) => Ok(image),
        _ => Err(Problem::new(
            ProblemKind::NotAcceptable,
            "only a request with exactly one image can be answered with an image: send one, or \
             accept application/json",
        )),
    }
}

/// What the images of a request have in common.
struct DetectJob {
    app: Arc<App>,
    entry: Arc<ModelEntry>,
    context: RequestContext,
    options: Options,
}

impl DetectJob {
    /// Detects objects on all images, several at a time; the results are in the images' order.
    async fn detect_all(
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

    async fn detect(&self, source: Result<ImageSource, Problem>) -> Result<DetectResult, Problem> {
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
