//! The Open Inference Protocol v2 over HTTP: JSON, and tensors as bytes behind the JSON.
//!
//! What it means is in [`crate::open_inference`]; here are only paths, bodies and statuses.

pub mod request;
pub mod response;

use std::sync::Arc;

use axum::extract::{FromRequestParts, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Visit;
use crate::app::App;
use crate::body;
use crate::inference_service::blocking;
use crate::model_repository::Slot;
use crate::open_inference::{self, describe, repository, statistics};
use crate::problem::Problem;

/// The length of a request's or an answer's JSON, where tensors follow it.
const HEAD_LENGTH: &str = "inference-header-content-length";

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

/// The model of a path, and its version if the path has one.
struct Asked {
    model: String,
    version: Option<String>,
}

impl Asked {
    fn slot(&self, app: &App) -> Result<Arc<Slot>, Problem> {
        app.catalogue.slot(Some(&self.model))
    }

    fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }
}

impl FromRequestParts<Arc<App>> for Asked {
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
    let ready = app.catalogue.is_ready();
    (health(ready), Json(json!({"ready": ready}))).into_response()
}

fn health(ready: bool) -> StatusCode {
    match ready {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    }
}

async fn models(State(app): State<Arc<App>>) -> Json<Value> {
    let entries = repository::index(&app, false);
    let names: Vec<String> = entries.into_iter().map(|entry| entry.name).collect();
    Json(json!({"models": names}))
}

async fn metadata(
    State(app): State<Arc<App>>,
    asked: Asked,
) -> Result<Json<describe::ModelMetadata>, Problem> {
    let slot = asked.slot(&app)?;
    describe::metadata(&slot, asked.version()).map(Json)
}

async fn model_ready(State(app): State<Arc<App>>, asked: Asked) -> Result<Json<Value>, Problem> {
    let slot = asked.slot(&app)?;
    open_inference::served(&slot, asked.version())?;
    Ok(Json(json!({"name": slot.name, "ready": true})))
}

async fn config(State(app): State<Arc<App>>, asked: Asked) -> Result<Json<Value>, Problem> {
    let slot = asked.slot(&app)?;
    let config = describe::config(&app, &slot, asked.version())?;
    Ok(Json(config.json()))
}

async fn all_statistics(State(app): State<Arc<App>>) -> Json<statistics::AllStatistics> {
    Json(statistics::all(&app))
}

async fn model_statistics(
    State(app): State<Arc<App>>,
    asked: Asked,
) -> Result<Json<statistics::AllStatistics>, Problem> {
    let slot = asked.slot(&app)?;
    statistics::of(&slot, asked.version()).map(Json)
}

async fn index(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Json<Vec<repository::Entry>>, Problem> {
    #[derive(Default, Deserialize)]
    struct Wanted {
        #[serde(default)]
        ready: bool,
    }
    let wanted: Wanted = small_json(&app, request).await?.unwrap_or_default();
    Ok(Json(repository::index(&app, wanted.ready)))
}

async fn load(
    State(app): State<Arc<App>>,
    asked: Asked,
    request: Request,
) -> Result<Json<Value>, Problem> {
    #[derive(Default, Deserialize)]
    struct Wanted {
        #[serde(default)]
        parameters: std::collections::BTreeMap<String, serde::de::IgnoredAny>,
    }
    let wanted: Wanted = small_json(&app, request).await?.unwrap_or_default();
    let mut names = wanted.parameters.keys();
    let overrides = names.any(|name| repository::is_override(name));
    repository::load(&app, &asked.model, overrides).await?;
    Ok(Json(describe::nothing()))
}

async fn unload(
    State(app): State<Arc<App>>,
    asked: Asked,
    request: Request,
) -> Result<Json<Value>, Problem> {
    body::read(&app, request.into_body()).await?;
    repository::unload(&app, &asked.model).await?;
    Ok(Json(describe::nothing()))
}

/// A body that is JSON or nothing.
async fn small_json<T: for<'a> Deserialize<'a>>(
    app: &App,
    request: Request,
) -> Result<Option<T>, Problem> {
    let held = body::read(app, request.into_body()).await?;
    if held.bytes.trim_ascii().is_empty() {
        return Ok(None);
    }
    let value = serde_json::from_slice(&held.bytes);
    value.map(Some).map_err(|error| request::not_json(&error))
}

async fn infer(
    State(app): State<Arc<App>>,
    Extension(visit): Extension<Visit>,
    asked: Asked,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let slot = match door(&app, &visit, &asked) {
        Ok(slot) => slot,
        Err(problem) => {
            body::drain(body).await;
            return Err(problem);
        }
    };
    let held = body::read(&app, body).await?;
    let encoding = text(&parts.headers, header::CONTENT_ENCODING.as_str())?;
    let held = body::inflated(&app, encoding.unwrap_or_default(), held).await?;
    let head_length = text(&parts.headers, HEAD_LENGTH)?;
    let head_length = head_length.map(request::head_length).transpose()?;
    let bytes = held.bytes.clone();
    let asked_for = blocking(move || request::parse(&bytes, head_length)).await??;
    let binary = asked_for.binary;
    let answer = open_inference::infer(
        &app,
        &slot,
        asked.version(),
        &visit.errand,
        asked_for.request,
    );
    let answer = answer.await?;
    drop(held);
    blocking(move || response::response(&answer, binary)).await
}

/// The model, unless it would refuse anyway: nobody needs to send a body in vain.
fn door(app: &App, visit: &Visit, asked: &Asked) -> Result<Arc<Slot>, Problem> {
    let slot = asked.slot(app)?;
    open_inference::served(&slot, asked.version())?;
    app.stations.knock(&slot, &visit.errand.ask(1))?;
    Ok(slot)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Problem> {
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    let wrong = |_| Problem::bad_request(format!("the header {name} is not plain text"));
    value.to_str().map(Some).map_err(wrong)
}
