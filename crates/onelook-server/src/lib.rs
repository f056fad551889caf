//! onelook as a server: images and tensors in over HTTP and gRPC, boxes out.
//!
//! Speaks its own API, the Open Inference Protocol v2 as Triton does, and the protocol of DeepStack.
//! Requests of all of them share one fair queue and one batch worker per model. Uses the library
//! `onelook` and nothing below it.

pub mod admission;
pub mod app;
pub mod auth;
pub mod batch_worker;
mod blocking;
mod body;
mod check;
pub mod config;
mod connection_watch;
mod connections;
mod content_encoding;
mod delivery;
mod fair_semaphore;
mod fetch;
mod forwarded;
mod grpc;
pub mod health;
pub mod history;
pub mod host;
mod http;
mod http_client;
pub mod inference_service;
pub mod latencies;
mod locks;
pub mod logs;
pub mod memory_budget;
pub mod metrics;
pub mod model_repository;
mod network;
pub mod open_inference;
pub mod probe;
pub mod problem;
pub mod progress;
pub mod recent_requests;
pub mod reload;
pub mod request_context;
mod secret_file;
pub mod secret_sources;
mod server;
pub mod statistics;
pub mod streams;
mod tls;
pub mod traces;
mod url_hosts;
pub mod videos;
mod writable;
#[cfg(unix)]
mod zmq;
#[cfg(unix)]
mod zmq_endpoint;

pub use auth::Tokens;
pub use check::{Findings, check};
pub use config::{
    Config, Limits, MaxConnections, ModelSource, SnapshotOptions, StreamLimits, VideoOptions,
};
pub use delivery::{
    BrokerOptions, DeliveryOptions, EventSinks, MqttOptions, Password, StreamResults, Undelivered,
    WebhookKey, WebhookOptions,
};
pub use network::Network;
pub use progress::MinProgress;
pub use secret_sources::{SecretSources, TlsFiles};
pub use server::{Event, ServeError, Server};
pub use url_hosts::UrlHost;
#[cfg(unix)]
pub use zmq_endpoint::ZmqEndpoint;

/// Parsers of requests; public only for the fuzz targets.
#[doc(hidden)]
pub use grpc::decode_infer_request;
#[doc(hidden)]
pub use http::{parse_detect_body, parse_inference_request};
#[cfg(unix)]
#[doc(hidden)]
pub use zmq::count_messages;
