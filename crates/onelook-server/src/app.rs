//! The state that all connections share.

use std::sync::Arc;
use std::time::Instant;

use onelook::media;

use crate::config::Config;
use crate::history::History;
use crate::host::HostMonitor;
use crate::inference_service::InferenceService;
use crate::memory_budget::MemoryBudget;
use crate::metrics::Metrics;
use crate::model_repository::ModelRepository;
use crate::recent_requests::RecentRequests;

/// The server's state.
pub struct App {
    /// The configuration.
    pub config: Config,
    /// The models.
    pub models: ModelRepository,
    /// Runs the models.
    pub inference: InferenceService,
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
}

impl App {
    /// The state before any model is loaded.
    pub fn new(config: Config, started: Instant) -> Result<Arc<Self>, String> {
        let metrics = Arc::new(Metrics::new());
        let models = ModelRepository::new(&config, Arc::clone(&metrics))?;
        let limits = media::Limits {
            max_pixels: config.limits.pixels,
            max_bytes: config.limits.body_bytes as u64,
        };
        Ok(Arc::new(Self {
            models,
            inference: InferenceService::new(
                Arc::clone(&metrics),
                limits,
                config.limits.working_bytes,
            ),
            memory: MemoryBudget::new(config.limits.memory_bytes),
            metrics,
            host: HostMonitor::new(),
            history: History::default(),
            recent_requests: RecentRequests::default(),
            started,
            config,
        }))
    }
}
