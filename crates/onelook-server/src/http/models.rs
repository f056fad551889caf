//! `/v1/models`: which models there are, what they are, and loading and unloading them.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use onelook::record::milliseconds;
use onelook::types::Metadata;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::body;
use crate::model_repository::{Served, Slot, State as SlotState};
use crate::problem::{Kind, Problem, ProblemBody};

/// Routes.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/v1/models", get(list))
        .route("/v1/models/{name}", get(one))
        .route("/v1/models/{name}/load", post(load))
        .route("/v1/models/{name}/unload", post(unload))
}

/// All models.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelList {
    /// The default first.
    models: Vec<ModelCard>,
}

/// A model and what it is doing. What only a loaded model tells is null until it is loaded.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Model)]
pub struct ModelCard {
    /// The name in requests.
    #[schema(example = "yolo11n")]
    name: String,
    /// What it is doing.
    #[schema(value_type = ModelState)]
    state: &'static str,
    /// Why the last load failed, if it did.
    error: Option<String>,
    /// The file that it is loaded from.
    #[schema(example = "yolo11n.pt")]
    source: String,
    /// Counts loads, from 1.
    version: Option<u64>,
    /// Whether requests that name no model get this one.
    default: bool,
    /// What it was trained for.
    #[schema(example = "detect")]
    task: Option<&'static str>,
    /// Family and scale.
    #[schema(example = "yolo11n")]
    architecture: Option<String>,
    /// Names of the classes by number.
    names: Option<Vec<String>>,
    /// How many classes.
    classes: Option<usize>,
    /// The input's sides are multiples of this.
    #[schema(example = 32)]
    stride: Option<usize>,
    /// Height and width that pictures are fitted into unless a request says otherwise.
    #[schema(example = json!([640, 640]))]
    image_size: Option<[usize; 2]>,
    /// Whether it takes no other size.
    fixed_size: Option<bool>,
    /// Where it runs.
    #[schema(example = "cpu, 8 threads, avx512")]
    device: Option<String>,
    /// Why it runs there.
    device_reason: Option<String>,
    /// Number format of the arithmetic.
    #[schema(example = "f32")]
    precision: Option<String>,
    /// Licence of the weights, where the file tells.
    licence: Option<String>,
    /// What else the file says, as pairs.
    notes: Option<Vec<[String; 2]>>,
    /// Time of loading and of the first run.
    load_ms: Option<f64>,
    /// The queue before it.
    queue: QueueCard,
    /// Most pictures in one run.
    max_batch: Option<usize>,
}

/// The queue before a model.
#[derive(Debug, Serialize, ToSchema)]
pub struct QueueCard {
    /// Requests that wait.
    length: usize,
    /// Most requests that may wait.
    capacity: usize,
}

/// What a model is doing.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "only described: the catalogue has the words")]
pub enum ModelState {
    /// It answers requests.
    Ready,
    /// It is being loaded for the first time.
    Loading,
    /// It could not be loaded.
    Failed,
    /// It is known and not loaded.
    Unloaded,
}

impl ModelCard {
    fn of(app: &App, slot: &Slot) -> Self {
        let state = slot.state();
        let served = match &state {
            SlotState::Ready(served) => Some(&**served),
            _ => None,
        };
        let metadata = served.map(|served| served.model.metadata());
        let file = slot.source.file_name().unwrap_or_default();
        Self {
            name: slot.name.clone(),
            state: state.name(),
            error: slot.error(),
            source: file.to_string_lossy().into_owned(),
            version: served.map(|served| served.version),
            default: app.catalogue.is_default(&slot.name),
            task: metadata.map(|metadata| metadata.task.name()),
            architecture: metadata.map(|metadata| metadata.architecture.clone()),
            names: metadata.map(|metadata| metadata.names.clone()),
            classes: metadata.map(|metadata| metadata.head.classes),
            stride: metadata.map(|metadata| metadata.stride),
            image_size: metadata.map(|metadata| metadata.image_size),
            fixed_size: metadata.map(|metadata| metadata.fixed_size),
            device: served.map(|served| served.model.device().to_owned()),
            device_reason: served.map(|served| served.model.device_reason().to_owned()),
            precision: served.map(|_| app.config.load.precision.to_string()),
            licence: metadata.and_then(licence),
            notes: metadata.map(notes),
            load_ms: served.map(|served| milliseconds(served.load_time)),
            queue: QueueCard::of(app, served),
            max_batch: served.map(|served| served.max_batch),
        }
    }
}

impl QueueCard {
    /// The queue of a model that may not be loaded.
    pub fn of(app: &App, served: Option<&Served>) -> Self {
        Self {
            length: served.map_or(0, |served| served.gate.length()),
            capacity: served.map_or(app.config.queue, |served| served.gate.capacity()),
        }
    }

    /// Requests that wait, and how many may.
    pub fn figures(&self) -> (usize, usize) {
        (self.length, self.capacity)
    }
}

fn licence(metadata: &Metadata) -> Option<String> {
    let mut notes = metadata.notes.iter();
    let found = notes.find(|(key, _)| matches!(key.as_str(), "license" | "licence"));
    found.map(|(_, value)| value.clone())
}

fn notes(metadata: &Metadata) -> Vec<[String; 2]> {
    let notes = metadata.notes.iter();
    notes
        .map(|(key, value)| [key.clone(), value.clone()])
        .collect()
}

/// All models.
#[utoipa::path(
    get, path = "/v1/models", tag = "models", operation_id = "listModels",
    summary = "Which models there are",
    description = "With a model directory, new files in it are found by asking.",
    responses(
        (status = 200, description = "The default first, then in the order of the command line.", body = ModelList),
        (status = 400, description = "A header makes no sense.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "No token, or one that is not known.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn list(State(app): State<Arc<App>>) -> Json<ModelList> {
    app.catalogue.rescan();
    let slots = app.catalogue.all();
    let models = slots.iter().map(|slot| ModelCard::of(&app, slot)).collect();
    Json(ModelList { models })
}

/// One model.
#[utoipa::path(
    get, path = "/v1/models/{name}", tag = "models", operation_id = "describeModel",
    summary = "What a model is and does",
    params(("name" = String, Path, description = "The model's name.", example = "yolo11n")),
    responses(
        (status = 200, description = "The model.", body = ModelCard),
        (status = 400, description = "The name or a header makes no sense.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "No token, or one that is not known.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "There is no such model; the answer names those that are.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn one(
    State(app): State<Arc<App>>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Json<ModelCard>, Problem> {
    let slot = find(&app, name)?;
    Ok(Json(ModelCard::of(&app, &slot)))
}

/// Loads a model.
#[utoipa::path(
    post, path = "/v1/models/{name}/load", tag = "models", operation_id = "loadModel",
    summary = "Load a model, or load it anew",
    description = "Answers when the model is ready. A model that serves already goes on serving \
                   until the new one has done a first run; whoever came to the old one still gets \
                   an answer. The body is ignored.",
    params(("name" = String, Path, description = "The model's name.", example = "yolo11n")),
    responses(
        (status = 200, description = "The model is ready.", body = ModelCard),
        (status = 400, description = "The name or a header makes no sense.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "No token, or one that is not known.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "The token is not one of scope admin.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "There is no such model; the answer names those that are.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "The model could not be loaded; an older version goes on serving.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn load(
    State(app): State<Arc<App>>,
    name: Result<Path<String>, PathRejection>,
    body: Body,
) -> Result<Json<ModelCard>, Problem> {
    body::drain(body).await;
    let slot = find(&app, name)?;
    let (owner, loaded) = (Arc::clone(&app), Arc::clone(&slot));
    // A client that goes away must not leave the model half loaded.
    let task = tokio::spawn(async move { owner.catalogue.load(&loaded).await.map(drop) });
    task.await.map_err(Problem::internal)??;
    Ok(Json(ModelCard::of(&app, &slot)))
}

/// Unloads a model.
#[utoipa::path(
    post, path = "/v1/models/{name}/unload", tag = "models", operation_id = "unloadModel",
    summary = "Unload a model",
    description = "Answers when everybody who came to the model has an answer. The body is ignored.",
    params(("name" = String, Path, description = "The model's name.", example = "yolo11n")),
    responses(
        (status = 200, description = "The model is not loaded any more.", body = ModelCard),
        (status = 400, description = "The name or a header makes no sense.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "No token, or one that is not known.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "The token is not one of scope admin.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "There is no such model; the answer names those that are.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn unload(
    State(app): State<Arc<App>>,
    name: Result<Path<String>, PathRejection>,
    body: Body,
) -> Result<Json<ModelCard>, Problem> {
    body::drain(body).await;
    let slot = find(&app, name)?;
    let (owner, unloaded) = (Arc::clone(&app), Arc::clone(&slot));
    let task = tokio::spawn(async move { owner.catalogue.unload(&unloaded).await });
    task.await.map_err(Problem::internal)?;
    Ok(Json(ModelCard::of(&app, &slot)))
}

/// The model of a path; a name that is no text cannot be a model's.
fn find(app: &App, name: Result<Path<String>, PathRejection>) -> Result<Arc<Slot>, Problem> {
    let Ok(Path(name)) = name else {
        let detail = "the model's name in the path is not text in UTF-8";
        return Err(Problem::new(Kind::BadRequest, detail));
    };
    app.catalogue.rescan();
    app.catalogue.slot(Some(&name))
}
