//! The protocol of DeepStack and CodeProject.AI, used by camera software and home automation: a form
//! with one image in, boxes in whole pixels out.

mod response;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, State};
use axum::http::HeaderMap;
use axum::routing::{get, post};
use axum::{Json, Router};
use onelook::Options;
use onelook::types::Thresholds;

use super::detect::fraction;
use super::multipart::{self, Part};
use crate::app::App;
use crate::body::{self, BufferedBody};
use crate::model_repository::ModelEntry;
use crate::problem::{Problem, ProblemKind, shown};
use crate::request_context::RequestContext;
pub use response::DeepStackError;
use response::{CustomModels, Pong, Predictions, VisionForm};

/// The protocol's default threshold.
const MIN_CONFIDENCE: f32 = 0.4;

/// Bytes of a form in which its token must be found.
const MAX_BEFORE_TOKEN: usize = 4 << 10;

/// Largest number of fields of a form; clients send some that are not used here.
const MAX_FIELDS: usize = 32;

/// Routes.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/v1/vision/detection", post(detection))
        .route("/v1/vision/custom/list", get(list_by_get).post(list))
        .route("/v1/vision/custom/{name}", post(custom))
        .route("/v1/status/ping", get(ping).post(ping_by_post))
}

/// Detects objects with the default model.
#[utoipa::path(
    post, path = "/v1/vision/detection", tag = "deepstack", operation_id = "visionDetection",
    summary = "Detect objects (DeepStack, CodeProject.AI)",
    request_body(content = VisionForm, content_type = "multipart/form-data"),
    responses(
        (status = 200, description = "The detected objects.", body = Predictions),
        (status = 400), (status = 401), (status = 403), (status = 404), (status = 408),
        (status = 413), (status = 415), (status = 429), (status = 503),
    )
)]
pub async fn detection(
    State(app): State<Arc<App>>,
    Extension(context): Extension<RequestContext>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Predictions>, Problem> {
    let entry = app.models.find(None);
    detect(&app, context, entry, &headers, body).await
}

/// Detects objects with a named model.
#[utoipa::path(
    post, path = "/v1/vision/custom/{name}", tag = "deepstack", operation_id = "visionCustom",
    summary = "Detect objects with a named model (DeepStack, CodeProject.AI)",
    params(("name" = String, Path, description = "The model's name.", example = "yolo11n")),
    request_body(content = VisionForm, content_type = "multipart/form-data"),
    responses(
        (status = 200, description = "The detected objects.", body = Predictions),
        (status = 400), (status = 401), (status = 403), (status = 404), (status = 408),
        (status = 413), (status = 415), (status = 429), (status = 503),
    )
)]
pub async fn custom(
    State(app): State<Arc<App>>,
    Extension(context): Extension<RequestContext>,
    name: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Predictions>, Problem> {
    let entry = match name {
        Ok(Path(name)) => app.models.find(Some(&name)),
        Err(_) => Err(Problem::bad_request(
            "the model's name in the path is not UTF-8",
        )),
    };
    detect(&app, context, entry, &headers, body).await
}

async fn detect(
    app: &App,
    context: RequestContext,
    entry: Result<Arc<ModelEntry>, Problem>,
    headers: &HeaderMap,
    body: Body,
) -> Result<Json<Predictions>, Problem> {
    let start = Instant::now();
    let (mut context, body) = authenticate(app, context, headers, body).await?;
    let prechecked = entry.and_then(|entry| {
        app.inference.precheck(&entry, &context)?;
        Ok((entry, multipart::boundary(headers)?))
    });
    let ((entry, boundary), body) = body::keep_if_ok(prechecked, body).await?;
    let (body, form) = read_form(app, &mut context, headers, body, &boundary).await?;
    let options = Options {
        thresholds: Thresholds {
            confidence: form.min_confidence,
            ..Thresholds::default()
        },
        ..Options::default()
    };
    let image = form.image.ok_or_else(|| {
        Problem::bad_request("the form has no image: send it as a file in the field 'image'")
    })?;
    let loaded = entry.loaded()?;
    let result = app
        .inference
        .detect(&entry, &context, image.content, &options);
    let result = result.await.map_err(invalid_image)?;
    drop(body);
    let (model, elapsed) = (&loaded.model, start.elapsed());
    Ok(Json(Predictions::of(&entry.name, model, &result, elapsed)))
}

/// Clients of this protocol expect the same status for every invalid image.
fn invalid_image(problem: Problem) -> Problem {
    match problem.kind {
        ProblemKind::Unsupported | ProblemKind::Unprocessable => Problem {
            kind: ProblemKind::BadRequest,
            ..problem
        },
        _ => problem,
    }
}

/// The fields of the form that are used here.
struct VisionRequest {
    image: Option<Part>,
    min_confidence: f32,
}

/// Authenticates by the form's field `api_key`, if the headers had no token. It must be among the first
/// bytes, because without a valid token no body is taken.
async fn authenticate(
    app: &App,
    context: RequestContext,
    headers: &HeaderMap,
    body: Body,
) -> Result<(RequestContext, Body), Problem> {
    if context.caller.is_some() || app.tokens().is_empty() {
        return body::keep_if_ok(context.authenticated(&app.tokens(), None), body).await;
    }
    let boundary = multipart::boundary(headers);
    let (boundary, body) = body::keep_if_ok(boundary, body).await?;
    let (start, body) = body::peek(app, body, MAX_BEFORE_TOKEN).await?;
    let start = body::decoded_start(headers, start, MAX_BEFORE_TOKEN);
    let token = multipart::first_parts(&start, &boundary, MAX_FIELDS)
        .into_iter()
        .find(|part| part.name == "api_key");
    let token = token.as_ref().map(Part::text).transpose();
    let context = token.and_then(|token| context.authenticated(&app.tokens(), token));
    body::keep_if_ok(context, body).await
}

async fn read_form(
    app: &App,
    context: &mut RequestContext,
    headers: &HeaderMap,
    body: Body,
    boundary: &str,
) -> Result<(BufferedBody, VisionRequest), Problem> {
    let mut body = body::read(app, context, headers, body).await?;
    let bytes = std::mem::take(&mut body.bytes);
    let mut form = VisionRequest {
        image: None,
        min_confidence: MIN_CONFIDENCE,
    };
    let mut fields = HashSet::new();
    for part in multipart::parts(&bytes, boundary, MAX_FIELDS)? {
        match part.name.as_str() {
            name @ ("min_confidence" | "api_key") if !fields.insert(name.to_owned()) => {
                let detail = format!("the field '{name}' is given twice: send it once");
                return Err(Problem::bad_request(detail));
            }
            "min_confidence" => form.min_confidence = min_confidence(part.text()?)?,
            // Clients call it image, image1, or something else: the first file counts.
            name if form.image.is_none() && (part.is_image() || name == "image1") => {
                form.image = Some(part);
            }
            _ => {}
        }
    }
    Ok((body, form))
}

fn min_confidence(text: &str) -> Result<f32, Problem> {
    if text.is_empty() {
        return Ok(MIN_CONFIDENCE);
    }
    let invalid =
        |reason| Problem::bad_request(format!("min_confidence: {}: {reason}", shown(text)));
    fraction(text).map_err(invalid)
}

/// Lists the models.
#[utoipa::path(
    post, path = "/v1/vision/custom/list", tag = "deepstack", operation_id = "visionCustomList",
    summary = "List the models (DeepStack, CodeProject.AI)",
    responses(
        (status = 200, description = "The models that serve.", body = CustomModels),
        (status = 400), (status = 401), (status = 403), (status = 408), (status = 413), (status = 503),
    )
)]
pub async fn list(
    State(app): State<Arc<App>>,
    Extension(context): Extension<RequestContext>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<CustomModels>, Problem> {
    let (_, body) = authenticate(&app, context, &headers, body).await?;
    body::drain(body).await;
    Ok(Json(CustomModels::of(&app)))
}

/// Lists the models.
#[utoipa::path(
    get, path = "/v1/vision/custom/list", tag = "deepstack", operation_id = "visionCustomListByGet",
    summary = "The same with GET",
    responses(
        (status = 200, description = "The models that serve.", body = CustomModels),
        (status = 400), (status = 401), (status = 403),
    )
)]
pub async fn list_by_get(
    State(app): State<Arc<App>>,
    Extension(context): Extension<RequestContext>,
) -> Result<Json<CustomModels>, Problem> {
    context.authenticated(&app.tokens(), None)?;
    Ok(Json(CustomModels::of(&app)))
}

/// Liveness.
#[utoipa::path(
    get, path = "/v1/status/ping", tag = "deepstack", operation_id = "ping",
    summary = "Liveness (CodeProject.AI)",
    responses(
        (status = 200, description = "The process answers; `success` says whether a model is ready.", body = Pong),
        (status = 400), (status = 401),
    )
)]
pub async fn ping(State(app): State<Arc<App>>) -> Json<Pong> {
    Json(Pong {
        success: app.models.is_ready(),
    })
}

/// Liveness, by POST.
#[utoipa::path(
    post, path = "/v1/status/ping", tag = "deepstack", operation_id = "pingByPost",
    summary = "The same with POST",
    responses(
        (status = 200, description = "The process answers; `success` says whether a model is ready.", body = Pong),
        (status = 400), (status = 401), (status = 403),
    )
)]
pub async fn ping_by_post(state: State<Arc<App>>, body: Body) -> Json<Pong> {
    body::drain(body).await;
    ping(state).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_threshold_is_the_default() {
        assert_eq!(min_confidence(""), Ok(0.4));
        assert_eq!(min_confidence("0.55"), Ok(0.55));
        assert!(min_confidence("40").is_err());
    }
}
