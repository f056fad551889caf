//! Admission control before a model: who may decode, prepare and run images now, and who waits.
//!
//! Takes requests with a client, a priority, a deadline and the work that they are. Gives a permit, or at
//! once the reason why there is none. Work is counted, not requests: as much is admitted as keeps the
//! engine busy, so a waiting request costs little more memory than its bytes, and one large request is
//! admitted alone. A caller that disconnects drops its future and thereby leaves the queue.
//!
//! A long run cannot be interrupted, and a client that sends its next request only when it has an answer
//! is never in the queue when one ends. So before a long run the controller waits a moment for those
//! clients who were just answered and have had less of the engine (anticipatory scheduling, Iyer and
//! Druschel 2001); without it one client's large images would leave another one request per run.

pub mod fair_queue;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::locks::lock;

use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

pub use fair_queue::{ClientKey, Priority};
use fair_queue::{FairQueue, QueueFull};

/// What admission needs to know about a request.
#[derive(Debug, Clone)]
pub struct AdmissionRequest {
    /// The client whose share the request counts towards.
    pub client: ClientKey,
    /// How urgent it is.
    pub priority: Priority,
    /// How much it is, in units of [`work`].
    pub work: u64,
    /// Time after which an answer is useless.
    pub deadline: Instant,
}

/// Why a request was not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdmissionError {
    /// The queue is full, or the request was evicted in favour of another client.
    QueueFull {
        /// Whether this client holds the largest part of the queue.
        own_fault: bool,
        /// When the queue should have space again.
        retry_after: Duration,
    },
    /// The deadline would pass, or has passed, before the request's turn.
    Deadline {
        /// How long the queue is.
        retry_after: Duration,
    },
    /// The model is being unloaded.
    Closed,
}

/// The work of some images of the network's input: their pixels, in blocks of 64 × 64.
pub fn work(images: usize, [height, width]: [usize; 2]) -> u64 {
    let blocks = height.saturating_mul(width).div_ceil(64 * 64).max(1);
    (images as u64).saturating_mul(blocks as u64)
}

/// The right to prepare and run one request's images. Dropping it admits the next request.
pub struct Permit {
    controller: Arc<AdmissionController>,
    client: ClientKey,
    work: u64,
}

/// Admission to one loaded model.
pub struct AdmissionController {
    capacity: usize,
    state: Mutex<AdmissionState>,
    /// Notified whenever a permit comes back or a waiter leaves.
    changed: Notify,
}

struct AdmissionState {
    queue: FairQueue,
    waiters: HashMap<u64, Waiter>,
    /// Most work that is admitted at one time, but for a request that is alone.
    most_work: u64,
    admitted: usize,
    admitted_work: u64,
    closed: bool,
    /// Seconds that the engine takes for a unit of work: an exponential moving average.
    pace: f64,
    /// When clients were answered last, as far as it matters.
    answered: HashMap<ClientKey, Instant>,
    /// The long run that is held back, and since when.
    held_back: Option<(u64, Instant)>,
    /// Whether a task will look at the queue again when the wait before a long run is over.
    timer: bool,
}

struct Waiter {
    grant: oneshot::Sender<Result<Permit, AdmissionError>>,
    client: ClientKey,
    work: u64,
    deadline: Instant,
}

/// Weight of the newest measurement in the moving average.
const NEWEST_WEIGHT: f64 = 0.1;

/// Runs from this time on are long.
const LONG_RUN: Duration = Duration::from_millis(50);

/// Longest wait before a long run for a client that was just answered.
const MAX_ANTICIPATION: Duration = Duration::from_millis(100);

impl AdmissionController {
    /// A controller that admits this much work at one time, and has a queue for `capacity` requests.
    pub fn new(most_work: u64, capacity: usize) -> Arc<Self> {
        Arc::new(Self {
            capacity,
            state: Mutex::new(AdmissionState {
                queue: FairQueue::new(capacity),
                waiters: HashMap::new(),
                most_work: most_work.max(1),
                admitted: 0,
                admitted_work: 0,
                closed: false,
                pace: 0.0,
                answered: HashMap::new(),
                held_back: None,
                timer: false,
            }),
            changed: Notify::new(),
        })
    }

    /// The state stays consistent even if a holder of the lock panics, so poisoning is ignored.
    fn lock(&self) -> MutexGuard<'_, AdmissionState> {
        lock(&self.state)
    }

    /// Waits for a permit. Fails at once if the request cannot be served in time.
    pub async fn admit(
        self: &Arc<Self>,
        request: &AdmissionRequest,
    ) -> Result<Permit, AdmissionError> {
        let (id, granted) = {
            let mut state = self.lock();
            state.check(request, Instant::now())?;
            let (grant, granted) = oneshot::channel();
            let id = state.enqueue(request, grant)?;
            (id, granted)
        };
        self.grant_permits();
        // From here on, dropping this future must remove the entry; the ticket does so.
        let mut ticket = QueueTicket {
            controller: self,
            id: Some(id),
        };
        let outcome = tokio::time::timeout_at(request.deadline, granted).await;
        match outcome {
            Ok(answer) => {
                ticket.id = None;
                answer.unwrap_or(Err(AdmissionError::Closed))
            }
            Err(_) => Err(AdmissionError::Deadline {
                retry_after: self.lock().queue_time(),
            }),
        }
    }

    /// Whether [`admit`](Self::admit) would fail now. Called before a body is read.
    pub fn precheck(&self, request: &AdmissionRequest) -> Result<(), AdmissionError> {
        self.lock().check(request, Instant::now())
    }

    /// Records how long the engine took for a run.
    pub fn record_run(&self, time: Duration, work: u64) {
        let mut state = self.lock();
        let new = time.as_secs_f64() / work.max(1) as f64;
        state.pace = match state.pace {
            0.0 => new,
            old => old + NEWEST_WEIGHT * (new - old),
        };
    }

    /// Starts from what another controller has measured: that of the version which this one replaces.
    pub fn take_pace_of(&self, old: &Self) {
        let pace = old.lock().pace;
        self.lock().pace = pace;
    }

    /// Number of waiting requests.
    pub fn length(&self) -> usize {
        self.lock().queue.len()
    }

    /// Largest number of waiting requests.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Number of admitted requests that have not finished.
    pub fn admitted(&self) -> usize {
        self.lock().admitted
    }

    /// Admits no new requests. Those that wait are still served.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_waiters();
    }

    /// Returns when no request waits and none is admitted.
    pub async fn drained(&self) {
        loop {
            // Created before the state is read, so that a change in between is not missed.
            let changed = self.changed.notified();
            let idle = {
                let state = self.lock();
                state.admitted == 0 && state.queue.is_empty()
            };
            if idle {
                return;
            }
            changed.await;
        }
    }

    /// Gives permits to those whose turn it is and who can still be served in time.
    fn grant_permits(self: &Arc<Self>) {
        let mut refused = Vec::new();
        let mut unclaimed = None;
        {
            let mut state = self.lock();
            while let Some((id, work)) = state.queue.next_entry()
                && state.fits(work)
            {
                if let Some(until) = state.anticipation(id, work, Instant::now()) {
                    self.look_again(&mut state, until);
                    break;
                }
                let id = state.queue.pop();
                let Some(waiter) = id.and_then(|id| state.waiters.remove(&id)) else {
                    continue;
                };
                if state.misses_deadline(&waiter) {
                    let retry_after = state.queue_time();
                    refused.push((waiter.grant, AdmissionError::Deadline { retry_after }));
                    continue;
                }
                state.admitted += 1;
                state.admitted_work += waiter.work;
                let permit = Permit {
                    controller: Arc::clone(self),
                    client: waiter.client,
                    work: waiter.work,
                };
                // If the receiver is gone, `send` returns the permit. Dropping it here would lock
                // the state a second time, so it is dropped below; its drop continues the loop.
                if let Err(Ok(permit)) = waiter.grant.send(Ok(permit)) {
                    unclaimed = Some(permit);
                    break;
                }
            }
        }
        for (grant, error) in refused {
            let _ = grant.send(Err(error));
        }
        drop(unclaimed);
        self.changed.notify_waiters();
    }

    fn look_again(self: &Arc<Self>, state: &mut AdmissionState, at: Instant) {
        if std::mem::replace(&mut state.timer, true) {
            return;
        }
        let controller = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep_until(at).await;
            controller.lock().timer = false;
            controller.grant_permits();
        });
    }
}

impl AdmissionState {
    fn check(&self, request: &AdmissionRequest, now: Instant) -> Result<(), AdmissionError> {
        if self.closed {
            return Err(AdmissionError::Closed);
        }
        self.queue
            .check(&request.client)
            .map_err(|full| self.queue_full(full))?;
        let wait = self.least_wait(&request.client);
        if !self.fits(request.work) && now + wait >= request.deadline {
            return Err(AdmissionError::Deadline {
                retry_after: self.queue_time(),
            });
        }
        Ok(())
    }

    fn enqueue(
        &mut self,
        request: &AdmissionRequest,
        grant: oneshot::Sender<Result<Permit, AdmissionError>>,
    ) -> Result<u64, AdmissionError> {
        let pushed = self
            .queue
            .push(request.priority, &request.client, request.work)
            .map_err(|full| self.queue_full(full))?;
        let evicted = pushed.evicted.and_then(|id| self.waiters.remove(&id));
        if let Some(evicted) = evicted {
            let error = self.queue_full(QueueFull { own_fault: true });
            let _ = evicted.grant.send(Err(error));
        }
        let waiter = Waiter {
            grant,
            client: Arc::clone(&request.client),
            work: request.work,
            deadline: request.deadline,
        };
        self.waiters.insert(pushed.id, waiter);
        Ok(pushed.id)
    }

    fn queue_full(&self, full: QueueFull) -> AdmissionError {
        AdmissionError::QueueFull {
            own_fault: full.own_fault,
            retry_after: self.queue_time(),
        }
    }

    /// Whether so much work may be admitted besides what is.
    fn fits(&self, work: u64) -> bool {
        self.admitted == 0 || self.admitted_work.saturating_add(work) <= self.most_work
    }

    fn engine_time(&self, work: u64) -> Duration {
        Duration::try_from_secs_f64(work as f64 * self.pace).unwrap_or(Duration::MAX)
    }

    /// Time until everything that waits now has run.
    fn queue_time(&self) -> Duration {
        self.engine_time(self.queue.work().saturating_add(self.admitted_work))
    }

    /// Lower bound of this client's wait: its own entries and the admitted requests come first.
    /// Other clients' entries are left out, because the fair queue may serve this client before them.
    fn least_wait(&self, client: &str) -> Duration {
        let own = self.queue.work_of(client);
        self.engine_time(own.saturating_add(self.admitted_work))
    }

    /// Whether a request that is admitted now would finish after its deadline.
    fn misses_deadline(&self, waiter: &Waiter) -> bool {
        let time = self.engine_time(self.admitted_work.saturating_add(waiter.work));
        let end = Instant::now().checked_add(time);
        end.is_none_or(|end| end > waiter.deadline)
    }

    /// Until when a run of so much work should wait for a client that was just answered.
    /// No entry waits for others for longer than it will run itself.
    fn anticipation(&mut self, id: u64, work: u64, now: Instant) -> Option<Instant> {
        let run = self.engine_time(work);
        if run < LONG_RUN {
            return None;
        }
        let since = match self.held_back {
            Some((known, since)) if known == id => since,
            _ => self.held_back.insert((id, now)).1,
        };
        if now.saturating_duration_since(since) >= run {
            return None;
        }
        let patience = run.min(MAX_ANTICIPATION);
        self.answered.retain(|_, at| *at + MAX_ANTICIPATION > now);
        let expected = self
            .answered
            .iter()
            .filter(|(client, at)| **at + patience > now && self.queue.would_be_next(client));
        expected.map(|(_, at)| *at + patience).max()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        {
            let mut state = self.controller.lock();
            state.admitted -= 1;
            state.admitted_work -= self.work;
            let now = Instant::now();
            state.answered.retain(|_, at| *at + MAX_ANTICIPATION > now);
            state.answered.insert(Arc::clone(&self.client), now);
        }
        self.controller.grant_permits();
    }
}

/// A request's entry in the queue. Dropping it removes the entry.
struct QueueTicket<'a> {
    controller: &'a Arc<AdmissionController>,
    id: Option<u64>,
}

impl Drop for QueueTicket<'_> {
    fn drop(&mut self) {
        let Some(id) = self.id else { return };
        let waiter = {
            let mut state = self.controller.lock();
            state.queue.remove(id);
            state.waiters.remove(&id)
        };
        // After the lock is released: the channel may hold a permit, whose drop locks again.
        drop(waiter);
        // Those behind it may fit where it did not.
        self.controller.grant_permits();
    }
}

#[cfg(test)]
mod tests;
