//! The server's configuration. Every limit has a default that suits a small machine.

use std::path::PathBuf;
use std::time::Duration;

use onelook::LoadOptions;

use crate::delivery::DeliveryOptions;
use crate::network::Network;
use crate::progress::MinProgress;
use crate::secret_sources::SecretSources;
use crate::url_hosts::UrlHost;
#[cfg(unix)]
use crate::zmq_endpoint::ZmqEndpoint;

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
    /// The directory that links in the model directory must not leave; that directory itself if absent.
    pub model_root: Option<PathBuf>,
    /// Whether models that cannot be loaded at the start are tried again, ever less often.
    pub keep_trying: bool,
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
    /// Where tokens and certificates come from.
    pub secrets: SecretSources,
    /// Origins whose pages may call the server (CORS); `*` for all.
    pub cors: Vec<String>,
    /// Further names under which the server may be addressed. If it listens on loopback only, or if there
    /// are any here, others are refused.
    pub allow_hosts: Vec<String>,
    /// Proxies that are believed whose requests they pass on (`X-Forwarded-For`). The bound on connections
    /// of one address does not hold for them.
    pub trusted_proxies: Vec<Network>,
    /// Whether requests may name URLs of images at public addresses.
    pub allow_urls: bool,
    /// Hosts and networks whose images are fetched too, public or not.
    pub allow_url_hosts: Vec<UrlHost>,
    /// Hosts and networks whose streams requests may add. What they redirect to is followed unchecked.
    pub allow_stream_hosts: Vec<UrlHost>,
    /// The operator's list of streams.
    pub stream_file: Option<PathBuf>,
    /// ffmpeg, which reads streams; what `ONELOOK_FFMPEG` names or is on the path if absent.
    pub ffmpeg: Option<PathBuf>,
    /// Where the events of streams go, besides to those who ask for them.
    pub delivery: DeliveryOptions,
    /// Where Frigate's `zmq` detector is answered.
    #[cfg(unix)]
    pub zmq: Vec<ZmqEndpoint>,
    /// Where the frames of those events are kept.
    pub event_snapshots: SnapshotOptions,
    /// Video files that requests send.
    pub videos: VideoOptions,
}

impl Config {
    /// Whether pages of this origin may call the server.
    pub fn allows_origin(&self, origin: &[u8]) -> bool {
        let mut allowed = self.cors.iter();
        allowed.any(|known| known == "*" || known.as_bytes() == origin)
    }
}

/// Limits on requests and connections.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Largest body of one request, in bytes.
    pub body_bytes: usize,
    /// Most bytes that all requests together hold: bodies, what they are parsed into, answers.
    pub memory_bytes: usize,
    /// Most bytes that the heads of all requests in progress take; those for what is open to all a quarter of
    /// it, and small answers that find no other memory as much.
    pub head_bytes: usize,
    /// Most bytes that images take while they are decoded and run; further ones wait.
    pub working_bytes: u64,
    /// Largest number of pixels of one image.
    pub pixels: u64,
    /// Longest side of the network's input.
    pub image_size: usize,
    /// Largest number of images in one request.
    pub images: usize,
    /// Streams, and those who watch them.
    pub streams: StreamLimits,
    /// Largest number of connections at one time.
    pub connections: MaxConnections,
    /// Longest wait for a request's headers, and for the next request on a connection.
    pub header_timeout: Duration,
    /// Time between two HTTP/2 pings, and longest wait for the answer to one: a client that has gone
    /// without a word is noticed after both.
    pub ping_interval: Duration,
    /// What is expected of a body that is sent and of an answer that is read.
    pub min_progress: MinProgress,
    /// Longest time from the end of a request's body to its answer, unless the request asks for less.
    pub request_timeout: Duration,
    /// Time between the word to stop and the stop, in which everything is answered but readiness.
    pub drain_delay: Duration,
    /// Longest wait for requests in progress when the server stops.
    pub shutdown_timeout: Duration,
}

/// Bounds on open connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxConnections {
    /// Of all addresses together.
    pub all: usize,
    /// Of one address.
    pub per_address: usize,
}

/// Bounds on streams and on those who watch.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamLimits {
    /// Most streams at one time.
    pub streams: usize,
    /// Most connections that watch or listen at one time.
    pub viewers: usize,
}

/// Where the frames of events are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotOptions {
    /// A directory; memory if absent.
    pub directory: Option<PathBuf>,
    /// Most bytes of all; the oldest go first.
    pub max_bytes: u64,
}

impl Default for SnapshotOptions {
    fn default() -> Self {
        Self {
            directory: None,
            max_bytes: 64 << 20,
        }
    }
}

/// Bounds on videos that are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideoOptions {
    /// Largest file in bytes; 0 takes none.
    pub max_bytes: u64,
    /// Where files wait; the system's directory for temporary files if absent.
    pub spool: Option<PathBuf>,
    /// Most bytes of all files and results.
    pub max_spool_bytes: u64,
}

impl Default for VideoOptions {
    fn default() -> Self {
        Self {
            max_bytes: 512 << 20,
            spool: None,
            max_spool_bytes: 2 << 30,
        }
    }
}

impl Default for StreamLimits {
    fn default() -> Self {
        Self {
            streams: 16,
            viewers: 64,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 64 << 20,
            memory_bytes: 512 << 20,
            head_bytes: 64 << 20,
            working_bytes: 1 << 30,
            pixels: 64_000_000,
            image_size: 1920,
            images: 64,
            streams: StreamLimits::default(),
            connections: MaxConnections {
                all: 12_000,
                per_address: 6_000,
            },
            header_timeout: Duration::from_secs(15),
            ping_interval: Duration::from_secs(20),
            min_progress: MinProgress {
                stall: Duration::from_secs(10),
                bytes_per_second: 8 << 10,
            },
            request_timeout: Duration::from_secs(30),
            drain_delay: Duration::ZERO,
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
            model_root: None,
            keep_trying: false,
            load: LoadOptions::default(),
            max_batch: None,
            max_delay: Duration::from_millis(2),
            queue: 128,
            limits: Limits::default(),
            secrets: SecretSources::default(),
            cors: Vec::new(),
            allow_hosts: Vec::new(),
            trusted_proxies: Vec::new(),
            allow_urls: false,
            allow_url_hosts: Vec::new(),
            allow_stream_hosts: Vec::new(),
            stream_file: None,
            ffmpeg: None,
            delivery: DeliveryOptions::default(),
            #[cfg(unix)]
            zmq: Vec::new(),
            event_snapshots: SnapshotOptions::default(),
            videos: VideoOptions::default(),
        }
    }
}
