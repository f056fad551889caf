//! Events to other programs: in order, each until it was accepted.
//!
//! Every receiver has a spool on disk of its own, in which events wait while it is away. Whoever publishes
//! them waits neither for the disk nor for a receiver.

mod message;
mod queue;
mod receiver;
mod spool;
mod webhook;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus::{IntCounterVec, Opts};
use serde_json::Value;

use queue::EventQueue;
use receiver::{Receiver, deliver};
use spool::Spool;
use webhook::Webhook;
pub use webhook::{WebhookKey, WebhookOptions};

/// How often it is looked whether everything was delivered.
const LOOK: Duration = Duration::from_millis(20);

/// Where events go, and where they wait.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeliveryOptions {
    /// Servers that take events by HTTP.
    pub webhook: Option<WebhookOptions>,
    /// Where events wait: a directory for each receiver is made in it. One process may use it at a time.
    pub spool: PathBuf,
    /// Most bytes that wait for one receiver; beyond, the oldest are given up.
    pub max_spool_bytes: u64,
}

impl DeliveryOptions {
    /// Checks addresses.
    ///
    /// # Errors
    /// One cannot be used.
    pub fn check(&self) -> Result<(), String> {
        let webhook = self.webhook.as_ref().map(Webhook::new).transpose();
        webhook
            .map(drop)
            .map_err(|reason| format!("webhook: {reason}"))
    }
}

/// Takes events for all receivers.
#[derive(Clone, Default)]
pub struct EventSinks {
    queues: Vec<Queue>,
}

#[derive(Clone)]
struct Queue {
    queue: Arc<EventQueue>,
    directory: PathBuf,
}

/// A receiver that has not got all events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undelivered {
    /// Its kind, such as `webhook`.
    pub receiver: &'static str,
    /// Where its events wait.
    pub directory: PathBuf,
}

impl EventSinks {
    /// Opens the spools and begins to deliver what waits there, on the current runtime, for the rest of the
    /// process. `events` counts by receiver and outcome: `delivered`, `refused`, `dropped`.
    ///
    /// # Errors
    /// An address is wrong, or a directory cannot be used.
    pub fn start(options: &DeliveryOptions, events: &IntCounterVec) -> Result<Self, String> {
        let mut sinks = Self::default();
        if let Some(webhook) = &options.webhook {
            let receiver = Webhook::new(webhook).map_err(|reason| format!("webhook: {reason}"))?;
            sinks.add("webhook", receiver, options, events)?;
        }
        Ok(sinks)
    }

    /// The same, with counts that nobody reads.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_uncounted(options: &DeliveryOptions) -> Result<Self, String> {
        let counts = Opts::new("events", "events");
        let counts = IntCounterVec::new(counts, &["receiver", "outcome"]);
        Self::start(options, &counts.map_err(|error| error.to_string())?)
    }

    fn add(
        &mut self,
        name: &'static str,
        receiver: impl Receiver,
        options: &DeliveryOptions,
        events: &IntCounterVec,
    ) -> Result<(), String> {
        let directory = options.spool.join(name);
        let spool = Spool::open(&directory, options.max_spool_bytes).map_err(|error| {
            let directory = directory.display();
            format!("{name}: '{directory}' cannot hold events: {error}")
        })?;
        let queue = EventQueue::start(name, spool, events.clone());
        let queue = queue.map_err(|error| format!("{name}: no thread: {error}"))?;
        tokio::spawn(deliver(Arc::clone(&queue), receiver));
        self.queues.push(Queue { queue, directory });
        Ok(())
    }

    /// Hands an event to every receiver and returns at once. For a receiver it is lost, and counted, only if
    /// the disk is so slow that many wait for it already.
    pub fn publish(&self, event: &Value) {
        if self.queues.is_empty() {
            return;
        }
        let line: Arc<[u8]> = event.to_string().into_bytes().into();
        for Queue { queue, .. } in &self.queues {
            queue.publish(Arc::clone(&line));
        }
    }

    /// Waits until everything was delivered, at most so long; the receivers that have not got all.
    pub async fn flush(&self, patience: Duration) -> Vec<Undelivered> {
        let deadline = Instant::now() + patience;
        loop {
            let waiting = self.queues.iter().filter(|it| !it.queue.is_empty());
            let waiting: Vec<Undelivered> = waiting
                .map(|it| Undelivered {
                    receiver: it.queue.receiver(),
                    directory: it.directory.clone(),
                })
                .collect();
            if waiting.is_empty() || Instant::now() >= deadline {
                return waiting;
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

#[cfg(test)]
mod tests;
