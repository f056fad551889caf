//! `POST /v1/detect`: images in as they are, in a form or in JSON; boxes out, or the image with boxes
//! drawn on it.

mod accept;
mod annotated;
mod archive;
mod job;
mod json;
mod parameters;
mod request;
mod response;
mod schema;

use std::io::Read;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Query, State};
use axum::http::{HeaderMap, Uri, header};
use axum::response::Response;
use axum::routing::post;
use bytes::Bytes;

use crate::app::App;
use crate::blocking::blocking;
use crate::body::{self, BufferedBody};
use crate::content_encoding::ContentEncoding;
use crate::memory_budget::MemoryBudget;
use crate::problem::Problem;
use crate::request_context::RequestContext;
use accept::{Accepted, ResponseFormat};
use annotated::Drawing;
use job::DetectJob;
use parameters::DetectParameters;
use request::{BodyFormat, RequestImage};
use response::DetectResponse;

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
    response: Accepted,
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
                   response is the first one's problem.\n\nA body without \
                   a type, or with one that clients send for anything, is recognised by its bytes.\n\n\
                   With `Accept: image/jpeg` or `image/png` the response is the image with the \
                   boxes drawn on it, if the request has exactly one image; else what is accepted \
                   besides. With `Accept: application/zip` or `multipart/form-data` it is an archive of all images \
                   with their boxes, JPEG unless `image/png` is accepted too, and at its end \
                   `results.json`, the response in JSON. Images that fail have their error there.",
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
        (status = 200, description = "The detected objects, the image with boxes drawn on it, or an archive of such images.", content(
            (DetectResponse = "application/json"),
            (ImageBytes = "image/jpeg"),
            (ImageBytes = "image/png"),
            (schema::ArchiveBytes = "application/zip"),
            (schema::AnnotatedForm = "multipart/form-data"),
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
    let (names, style) = (metadata.names, parameters.style());
    match head.response.for_images(images.len())? {
        ResponseFormat::Json => {
            let images = job.detect_all(images, &names).await;
            drop(body);
            response::json(&entry.name, &job.context.id, images)
        }
        ResponseFormat::Image(format) => {
            let no_image = || Problem::bad_request("the request has no image");
            let image = images.into_iter().next().ok_or_else(no_image)?;
            let result = job.detect(image.source).await?;
            drop(body);
            response::image(&app, &entry, &job.context, result, names, style, format).await
        }
        ResponseFormat::Archive(archive, format) => {
            let drawing = Drawing {
                names,
                style,
                format,
            };
            annotated::archive(job, images, drawing, archive).await
        }
    }
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

/// Parses the bytes of a body as those of a request with this content type and this content encoding, which
/// may become as many as `limit`; whether it holds images.
pub fn parse_body(content_type: &str, content_encoding: &str, body: Bytes, limit: usize) -> bool {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        (header::CONTENT_TYPE, content_type),
        (header::CONTENT_ENCODING, content_encoding),
    ] {
        if let Ok(value) = value.parse() {
            headers.insert(name, value);
        }
    }
    let share = Arc::new(MemoryBudget::new(usize::MAX).share(&Arc::from("")));
    let decoded = match ContentEncoding::of(&headers) {
        Ok(ContentEncoding::Identity) => Some(body),
        Ok(encoding) => {
            let mut decoded = Vec::new();
            let reserve = |window| window <= limit;
            let reader = encoding.reader(&body, &reserve);
            let read = reader.take(limit as u64).read_to_end(&mut decoded);
            read.is_ok().then(|| decoded.into())
        }
        Err(_) => None,
    };
    let images = decoded.map(|body| {
        let mut parameters = DetectParameters::default();
        BodyFormat::of(&headers).and_then(|format| format.parse(body, &mut parameters, 4, &share))
    });
    images.is_some_and(|images| images.is_ok())
}
