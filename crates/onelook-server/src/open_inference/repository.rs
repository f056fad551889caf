//! The models by name and state; loading and unloading them.

use serde::Serialize;

use crate::app::App;
use crate::model_repository::State;
use crate::problem::Problem;

/// A model and its state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// The version that serves; nothing where none does.
    pub version: String,
    /// `READY`, `LOADING` or `UNAVAILABLE`.
    pub state: &'static str,
    /// Why it does not serve.
    pub reason: String,
}

/// All models, or only those that serve.
pub fn index(app: &App, only_ready: bool) -> Vec<Entry> {
    app.catalogue.rescan();
    let slots = app.catalogue.all();
    let entries = slots.iter().map(|slot| {
        let (version, state, reason) = match slot.state() {
            State::Ready(_) => {
                let warning = slot.error().unwrap_or_default();
                (super::VERSION.to_owned(), "READY", warning)
            }
            State::Loading => (String::new(), "LOADING", String::new()),
            State::Unloaded => (String::new(), "UNAVAILABLE", "unloaded".to_owned()),
            State::Failed(reason) => (String::new(), "UNAVAILABLE", reason),
        };
        Entry {
            name: slot.name.clone(),
            version,
            state,
            reason,
        }
    });
    entries
        .filter(|entry| !only_ready || entry.state == "READY")
        .collect()
}

/// Loads a model, or loads it anew while the old one serves; returns when it serves.
/// `overrides` tells whether the request brings a configuration or files of its own.
pub async fn load(app: &App, name: &str, overrides: bool) -> Result<(), Problem> {
    if overrides {
        return Err(Problem::bad_request(
            "a model is loaded from the file that the server knows it by: send no 'config' and no 'file:'",
        ));
    }
    app.catalogue.rescan();
    let slot = app.catalogue.slot(Some(name))?;
    app.catalogue.load(&slot).await.map(drop)
}

/// Unloads a model; those who came to it before still get their answers.
pub async fn unload(app: &App, name: &str) -> Result<(), Problem> {
    let slot = app.catalogue.slot(Some(name))?;
    app.catalogue.unload(&slot).await;
    Ok(())
}

/// Whether a parameter of this name brings something to load.
pub fn is_override(parameter: &str) -> bool {
    parameter == "config" || parameter.starts_with("file:")
}
