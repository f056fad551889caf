//! The own API, DeepStack's and the description of both, over HTTP, with a model that sees colours.

mod colours;
mod deepstack;
mod detect;
mod models;
mod overload;
mod refusals;
mod status;
#[path = "../support/mod.rs"]
mod support;
mod urls;
