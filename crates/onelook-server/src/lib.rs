//! onelook as a server: pictures and tensors in over HTTP and gRPC, boxes out.
//!
//! Speaks its own API, the Open Inference Protocol v2 as Triton speaks it, and that of DeepStack;
//! requests of all of them share one fair queue and one set of batches per model. Knows the library
//! `onelook` and nothing below it.

pub mod admission;
pub mod app;
pub mod auth;
pub mod batch_worker;
mod body;
pub mod config;
mod connections;
mod fetch;
mod grpc;
pub mod host;
mod http;
pub mod inference_service;
pub mod logs;
pub mod metrics;
pub mod model_repository;
pub mod open_inference;
pub mod problem;
mod server;
pub mod statistics;
mod tls;
pub mod traces;

pub use auth::Tokens;
pub use config::{Config, Limits, ModelSource, TlsFiles};
pub use server::{Event, ServeError, Server};

/// Reads the body of an inference request over HTTP: public for the fuzz target alone.
#[doc(hidden)]
pub use http::parse_inference_request;
