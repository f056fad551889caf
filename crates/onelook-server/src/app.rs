//! The state that all connections share.

use std::sync::{Arc, RwLock};
use std::time::Instant;

use axum::http::HeaderMap;
use onelook::{media, usable_cores};

use crate::auth::{self, Tokens};
use crate::config::Config;
use crate::delivery::EventSinks;
use crate::fair_semaphore::FairSemaphore;
use crate::history::History;
use crate::host::HostMonitor;
use crate::inference_service::InferenceService;
use crate::locks::{read, write};
use crate::memory_budget::MemoryBudget;
use crate::metrics::Metrics;
use crate::model_repository::ModelRepository;
use crate::recent_requests::RecentRequests;
use crate::streams::StreamService;
use crate::streams::snapshots::SnapshotStore;
use crate::videos::{self, VideoService};

/// The server's state.
pub struct App {
    /// The configuration.
    pub config: Config,
    /// The models.
    pub models: Arc<ModelRepository>,
    /// Runs the models.
    pub inference: InferenceService,
    /// Live streams.
    pub streams: StreamService,
    /// Video files that requests send.
    pub videos: VideoService,
    /// The server's metrics.
    pub metrics: Arc<Metrics>,
    /// Load and memory of the machine.
    pub host: HostMonitor,
    /// The last two minutes.
    pub history: History,
    /// The last requests that failed, and the slowest.
    pub recent_requests: RecentRequests,
    /// When the server started.
    pub started: Instant,
    /// Memory that requests hold.
    pub memory: MemoryBudget,
    /// Threads that decompress bodies.
    pub inflaters: FairSemaphore,
    /// Memory that their heads hold.
    pub heads: MemoryBudget,
    /// The same of requests for what is open to all: strangers take nothing from the others.
    pub open_heads: MemoryBudget,
    /// Memory of small answers that find none in `memory`.
    pub small_answers: MemoryBudget,
    tokens: RwLock<Arc<Tokens>>,
}

impl App {
    /// The state before any model is loaded.
    pub fn new(config: Config, started: Instant) -> Result<Arc<Self>, String> {
        let metrics = Arc::new(Metrics::new());
        let models = Arc::new(ModelRepository::new(&config, Arc::clone(&metrics))?);
        let tokens = config.secrets.read_tokens()?;
        let limits = media::Limits {
            max_pixels: config.limits.pixels,
            max_bytes: config.limits.body_bytes as u64,
        };
        let sinks = EventSinks::start(&config.delivery, &metrics.sent_events)?;
        // None of no bytes.
        let snapshots = (config.event_snapshots.max_bytes > 0)
            .then(|| SnapshotStore::open(config.event_snapshots.clone()))
            .transpose()?;
        let streams = StreamService::new(
            Arc::clone(&models),
            Arc::clone(&metrics),
            config.limits.streams.clone(),
            config.allow_stream_hosts.clone(),
            config.ffmpeg.clone(),
            config.limits.pixels,
            (sinks, snapshots),
        );
        videos::check(&config.videos)?;
        let working_bytes = config.limits.working_bytes;
        let inference = InferenceService::new(Arc::clone(&metrics), limits, working_bytes);
        let videos = VideoService::new(
            config.videos.clone(),
            inference.clone(),
            config.ffmpeg.clone(),
            config.limits.pixels,
        );
        Ok(Arc::new(Self {
            models,
            streams,
            videos,
            inference,
            memory: MemoryBudget::new(config.limits.memory_bytes),
            inflaters: FairSemaphore::new(2 * usable_cores() as u64 + 1),
            heads: MemoryBudget::new(config.limits.head_bytes),
            open_heads: MemoryBudget::new(config.limits.head_bytes / 4),
            small_answers: MemoryBudget::new(config.limits.head_bytes / 4),
            metrics,
            host: HostMonitor::new(),
            history: History::default(),
            recent_requests: RecentRequests::default(),
            started,
            tokens: RwLock::new(Arc::new(tokens)),
            config,
        }))
    }

    /// The tokens that are accepted now; if empty, none is needed.
    pub fn tokens(&self) -> Arc<Tokens> {
        let tokens = read(&self.tokens);
        Arc::clone(&tokens)
    }

    /// Has requests from now on judged by these tokens.
    pub fn set_tokens(&self, tokens: Tokens) {
        let mut own = write(&self.tokens);
        if **own != tokens {
            *own = Arc::new(tokens);
            drop(own);
            self.streams.release_viewers();
        }
    }

    /// Whether a request without a known token is told less: to strangers, models, files and errors
    /// are nobody's business.
    pub fn is_stranger(&self, headers: &HeaderMap) -> bool {
        self.tokens()
            .identify(auth::presented(headers).as_deref())
            .is_err()
    }
}
