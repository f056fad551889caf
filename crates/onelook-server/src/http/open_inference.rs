//! The Open Inference Protocol v2 over HTTP: JSON, optionally followed by tensors as bytes.
//!
//! The protocol's meaning is in [`crate::open_inference`]; here are only paths, bodies and statuses.

pub mod request;
pub mod response;

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
struct ModelPath {
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

async fn server() -> Json<Value> {
    Json(describe::server())
}

async fn live() -> Json<Value> {
    Json(json!({"live": true}))
}

async fn ready(State(app): State<Arc<App>>) -> Response {
    let ready = app.models.is_ready();
    (readiness(ready), Json(json!({"ready": ready}))).into_response()
}

async fn models(State(app): State<Arc<App>>) -> Json<Value> {
    let entries = repository::index(&app, false);
    let names: Vec<String> = entries.into_iter().map(|entry| entry.name).collect();
    Json(json!({"models": names}))
}

async fn metadata(
    State(app): State<Arc<App>>,
    path: ModelPath,
) -> Result<Json<describe::ModelMetadata>, Problem> {
    let entry = path.entry(&app)?;
    describe::metadata(&entry, path.version()).map(Json)
}

async fn model_ready(State(app): State<Arc<App>>, path: ModelPath) -> Result<Json<Value>, Problem> {
    let entry = path.entry(&app)?;
    open_inference::loaded_version(&entry, path.version())?;
    Ok(Json(json!({"name": entry.name, "ready": true})))
}

async fn config(State(app): State<Arc<App>>, path: ModelPath) -> Result<Json<Value>, Problem> {
    let entry = path.entry(&app)?;
    let config = describe::config(&app, &entry, path.version())?;
    Ok(Json(config.json()))
}

async fn all_statistics(State(app): State<Arc<App>>) -> Json<statistics::AllStatistics> {
    Json(statistics::all(&app))
}

async fn model_statistics(
    State(app): State<Arc<App>>,
    path: ModelPath,
) -> Result<Json<statistics::AllStatistics>, Problem> {
    let entry = path.entry(&app)?;
    statistics::of(&entry, path.version()).map(Json)
}

async fn index(
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

async fn load(
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

async fn unload(
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

/// A body that is JSON or empty.
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
    let value = serde_json::from_slice(&body.bytes);
    value.map(Some).map_err(|error| request::not_json(&error))
}

async fn infer(
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
