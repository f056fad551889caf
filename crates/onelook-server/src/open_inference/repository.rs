//! The protocol's extension for the model repository: lists, loads and unloads models.

use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::metrics::MODEL_VERSION;
use crate::model_repository::ModelState;
use crate::problem::Problem;

/// A model and its state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = InferenceIndexEntry)]
pub struct IndexEntry {
    /// Its name.
    pub name: String,
    /// Its version; empty if it does not serve.
    pub version: String,
    /// `READY`, `LOADING` or `UNAVAILABLE`.
    pub state: &'static str,
    /// Why it does not serve, or why the last load failed.
    pub reason: String,
}

/// All models, or only those that serve.
pub fn index(app: &App, only_ready: bool) -> Vec<IndexEntry> {
    app.models.rescan();
    let entries = app.models.all();
    let entries = entries.iter().map(|entry| {
        let (version, state, reason) = match entry.state() {
            ModelState::Ready(_) => {
                let warning = entry.error().unwrap_or_default();
                (MODEL_VERSION.to_owned(), "READY", warning)
            }
            ModelState::Loading => (String::new(), "LOADING", String::new()),
            ModelState::Unloaded => (String::new(), "UNAVAILABLE", "unloaded".to_owned()),
            ModelState::Failed(reason) => (String::new(), "UNAVAILABLE", reason),
        };
        IndexEntry {
            name: entry.name.clone(),
            version,
            state,
            reason,
        }
    });
    entries
        .filter(|entry| !only_ready || entry.state == "READY")
        .collect()
}

/// Loads a model, or loads it again while the old version serves. Returns when it is ready.
/// `overrides` says whether the request has a configuration or files of its own.
pub async fn load(app: &Arc<App>, name: &str, overrides: bool) -> Result<(), Problem> {
    if overrides {
        return Err(Problem::bad_request(
            "models are loaded only from the server's own files: send neither 'config' nor 'file:'",
        ));
    }
    app.models.rescan();
    let entry = app.models.find(Some(name))?;
    // Goes on when the client leaves: a load that is given up would leave the model in between.
    let app = Arc::clone(app);
    finish(tokio::spawn(async move {
        app.models.load(&entry).await.map(drop)
    }))
    .await?
}

/// Unloads a model. Returns when the requests that it has admitted are answered.
pub async fn unload(app: &Arc<App>, name: &str) -> Result<(), Problem> {
    let entry = app.models.find(Some(name))?;
    let app = Arc::clone(app);
    finish(tokio::spawn(async move { app.models.unload(&entry).await })).await?;
    Ok(())
}

async fn finish<T>(task: tokio::task::JoinHandle<T>) -> Result<T, Problem> {
    task.await
        .map_err(|error| Problem::internal(format!("the task failed: {error}")))
}

/// Whether a parameter of this name is a configuration or a file.
pub fn is_override(parameter: &str) -> bool {
    parameter == "config" || parameter.starts_with("file:")
}
