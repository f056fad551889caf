//! The Open Inference Protocol v2 over HTTP: JSON, optionally followed by tensors as bytes.
//!
//! The protocol's meaning is in [`crate::open_inference`]; here are only paths, bodies and statuses.

pub mod request;
pub mod response;
mod schema;

use std::sync::Arc;

use axum::extract::{FromRequestParts, RawPathParams, Request, State};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::health::readiness;
use crate::app::App;
use crate::blocking::blocking;
use crate::body;
use crate::model_repository::ModelEntry;
use crate::open_inference::{self, describe, repository, statistics};
use crate::problem::Problem;
use crate::request_context::RequestContext;
pub use schema::InferenceError;

/// Routes.
pub fn routes() -> Router<Arc<App>> {
    let mut router = Router::new()
        .route("/v2", get(server))
        .route("/v2/health/live", get(live))
        .route("/v2/health/ready", get(ready))
        .route("/v2/models", get(models))
        .route("/v2/models/stats", get(all_statistics))
        .route("/v2/repository/index", post(index))
        .route("/v2/repository/models/{model}/load", post(load))
        .route("/v2/repository/models/{model}/unload", post(unload));
    for model in [
        "/v2/models/{model}",
        "/v2/models/{model}/versions/{version}",
    ] {
        router = router
            .route(model, get(metadata))
            .route(&format!("{model}/ready"), get(model_ready))
            .route(&format!("{model}/config"), get(config))
            .route(&format!("{model}/stats"), get(model_statistics))
            .route(&format!("{model}/infer"), post(infer));
    }
    router
}

/// The model in a path, and the version if there is one.
pub struct ModelPath {
    model: String,
    version: Option<String>,
}

impl ModelPath {
    fn entry(&self, app: &App) -> Result<Arc<ModelEntry>, Problem> {
        app.models.find(Some(&self.model))
    }

    fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }
}

impl FromRequestParts<Arc<App>> for ModelPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let wrong = |_| Problem::bad_request("the path is not UTF-8");
        let values = RawPathParams::from_request_parts(parts, app).await;
        let values = values.map_err(wrong)?;
        let value = |name| {
            let mut all = values.iter();
            all.find(|value| value.0 == name)
                .map(|value| value.1.to_owned())
        };
        Ok(Self {
            model: value("model").unwrap_or_default(),
            version: value("version"),
        })
    }
}

/// The server itself.
#[utoipa::path(
    get, path = "/v2", tag = "inference", operation_id = "inferenceServer",
    summary = "The server and its extensions",
    responses(
        (status = 200, description = "Name, version and extensions.", body = schema::Server),
        (status = 400), (status = 401),
    )
)]
pub async fn server() -> Json<Value> {
    Json(describe::server())
}

/// Liveness.
#[utoipa::path(
    get, path = "/v2/health/live", tag = "inference", operation_id = "inferenceLive",
    summary = "Liveness",
    responses(
        (status = 200, description = "The process answers.", body = schema::Live),
        (status = 400),
    )
)]
pub async fn live() -> Json<Value> {
    Json(json!({"live": true}))
}

/// Readiness.
#[utoipa::path(
    get, path = "/v2/health/ready", tag = "inference", operation_id = "inferenceReady",
    summary = "Readiness",
    responses(
        (status = 200, description = "Loading of every model has been tried and the default serves.", body = schema::Ready),
        (status = 400),
        (status = 503, description = "Not yet, or the default does not serve.", body = schema::Ready),
    )
)]
pub async fn ready(State(app): State<Arc<App>>) -> Response {
    let ready = app.models.is_ready();
    (readiness(ready), Json(json!({"ready": ready}))).into_response()
}

/// Lists the models.
#[utoipa::path(
    get, path = "/v2/models", tag = "inference", operation_id = "inferenceModels",
    summary = "List the models",
    responses(
        (status = 200, description = "All models.", body = schema::Models),
        (status = 400), (status = 401),
    )
)]
pub async fn models(State(app): State<Arc<App>>) -> Json<Value> {
    let entries = repository::index(&app, false);
    let names: Vec<String> = entries.into_iter().map(|entry| entry.name).collect();
    Json(json!({"models": names}))
}

/// Describes a model.
#[utoipa::path(
    get, path = "/v2/models/{model}", tag = "inference", operation_id = "inferenceModelMetadata",
    summary = "A model's inputs and outputs",
    params(("model" = String, Path, description = "The model's name.", example = "yolo11n")),
    responses(
        (status = 200, description = "Names, types and shapes.", body = describe::ModelMetadata),
        (status = 400), (status = 401), (status = 404), (status = 503),
    )
)]
pub async fn metadata(
    State(app): State<Arc<App>>,
    path: ModelPath,
) -> Result<Json<describe::ModelMetadata>, Problem> {
    let entry = path.entry(&app)?;
    describe::metadata(&entry, path.version()).map(Json)
}

/// Readiness of a model.
#[utoipa::path(
    get, path = "/v2/models/{model}/ready", tag = "inference", operation_id = "inferenceModelReady",
    summary = "Readiness of a model",
    params(("model" = String, Path, description = "The model's name.", example = "yolo11n")),
    responses(
        (status = 200, description = "The model serves.", body = schema::ModelReady),
        (status = 400), (status = 401), (status = 404), (status = 503),
    )
)]
pub async fn model_ready(
    State(app): State<Arc<App>>,
    path: ModelPath,
) -> Result<Json<Value>, Problem> {
    let entry = path.entry(&app)?;
    open_inference::loaded_version(&entry, path.version())?;
    Ok(Json(json!({"name": entry.name, "ready": true})))
}

/// How a model is run.
#[utoipa::path(
    get, path = "/v2/models/{model}/config", tag = "inference", operation_id = "inferenceModelConfig",
    summary = "A model's configuration",
    params(("model" = String, Path, description = "The model's name.", example = "yolo11n")),
    responses(
        (status = 200, description = "In the terms of Triton.", body = schema::ModelConfig),
        (status = 400), (status = 401), (status = 404), (status = 503),
    )
)]
pub async fn config(State(app): State<Arc<App>>, path: ModelPath) -> Result<Json<Value>, Problem> {
    let entry = path.entry(&app)?;
    let config = describe::config(&app, &entry, path.version())?;
    Ok(Json(config.json()))
}

/// What all models have done.
#[utoipa::path(
    get, path = "/v2/models/stats", tag = "inference", operation_id = "inferenceStatistics",
    summary = "Statistics of all models",
    responses(
        (status = 200, description = "What the models that serve have done.", body = statistics::AllStatistics),
        (status = 400), (status = 401),
    )
)]
pub async fn all_statistics(State(app): State<Arc<App>>) -> Json<statistics::AllStatistics> {
    Json(statistics::all(&app))
}

/// What a model has done.
#[utoipa::path(
    get, path = "/v2/models/{model}/stats", tag = "inference", operation_id = "inferenceModelStatistics",
    summary = "Statistics of a model",
    params(("model" = String, Path, description = "The model's name.", example = "yolo11n")),
    responses(
        (status = 200, description = "What the model has done.", body = statistics::AllStatistics),
        (status = 400), (status = 401), (status = 404), (status = 503),
    )
)]
pub async fn model_statistics(
    State(app): State<Arc<App>>,
    path: ModelPath,
) -> Result<Json<statistics::AllStatistics>, Problem> {
    let entry = path.entry(&app)?;
    statistics::of(&entry, path.version()).map(Json)
}

/// Lists the models and their states.
#[utoipa::path(
    post, path = "/v2/repository/index", tag = "inference", operation_id = "inferenceRepositoryIndex",
    summary = "List the models and their states",
    description = "Also looks for new files in the model directory, if there is one.",
    request_body(description = "May be empty.", content = Option<schema::IndexRequest>),
    responses(
        (status = 200, description = "All models, or only those that serve.", body = Vec<repository::IndexEntry>),
        (status = 400), (status = 401), (status = 403),
        (status = 408), (status = 413), (status = 415), (status = 503),
    )
)]
pub async fn index(
    State(app): State<Arc<App>>,
    Extension(mut context): Extension<RequestContext>,
    request: Request,
) -> Result<Json<Vec<repository::IndexEntry>>, Problem> {
    #[derive(Default, Deserialize)]
    struct Options {
        #[serde(default)]
        ready: bool,
    }
    let options: Options = small_json(&app, &mut context, request)
        .await?
        .unwrap_or_default();
    Ok(Json(repository::index(&app, options.ready)))
}

/// Loads a model.
#[utoipa::path(
    post, path = "/v2/repository/models/{model}/load", tag = "inference", operation_id = "inferenceRepositoryLoad",
    summary = "Load or reload a model",
    params(("model" = String, Path, description = "The model's name.", example = "yolo11n")),
    request_body(description = "May be empty.", content = Option<schema::LoadRequest>),
    responses(
        (status = 200, description = "The model is ready.", body = schema::Done),
        (status = 400), (status = 401), (status = 403), (status = 404),
        (status = 408), (status = 413), (status = 415),
        (status = 422, description = "The model could not be loaded; an older version goes on serving."),
        (status = 503),
    )
)]
pub async fn load(
    State(app): State<Arc<App>>,
    Extension(mut context): Extension<RequestContext>,
    path: ModelPath,
    request: Request,
) -> Result<Json<Value>, Problem> {
    #[derive(Default, Deserialize)]
    struct Options {
        #[serde(default)]
        parameters: std::collections::BTreeMap<String, serde::de::IgnoredAny>,
    }
    let options: Options = small_json(&app, &mut context, request)
        .await?
        .unwrap_or_default();
    let mut names = options.parameters.keys();
    let overrides = names.any(|name| repository::is_override(name));
    repository::load(&app, &path.model, overrides).await?;
    Ok(Json(describe::empty()))
}

/// Unloads a model.
#[utoipa::path(
    post, path = "/v2/repository/models/{model}/unload", tag = "inference", operation_id = "inferenceRepositoryUnload",
    summary = "Unload a model",
    description = "Responds when the requests that the model has admitted are answered. The body is ignored.",
    params(("model" = String, Path, description = "The model's name.", example = "yolo11n")),
    responses(
        (status = 200, description = "The model is unloaded.", body = schema::Done),
        (status = 400), (status = 401), (status = 403), (status = 404),
        (status = 408), (status = 413), (status = 415), (status = 503),
    )
)]
pub async fn unload(
    State(app): State<Arc<App>>,
    Extension(mut context): Extension<RequestContext>,
    path: ModelPath,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let (parts, body) = request.into_parts();
    body::read(&app, &mut context, &parts.headers, body).await?;
    repository::unload(&app, &path.model).await?;
    Ok(Json(describe::empty()))
}

/// A body that is a JSON object or empty.
async fn small_json<T: for<'a> Deserialize<'a>>(
    app: &App,
    context: &mut RequestContext,
    request: Request,
) -> Result<Option<T>, Problem> {
    let (parts, body) = request.into_parts();
    let body = body::read(app, context, &parts.headers, body).await?;
    if body.bytes.trim_ascii().is_empty() {
        return Ok(None);
    }
    // A list would pass for an object without names.
    if !body.bytes.trim_ascii_start().starts_with(b"{") {
        return Err(Problem::bad_request(
            "the body must be a JSON object, or empty",
        ));
    }
    let value = serde_json::from_slice(&body.bytes);
    value.map(Some).map_err(|error| request::not_json(&error))
}

/// Runs a model on a tensor.
#[utoipa::path(
    post, path = "/v2/models/{model}/infer", tag = "inference", operation_id = "infer",
    summary = "Run a model on tensors",
    description = "Takes images as a tensor, already scaled, and gives the network's raw output. The \
                   tensor is in the JSON, or follows it as bytes: then the header \
                   `Inference-Header-Content-Length` has the length of the JSON.",
    params(
        ("model" = String, Path, description = "The model's name.", example = "yolo11n"),
        ("Inference-Header-Content-Length" = Option<u64>, Header, description = "Length of the JSON in bytes, if tensors follow it."),
    ),
    request_body(
        description = "JSON, or JSON and the bytes of tensors.",
        content(
            (schema::Request = "application/json"),
            (schema::TensorBytes = "application/octet-stream"),
        )
    ),
    responses(
        (status = 200, description = "The network's output.", content(
            (schema::Response = "application/json"),
            (schema::TensorBytes = "application/octet-stream"),
        )),
        (status = 400), (status = 401), (status = 403), (status = 404), (status = 408),
        (status = 413), (status = 415), (status = 429), (status = 503),
    )
)]
pub async fn infer(
    State(app): State<Arc<App>>,
    Extension(mut context): Extension<RequestContext>,
    path: ModelPath,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let entry = precheck(&app, &context, &path);
    let (entry, body) = body::keep_if_ok(entry, body).await?;
    let body = body::read(&app, &mut context, &parts.headers, body).await?;
    let json_length = text(&parts.headers, request::JSON_LENGTH)?;
    let json_length = json_length.map(request::json_length).transpose()?;
    // A number takes at least two letters, and four bytes once it is read.
    let all = body.bytes.len();
    body.share.grow(2 * json_length.unwrap_or(all).min(all))?;
    let bytes = body.bytes.clone();
    let parsed = blocking(move || request::parse(&bytes, json_length)).await??;
    let binary = parsed.binary;
    let response = open_inference::infer(&app, &entry, path.version(), &context, parsed.request);
    let response = response.await?;
    drop(body);
    blocking(move || response::response(&response, binary)).await
}

/// The model, if it would admit a request now. Called before the body is read.
fn precheck(
    app: &App,
    context: &RequestContext,
    path: &ModelPath,
) -> Result<Arc<ModelEntry>, Problem> {
    let entry = path.entry(app)?;
    open_inference::loaded_version(&entry, path.version())?;
    app.inference.precheck(&entry, context)?;
    Ok(entry)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Problem> {
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    let wrong = |_| Problem::bad_request(format!("the header {name} is not plain text"));
    value.to_str().map(Some).map_err(wrong)
}
