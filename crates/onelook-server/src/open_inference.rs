//! The Open Inference Protocol v2, whatever carries it: tensors in, the network's output out.
//!
//! HTTP and gRPC turn their requests into the types of [`protocol`] and its responses into theirs, so
//! that both mean the same. Requests are not trusted: names, types, shapes and lengths are checked
//! against the model and the received bytes before anything is allocated by them.

pub mod describe;
mod input;
pub mod protocol;
mod python_literal;
pub mod repository;
pub mod statistics;
mod version;

use std::sync::Arc;

use crate::app::App;
use crate::metrics::MODEL_VERSION;
use crate::model_repository::ModelEntry;
use crate::problem::{Problem, shown};
use crate::request_context::RequestContext;
use protocol::{InferRequest, InferResponse, OUTPUT};
pub use version::loaded_version;

/// Runs a model on a request's tensors.
pub async fn infer(
    app: &App,
    entry: &Arc<ModelEntry>,
    version: Option<&str>,
    context: &RequestContext,
    request: InferRequest,
) -> Result<InferResponse, Problem> {
    let loaded = loaded_version(entry, version)?;
    if let Some(reason) = request.unsupported {
        return Err(Problem::bad_request(reason));
    }
    check_outputs(entry, &request.outputs)?;
    let input = input::only(entry, request.inputs)?;
    let shape = input::check(entry, &loaded, &input, app.config.limits.image_size)?;
    let context = request.parameters.apply(context);
    let tensor = move || input::tensor(shape, input.values);
    let output = app.inference.output0(entry, &context, shape, tensor);
    Ok(InferResponse {
        model: entry.name.clone(),
        version: MODEL_VERSION.to_owned(),
        id: request.id,
        output: output.await?,
    })
}

fn check_outputs(entry: &ModelEntry, wanted: &[String]) -> Result<(), Problem> {
    match wanted.iter().find(|name| *name != OUTPUT) {
        None => Ok(()),
        Some(name) => Err(Problem::bad_request(format!(
            "unexpected inference output {} for model '{}': its output is '{OUTPUT}'",
            shown(name),
            entry.name
        ))),
    }
}
