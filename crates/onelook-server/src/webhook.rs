//! Events to another server by HTTP: each a POST of one JSON object, in order, until it was accepted.
//!
//! Headers and signature are those of Standard Webhooks (standardwebhooks.com, specification 1.0). Events
//! wait on disk while the receiver is away; whoever publishes them waits for neither.

mod delivery;
mod queue;
mod signature;
mod spool;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};

use prometheus::IntCounterVec;
use serde_json::Value;

use crate::http_client::url::Target;
use queue::EventQueue;
pub use signature::WebhookKey;
use spool::Spool;

/// Events that wait for the disk.
const IN_MEMORY: usize = 1024;

/// Where events go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookOptions {
    /// The receiver's URL.
    pub url: String,
    /// Key of the signatures; without one there are none.
    pub key: Option<WebhookKey>,
    /// Where events wait.
    pub spool: PathBuf,
    /// Most bytes that wait; beyond, the oldest are given up.
    pub max_spool_bytes: u64,
}

impl WebhookOptions {
    /// Checks the URL.
    ///
    /// # Errors
    /// It is none that can be used.
    pub fn check(&self) -> Result<(), String> {
        let target = Target::parse(&self.url);
        target.map(drop).map_err(|problem| problem.detail)
    }
}

/// Takes events for a receiver.
#[derive(Clone)]
pub struct Webhook {
    for_disk: SyncSender<Vec<u8>>,
    queue: Arc<EventQueue>,
}

impl Webhook {
    /// Opens the spool and begins to deliver what waits there, on the current runtime, for the rest of the
    /// process. `events` counts by outcome: `delivered`, `refused`, `dropped`.
    ///
    /// # Errors
    /// The URL is none, or the directory cannot be used.
    pub fn start(options: &WebhookOptions, events: IntCounterVec) -> Result<Self, String> {
        let target = Target::parse(&options.url).map_err(|problem| problem.detail)?;
        let directory = options.spool.display();
        let spool = Spool::open(&options.spool, options.max_spool_bytes)
            .map_err(|error| format!("webhook: '{directory}' cannot hold events: {error}"))?;
        let queue = Arc::new(EventQueue::new(spool, events));
        let (for_disk, lines) = sync_channel::<Vec<u8>>(IN_MEMORY);
        let writer = Arc::clone(&queue);
        std::thread::Builder::new()
            .name("webhook".to_owned())
            .spawn(move || lines.iter().for_each(|line| writer.add(&line)))
            .map_err(|error| format!("webhook: no thread: {error}"))?;
        let key = options.key.clone();
        tokio::spawn(delivery::run(Arc::clone(&queue), target, key));
        Ok(Self { for_disk, queue })
    }

    /// Hands over an event and returns at once. It is lost, and counted, only if the disk is so slow that
    /// many wait for it already.
    pub fn publish(&self, event: &Value) {
        let line = event.to_string().into_bytes();
        if self.for_disk.try_send(line).is_err() {
            self.queue.count("dropped", 1);
        }
    }
}

#[cfg(test)]
mod tests;
