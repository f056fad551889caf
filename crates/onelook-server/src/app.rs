//! What all handlers share.

use std::sync::Arc;
use std::time::Instant;

use onelook::media;
use tokio::sync::Semaphore;

use crate::config::Config;
use crate::host::Watch;
use crate::inference_service::Stations;
use crate::metrics::Metrics;
use crate::model_repository::Catalogue;

/// The server's state, shared by all connections.
pub struct App {
    /// What it was told.
    pub config: Config,
    /// Its models.
    pub catalogue: Catalogue,
    /// The way to a model and back.
    pub stations: Stations,
    /// Its figures.
    pub metrics: Arc<Metrics>,
    /// The machine's figures.
    pub host: Watch,
    /// When it began.
    pub started: Instant,
    /// Kibibytes of bodies that may still be held.
    pub bodies: Semaphore,
}

impl App {
    /// The state before any model is loaded.
    pub fn new(config: Config, started: Instant) -> Result<Arc<Self>, String> {
        let metrics = Arc::new(Metrics::new());
        let catalogue = Catalogue::new(&config, Arc::clone(&metrics))?;
        let limits = media::Limits {
            max_pixels: config.limits.pixels,
            max_bytes: config.limits.body_bytes as u64,
        };
        Ok(Arc::new(Self {
            catalogue,
            stations: Stations::new(Arc::clone(&metrics), limits),
            bodies: Semaphore::new((config.limits.bodies_bytes >> 10).max(1)),
            metrics,
            host: Watch::new(),
            started,
            config,
        }))
    }
}
