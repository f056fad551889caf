//! The server's configuration. Every limit has a default that suits a small machine.

use std::path::PathBuf;
use std::time::Duration;

use onelook::LoadOptions;

use crate::auth::Tokens;

/// A model to serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelSource {
    /// The name in requests.
    pub name: String,
    /// A path, or a name of the model registry.
    pub source: PathBuf,
}

/// The configuration of a server.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address to listen on.
    pub host: String,
    /// Port for HTTP; 0 for any that is free.
    pub port: u16,
    /// A second port, for gRPC clients that expect one of their own. Both ports speak both.
    pub grpc_port: Option<u16>,
    /// A port for `/metrics` alone.
    pub metrics_port: Option<u16>,
    /// Models that are loaded at the start; the first is the default.
    pub models: Vec<ModelSource>,
    /// A directory whose model files are served too, named by their stems.
    pub model_dir: Option<PathBuf>,
    /// How models are loaded.
    pub load: LoadOptions,
    /// Largest number of images in one run; what the engine prefers if absent.
    pub max_batch: Option<usize>,
    /// Longest time that a ready image waits for others to share its run.
    pub max_delay: Duration,
    /// Largest number of requests that wait for a model.
    pub queue: usize,
    /// Limits on requests and connections.
    pub limits: Limits,
    /// Accepted tokens; if empty, none is needed.
    pub tokens: Tokens,
    /// Origins whose pages may call the server (CORS); `*` for all.
    pub cors: Vec<String>,
    /// Whether requests may name URLs of images. Private addresses are never fetched.
    pub allow_urls: bool,
    /// Certificate chain and key (PEM files).
    pub tls: Option<TlsFiles>,
}

/// PEM files of a certificate chain and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, the server's own certificate first.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Limits on requests and connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Largest body of one request, in bytes.
    pub body_bytes: usize,
    /// Largest size of all bodies in memory together, in bytes.
    pub bodies_bytes: usize,
    /// Largest number of pixels of one image.
    pub pixels: u64,
    /// Largest number of images in one request.
    pub images: usize,
    /// Largest number of connections at one time.
    pub connections: usize,
    /// Longest wait for a request's headers, and for the next request on a connection.
    pub header_timeout: Duration,
    /// Longest wait for a request's body.
    pub body_timeout: Duration,
    /// Longest time from a request's headers to its answer, unless the request asks for less.
    pub request_timeout: Duration,
    /// Longest wait for requests in progress when the server is told to stop.
    pub shutdown_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 64 << 20,
            bodies_bytes: 512 << 20,
            pixels: 64_000_000,
            images: 64,
            connections: 12_000,
            header_timeout: Duration::from_secs(15),
            body_timeout: Duration::from_secs(30),
            request_timeout: Duration::from_secs(30),
            shutdown_timeout: Duration::from_secs(30),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 8000,
            grpc_port: None,
            metrics_port: None,
            models: Vec::new(),
            model_dir: None,
            load: LoadOptions::default(),
            max_batch: None,
            max_delay: Duration::from_millis(2),
            queue: 128,
            limits: Limits::default(),
            tokens: Tokens::default(),
            cors: Vec::new(),
            allow_urls: false,
            tls: None,
        }
    }
}
