//! The protocol of DeepStack and CodeProject.AI, which cameras' programs and home automation speak:
//! a form with one picture in, boxes in whole pixels out.

mod response;

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

use super::Visit;
use super::detect::fraction;
use super::multipart::{self, Part};
use crate::app::App;
use crate::body::{self, Held};
use crate::model_repository::Slot;
use crate::problem::{Kind, Problem, ProblemBody};
use response::{CustomModels, Pong, Predictions, Refusal, VisionForm};

/// Clients that send no threshold expect the protocol's own.
const MIN_CONFIDENCE: f32 = 0.4;

/// Most fields of a form; clients send a few that mean nothing here.
const MAX_FIELDS: usize = 32;

/// Routes.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/v1/vision/detection", post(detection))
        .route("/v1/vision/custom/list", get(list_by_get).post(list))
        .route("/v1/vision/custom/{name}", post(custom))
        .route("/v1/status/ping", get(ping).post(ping_by_post))
}

/// Finds objects with the default model.
#[utoipa::path(
    post, path = "/v1/vision/detection", tag = "deepstack", operation_id = "visionDetection",
    summary = "Find objects, as DeepStack and CodeProject.AI do",
    request_body(content = VisionForm, content_type = "multipart/form-data"),
    responses(
        (status = 200, description = "What was found.", body = Predictions),
        (status = 400, description = "The form makes no sense, has no picture, or one that cannot be read.", body = Refusal),
        (status = 401, description = "No token, or one that is not known.", body = Refusal),
        (status = 403, description = "The token does not allow this.", body = Refusal),
        (status = 404, description = "There is no model.", body = Refusal),
        (status = 408, description = "The body came too slowly.", body = Refusal),
        (status = 413, description = "The body or the picture is larger than allowed.", body = Refusal),
        (status = 415, description = "The body is no form.", body = Refusal),
        (status = 429, description = "This client asks for more than its share.", body = Refusal),
        (status = 503, description = "Too much to do, or the model is not loaded.", body = Refusal),
    )
)]
pub async fn detection(
    State(app): State<Arc<App>>,
    Extension(visit): Extension<Visit>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Predictions>, Problem> {
    let slot = app.catalogue.slot(None);
    find(&app, visit, slot, &headers, body).await
}

/// Finds objects with a named model.
#[utoipa::path(
    post, path = "/v1/vision/custom/{name}", tag = "deepstack", operation_id = "visionCustom",
    summary = "Find objects with a named model, as DeepStack and CodeProject.AI do",
    params(("name" = String, Path, description = "The model's name.", example = "yolo11n")),
    request_body(content = VisionForm, content_type = "multipart/form-data"),
    responses(
        (status = 200, description = "What was found.", body = Predictions),
        (status = 400, description = "The form makes no sense, has no picture, or one that cannot be read.", body = Refusal),
        (status = 401, description = "No token, or one that is not known.", body = Refusal),
        (status = 403, description = "The token does not allow this.", body = Refusal),
        (status = 404, description = "There is no such model; the answer names those that are.", body = Refusal),
        (status = 408, description = "The body came too slowly.", body = Refusal),
        (status = 413, description = "The body or the picture is larger than allowed.", body = Refusal),
        (status = 415, description = "The body is no form.", body = Refusal),
        (status = 429, description = "This client asks for more than its share.", body = Refusal),
        (status = 503, description = "Too much to do, or the model is not loaded.", body = Refusal),
    )
)]
pub async fn custom(
    State(app): State<Arc<App>>,
    Extension(visit): Extension<Visit>,
    name: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Predictions>, Problem> {
    let slot = match name {
        Ok(Path(name)) => app.catalogue.slot(Some(&name)),
        Err(_) => Err(Problem::bad_request(
            "the model's name is not text in UTF-8",
        )),
    };
    find(&app, visit, slot, &headers, body).await
}

async fn find(
    app: &App,
    visit: Visit,
    slot: Result<Arc<Slot>, Problem>,
    headers: &HeaderMap,
    body: Body,
) -> Result<Json<Predictions>, Problem> {
    let start = Instant::now();
    let knocked = slot.and_then(|slot| {
        app.stations.knock(&slot, &visit.errand.ask(1))?;
        Ok((slot, multipart::boundary(headers)?))
    });
    let (slot, boundary) = match knocked {
        Ok(knocked) => knocked,
        Err(problem) => {
            body::drain(body).await;
            return Err(problem);
        }
    };
    let (held, form) = form(app, body, &boundary).await?;
    let visit = visit.identified(app, form.token.as_deref())?;
    let thresholds = Thresholds {
        confidence: form.min_confidence,
        ..Thresholds::default()
    };
    let options = Options {
        thresholds,
        ..Options::default()
    };
    let picture = form.picture.ok_or_else(|| {
        Problem::bad_request("the form has no picture: send it as a file in the field 'image'")
    })?;
    let served = slot.served()?;
    let found = app
        .stations
        .detect(&slot, &visit.errand, picture.content, &options);
    let found = found.await.map_err(unreadable)?;
    drop(held);
    let (model, elapsed) = (&served.model, start.elapsed());
    Ok(Json(Predictions::of(&slot.name, model, &found, elapsed)))
}

/// Clients of this protocol know one status for all that is wrong with a picture.
fn unreadable(problem: Problem) -> Problem {
    match problem.kind {
        Kind::Unsupported | Kind::Unprocessable => Problem {
            kind: Kind::BadRequest,
            ..problem
        },
        _ => problem,
    }
}

/// What the form says, as far as it means something here.
struct Form {
    picture: Option<Part>,
    min_confidence: f32,
    token: Option<String>,
}

async fn form<'a>(app: &'a App, body: Body, boundary: &str) -> Result<(Held<'a>, Form), Problem> {
    let mut held = body::read(app, body).await?;
    let bytes = std::mem::take(&mut held.bytes);
    let mut form = Form {
        picture: None,
        min_confidence: MIN_CONFIDENCE,
        token: None,
    };
    for part in multipart::parts(&bytes, boundary, MAX_FIELDS)? {
        match part.name.as_str() {
            "min_confidence" => form.min_confidence = min_confidence(part.text()?)?,
            "api_key" => form.token = Some(part.text()?.to_owned()),
            // Clients name it image, image1, or as they like: the first file counts.
            name if form.picture.is_none() && (part.is_picture() || name == "image1") => {
                form.picture = Some(part);
            }
            _ => {}
        }
    }
    Ok((held, form))
}

fn min_confidence(text: &str) -> Result<f32, Problem> {
    if text.is_empty() {
        return Ok(MIN_CONFIDENCE);
    }
    let shown: String = text.chars().take(80).collect();
    let wrong = |reason| Problem::bad_request(format!("min_confidence: {shown:?}: {reason}"));
    fraction(text).map_err(wrong)
}

/// Which models there are.
#[utoipa::path(
    post, path = "/v1/vision/custom/list", tag = "deepstack", operation_id = "visionCustomList",
    summary = "Which models there are, as DeepStack and CodeProject.AI tell",
    responses(
        (status = 200, description = "The models that answer.", body = CustomModels),
        (status = 400, description = "The form or a header makes no sense.", body = Refusal),
        (status = 401, description = "No token, or one that is not known.", body = Refusal),
        (status = 403, description = "The token does not allow this.", body = Refusal),
        (status = 408, description = "The body came too slowly.", body = Refusal),
        (status = 413, description = "The body is larger than allowed.", body = Refusal),
        (status = 503, description = "Too much to do.", body = Refusal),
    )
)]
pub async fn list(
    State(app): State<Arc<App>>,
    Extension(visit): Extension<Visit>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<CustomModels>, Problem> {
    let token = match multipart::boundary(&headers) {
        Ok(boundary) => form(&app, body, &boundary).await?.1.token,
        Err(_) => {
            body::drain(body).await;
            None
        }
    };
    visit.identified(&app, token.as_deref())?;
    Ok(Json(CustomModels::of(&app)))
}

/// Which models there are.
#[utoipa::path(
    get, path = "/v1/vision/custom/list", tag = "deepstack", operation_id = "visionCustomListByGet",
    summary = "The same by GET",
    responses(
        (status = 200, description = "The models that answer.", body = CustomModels),
        (status = 400, description = "A header makes no sense.", body = Refusal),
        (status = 401, description = "No token, or one that is not known.", body = Refusal),
        (status = 403, description = "The token does not allow this.", body = Refusal),
    )
)]
pub async fn list_by_get(
    State(app): State<Arc<App>>,
    Extension(visit): Extension<Visit>,
) -> Result<Json<CustomModels>, Problem> {
    visit.identified(&app, None)?;
    Ok(Json(CustomModels::of(&app)))
}

/// A sign of life.
#[utoipa::path(
    get, path = "/v1/status/ping", tag = "deepstack", operation_id = "ping",
    summary = "Whether requests can be answered, as CodeProject.AI tells",
    responses(
        (status = 200, description = "The server lives; whether a model is ready is in the answer.", body = Pong),
        (status = 400, description = "A header makes no sense.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "No token, or one that is not known.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn ping(State(app): State<Arc<App>>) -> Json<Pong> {
    Json(Pong {
        success: app.catalogue.is_ready(),
    })
}

/// A sign of life.
#[utoipa::path(
    post, path = "/v1/status/ping", tag = "deepstack", operation_id = "pingByPost",
    summary = "The same by POST",
    responses(
        (status = 200, description = "The server lives; whether a model is ready is in the answer.", body = Pong),
        (status = 400, description = "A header makes no sense.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "No token, or one that is not known.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "The token does not allow this.", body = ProblemBody, content_type = "application/problem+json"),
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
    fn a_threshold_that_is_left_empty_is_the_usual_one() {
        assert_eq!(min_confidence(""), Ok(0.4));
        assert_eq!(min_confidence("0.55"), Ok(0.55));
        assert!(min_confidence("40").is_err());
    }
}
