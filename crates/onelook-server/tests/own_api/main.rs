//! The native API, DeepStack's, and the OpenAPI document, with a model that detects colours.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod archives;
mod colours;
mod deepstack;
mod detect;
mod encodings;
mod hostile;
mod models;
mod overload;
mod refusals;
mod status;
mod strangers;
#[path = "../support/mod.rs"]
mod support;
mod urls;
mod videos;
#[cfg(unix)]
mod zmq;
