//! `/v1/models`: lists, describes, loads and unloads models.

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
use crate::model_repository::{LoadedModel, ModelEntry, ModelStateName};
use crate::problem::Problem;

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
    /// The models; the default first.
    models: Vec<ModelCard>,
}

/// A model and its state. What is known only of a loaded model is null until it is loaded.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Model)]
pub struct ModelCard {
    /// The name in requests.
    #[schema(example = "yolo11n")]
    name: String,
    /// Its state.
    state: ModelStateName,
    /// Why the last load failed, if it did.
    error: Option<String>,
    /// The file that it is loaded from.
    #[schema(example = "yolo11n.pt")]
    source: String,
    /// Counts loads, from 1.
    version: Option<u64>,
    /// Whether it is the model of requests that name none.
    default: bool,
    /// The task that it was trained for.
    #[schema(example = "detect")]
    task: Option<&'static str>,
    /// Family and scale.
    #[schema(example = "yolo11n")]
    architecture: Option<String>,
    /// Names of the classes by number.
    names: Option<Vec<String>>,
    /// Number of classes.
    classes: Option<usize>,
    /// The sides of the input must be multiples of this.
    #[schema(example = 32)]
    stride: Option<usize>,
    /// Height and width that images are scaled to fit into by default.
    #[schema(example = json!([640, 640]))]
    image_size: Option<[usize; 2]>,
    /// Whether it accepts only this size.
    fixed_size: Option<bool>,
    /// The device that it runs on.
    #[schema(example = "cpu, 8 threads, avx512")]
    device: Option<String>,
    /// Why it runs on this device.
    device_reason: Option<String>,
    /// Number format of the arithmetic.
    #[schema(example = "f32")]
    precision: Option<String>,
    /// Licence of the weights, if the file names one.
    licence: Option<String>,
    /// Other metadata of the file, as pairs.
    notes: Option<Vec<[String; 2]>>,
    /// Time of loading and of the first run.
    load_ms: Option<f64>,
    /// Its queue.
    queue: QueueCard,
    /// Largest number of images in one run.
    max_batch: Option<usize>,
}

/// The queue of a model.
#[derive(Debug, Serialize, ToSchema)]
pub struct QueueCard {
    /// Number of waiting requests.
    length: usize,
    /// Largest number of waiting requests.
    capacity: usize,
}

impl ModelCard {
    fn of(app: &App, entry: &ModelEntry) -> Self {
        let state = entry.state();
        let loaded = state.loaded().map(Arc::as_ref);
        let metadata = loaded.map(|loaded| loaded.model.metadata());
        let file = entry.source.file_name().unwrap_or_default();
        Self {
            name: entry.name.clone(),
            state: state.name(),
            error: entry.error(),
            source: file.to_string_lossy().into_owned(),
            version: loaded.map(|loaded| loaded.version),
            default: app.models.is_default(&entry.name),
            task: metadata.map(|metadata| metadata.task().name()),
            architecture: metadata.map(|metadata| metadata.architecture.clone()),
            names: metadata.map(|metadata| metadata.names.clone()),
            classes: metadata.map(|metadata| metadata.head.classes()),
            stride: metadata.map(|metadata| metadata.stride),
            image_size: metadata.map(|metadata| metadata.image_size),
            fixed_size: metadata.map(|metadata| metadata.fixed_size),
            device: loaded.map(|loaded| loaded.model.device().to_owned()),
            device_reason: loaded.map(|loaded| loaded.model.device_reason().to_owned()),
            precision: loaded.map(|_| app.config.load.precision.to_string()),
            licence: metadata.and_then(licence),
            notes: metadata.map(notes),
            load_ms: loaded.map(|loaded| milliseconds(loaded.load_time)),
            queue: QueueCard::of(app, loaded),
            max_batch: loaded.map(|loaded| loaded.max_batch),
        }
    }
}

impl QueueCard {
    /// The queue of a model, which need not be loaded.
    pub fn of(app: &App, loaded: Option<&LoadedModel>) -> Self {
        Self {
            length: loaded.map_or(0, |loaded| loaded.admission.length()),
            capacity: loaded.map_or(app.config.queue, |loaded| loaded.admission.capacity()),
        }
    }

    /// Number of waiting requests, and how many may wait.
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

/// Lists all models.
#[utoipa::path(
    get, path = "/v1/models", tag = "models", operation_id = "listModels",
    summary = "List the models",
    description = "Also looks for new files in the model directory, if there is one.",
    responses(
        (status = 200, description = "The default first, then the others in the order of the command line.", body = ModelList),
        (status = 400), (status = 401),
    )
)]
pub async fn list(State(app): State<Arc<App>>) -> Json<ModelList> {
    app.models.rescan();
    let entries = app.models.all();
    let models = entries
        .iter()
        .map(|entry| ModelCard::of(&app, entry))
        .collect();
    Json(ModelList { models })
}

/// Describes one model.
#[utoipa::path(
    get, path = "/v1/models/{name}", tag = "models", operation_id = "describeModel",
    summary = "Describe a model",
    params(("name" = String, Path, description = "The model's name.", example = "yolo11n")),
    responses(
        (status = 200, description = "The model.", body = ModelCard),
        (status = 400), (status = 401), (status = 404),
    )
)]
pub async fn one(
    State(app): State<Arc<App>>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Json<ModelCard>, Problem> {
    let entry = find(&app, name)?;
    Ok(Json(ModelCard::of(&app, &entry)))
}

/// Loads a model.
#[utoipa::path(
    post, path = "/v1/models/{name}/load", tag = "models", operation_id = "loadModel",
    summary = "Load or reload a model",
    description = "Responds when the model is ready. An older version goes on serving until the new \
                   one has done a first run, and still answers the requests that it has admitted. \
                   The body is ignored.",
    params(("name" = String, Path, description = "The model's name.", example = "yolo11n")),
    responses(
        (status = 200, description = "The model is ready.", body = ModelCard),
        (status = 400), (status = 401), (status = 403), (status = 404),
        (status = 422, description = "The model could not be loaded; an older version goes on serving."),
    )
)]
pub async fn load(
    State(app): State<Arc<App>>,
    name: Result<Path<String>, PathRejection>,
    body: Body,
) -> Result<Json<ModelCard>, Problem> {
    body::drain(body).await;
    let entry = find(&app, name)?;
    let (owner, loaded) = (Arc::clone(&app), Arc::clone(&entry));
    // In a task of its own: loading goes on if the client disconnects.
    let task = tokio::spawn(async move { owner.models.load(&loaded).await.map(drop) });
    task.await.map_err(Problem::internal)??;
    Ok(Json(ModelCard::of(&app, &entry)))
}

/// Unloads a model.
#[utoipa::path(
    post, path = "/v1/models/{name}/unload", tag = "models", operation_id = "unloadModel",
    summary = "Unload a model",
    description = "Responds when the requests that the model has admitted are answered. The body is \
                   ignored.",
    params(("name" = String, Path, description = "The model's name.", example = "yolo11n")),
    responses(
        (status = 200, description = "The model is unloaded.", body = ModelCard),
        (status = 400), (status = 401), (status = 403), (status = 404),
    )
)]
pub async fn unload(
    State(app): State<Arc<App>>,
    name: Result<Path<String>, PathRejection>,
    body: Body,
) -> Result<Json<ModelCard>, Problem> {
    body::drain(body).await;
    let entry = find(&app, name)?;
    let (owner, unloaded) = (Arc::clone(&app), Arc::clone(&entry));
    let task = tokio::spawn(async move { owner.models.unload(&unloaded).await });
    task.await.map_err(Problem::internal)?;
    Ok(Json(ModelCard::of(&app, &entry)))
}

/// The model with the name in the path.
fn find(app: &App, name: Result<Path<String>, PathRejection>) -> Result<Arc<ModelEntry>, Problem> {
    let Ok(Path(name)) = name else {
        return Err(Problem::bad_request(
            "the model's name in the path is not UTF-8",
        ));
    };
    app.models.rescan();
    app.models.find(Some(&name))
}
