//! The spool as its writer and the delivery share it, and the count of what came of each event.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use prometheus::IntCounterVec;
use tokio::sync::Notify;

use super::spool::{Spool, Waiting};

/// Events that wait for their delivery.
pub struct EventQueue {
    spool: Mutex<Spool>,
    /// Told of each event that was added.
    pub more: Notify,
    events: IntCounterVec,
}

impl EventQueue {
    /// `events` counts by outcome.
    pub fn new(spool: Spool, events: IntCounterVec) -> Self {
        Self {
            spool: Mutex::new(spool),
            more: Notify::new(),
            events,
        }
    }

    /// Stores an event, or counts it as dropped.
    pub fn add(&self, line: &[u8]) {
        let mut spool = self.spool();
        let before = spool.dropped();
        let written = spool.append(line);
        self.count("dropped", spool.dropped() - before);
        drop(spool);
        match written {
            Ok(()) => self.more.notify_one(),
            Err(error) => {
                tracing::warn!(%error, "an event for the webhook could not be stored and is lost");
                self.count("dropped", 1);
            }
        }
    }

    /// The oldest event.
    pub fn next(&self) -> io::Result<Option<Waiting>> {
        self.spool().next()
    }

    /// Takes an event out, with what came of it.
    pub fn finish(&self, event: &Waiting, outcome: &str) -> io::Result<()> {
        self.count(outcome, 1);
        self.spool().finish(event)
    }

    /// Counts events.
    pub fn count(&self, outcome: &str, number: u64) {
        self.events.with_label_values(&[outcome]).inc_by(number);
    }

    /// The spool is consistent after every call, so poisoning is ignored.
    fn spool(&self) -> MutexGuard<'_, Spool> {
        self.spool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
