//! The spool of one receiver as its writer and the delivery share it, and the count of what came of each
//! event.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard};

use prometheus::IntCounterVec;
use tokio::sync::Notify;

use super::spool::{Spool, Waiting};
use crate::locks::lock;

/// Events that wait for the disk.
const IN_MEMORY: usize = 1024;

/// Events that wait for their delivery.
pub struct EventQueue {
    receiver: &'static str,
    spool: Mutex<Spool>,
    /// Told of each event that was added.
    pub more: Notify,
    for_disk: SyncSender<Arc<[u8]>>,
    /// Events that wait for the disk.
    in_memory: AtomicUsize,
    events: IntCounterVec,
}

impl EventQueue {
    /// Starts the thread that writes to the spool. `events` counts by receiver and outcome.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn start(
        receiver: &'static str,
        spool: Spool,
        events: IntCounterVec,
    ) -> io::Result<Arc<Self>> {
        let (for_disk, lines) = sync_channel::<Arc<[u8]>>(IN_MEMORY);
        let queue = Arc::new(Self {
            receiver,
            spool: Mutex::new(spool),
            more: Notify::new(),
            for_disk,
            in_memory: AtomicUsize::new(0),
            events,
        });
        let writer = Arc::downgrade(&queue);
        std::thread::Builder::new()
            .name("events".to_owned())
            .spawn(move || {
                for line in lines {
                    let Some(queue) = writer.upgrade() else {
                        return;
                    };
                    queue.add(&line);
                    queue.in_memory.fetch_sub(1, Ordering::SeqCst);
                }
            })?;
        Ok(queue)
    }

    /// Takes an event and returns at once. It is lost, and counted, only if the disk is so slow that many
    /// wait for it already.
    pub fn publish(&self, line: Arc<[u8]>) {
        self.in_memory.fetch_add(1, Ordering::SeqCst);
        if self.for_disk.try_send(line).is_err() {
            self.in_memory.fetch_sub(1, Ordering::SeqCst);
            self.count("dropped", 1);
        }
    }

    /// Stores an event, or counts it as dropped.
    fn add(&self, line: &[u8]) {
        let mut spool = self.spool();
        let before = spool.dropped();
        let written = spool.append(line);
        self.count("dropped", spool.dropped() - before);
        drop(spool);
        match written {
            Ok(()) => self.more.notify_one(),
            Err(error) => {
                let receiver = self.receiver;
                tracing::warn!(%error, receiver, "an event could not be stored and is lost");
                self.count("dropped", 1);
            }
        }
    }

    /// The receiver's kind.
    pub fn receiver(&self) -> &'static str {
        self.receiver
    }

    /// The oldest event.
    pub fn next(&self) -> io::Result<Option<Waiting>> {
        self.spool().next()
    }

    /// Whether no event waits for the disk.
    pub fn is_stored(&self) -> bool {
        self.in_memory.load(Ordering::SeqCst) == 0
    }

    /// Whether everything was delivered.
    pub fn is_empty(&self) -> bool {
        // In this order: an event leaves the memory only once it is on disk.
        self.is_stored() && matches!(self.next(), Ok(None))
    }

    /// Takes an event out, with what came of it.
    pub fn finish(&self, event: &Waiting, outcome: &str) -> io::Result<()> {
        self.count(outcome, 1);
        self.spool().finish(event)
    }

    /// Counts events.
    pub fn count(&self, outcome: &str, number: u64) {
        let labels = [self.receiver, outcome];
        self.events.with_label_values(&labels).inc_by(number);
    }

    /// The spool is consistent after every call, so poisoning is ignored.
    fn spool(&self) -> MutexGuard<'_, Spool> {
        lock(&self.spool)
    }
}
