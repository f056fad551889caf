//! Finds the version of a model that a request names.

use std::sync::Arc;

use crate::metrics::MODEL_VERSION;
use crate::model_repository::{LoadedModel, ModelEntry};
use crate::problem::{Problem, ProblemKind, shown};

/// The loaded model, if it has this version; no version and the empty one stand for any.
pub fn loaded_version(
    entry: &ModelEntry,
    version: Option<&str>,
) -> Result<Arc<LoadedModel>, Problem> {
    let loaded = entry.loaded()?;
    match version {
        Some(wanted) if !wanted.is_empty() && wanted != MODEL_VERSION => {
            let (name, wanted) = (&entry.name, shown(wanted));
            let detail = format!("model '{name}' has no version {wanted}, only {MODEL_VERSION}");
            Err(Problem::new(ProblemKind::NotFound, detail))
        }
        _ => Ok(loaded),
    }
}
