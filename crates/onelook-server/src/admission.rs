//! Admission control before a model: who may decode, prepare and run images now, and who waits.
//!
//! Takes requests with a client, a priority and a deadline. Gives a permit, or at once the reason why
//! there is none. The number of permits is just enough to keep the engine busy, so a waiting request
//! costs little more memory than its bytes. A caller that disconnects drops its future and thereby
//! leaves the queue.

pub mod fair_queue;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

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
    /// Number of images in it.
    pub images: u64,
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

/// The right to prepare and run one request's images. Dropping it admits the next request.
pub struct Permit {
    controller: Arc<AdmissionController>,
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
    free: usize,
    permits: usize,
    closed: bool,
    /// Seconds that the engine takes per image: an exponential moving average.
    seconds_per_image: f64,
}

struct Waiter {
    grant: oneshot::Sender<Result<Permit, AdmissionError>>,
    deadline: Instant,
}

/// Weight of the newest measurement in the moving average.
const NEWEST_WEIGHT: f64 = 0.1;

impl AdmissionController {
    /// A controller with this many permits, and a queue for `capacity` requests.
    pub fn new(permits: usize, capacity: usize) -> Arc<Self> {
        Arc::new(Self {
            capacity,
            state: Mutex::new(AdmissionState {
                queue: FairQueue::new(capacity),
                waiters: HashMap::new(),
                free: permits.max(1),
                permits: permits.max(1),
                closed: false,
                seconds_per_image: 0.0,
            }),
            changed: Notify::new(),
        })
    }

    /// The state stays consistent even if a holder of the lock panics, so poisoning is ignored.
    fn lock(&self) -> MutexGuard<'_, AdmissionState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a permit. Fails at once if the request cannot be served in time.
    pub async fn admit(
        self: &Arc<Self>,
        request: &AdmissionRequest,
    ) -> Result<Permit, AdmissionError> {
        let (id, granted) = {
            let mut state = self.lock();
            state.check(request, Instant::now())?;
            // A free permit goes to a newcomer only if nobody waits: otherwise it would overtake.
            if state.free > 0 && state.queue.is_empty() {
                state.free -= 1;
                return Ok(self.permit());
            }
            let (grant, granted) = oneshot::channel();
            let id = state.enqueue(request, grant)?;
            (id, granted)
        };
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
    pub fn record_run(&self, time: Duration, images: usize) {
        let mut state = self.lock();
        let new = time.as_secs_f64() / images.max(1) as f64;
        state.seconds_per_image = match state.seconds_per_image {
            0.0 => new,
            old => old + NEWEST_WEIGHT * (new - old),
        };
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
        self.lock().admitted()
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
                state.free == state.permits && state.queue.is_empty()
            };
            if idle {
                return;
            }
            changed.await;
        }
    }

    fn permit(self: &Arc<Self>) -> Permit {
        Permit {
            controller: Arc::clone(self),
        }
    }

    /// Gives a returned permit to the next waiter that can still be served in time.
    fn release_permit(self: &Arc<Self>) {
        let mut too_late = Vec::new();
        let mut unclaimed = None;
        {
            let mut state = self.lock();
            state.free += 1;
            while state.free > 0
                && let Some(id) = state.queue.pop()
            {
                let Some(waiter) = state.waiters.remove(&id) else {
                    continue;
                };
                if state.misses_deadline(waiter.deadline) {
                    let retry_after = state.queue_time();
                    too_late.push((waiter.grant, AdmissionError::Deadline { retry_after }));
                    continue;
                }
                state.free -= 1;
                // If the receiver is gone, `send` returns the permit. Dropping it here would lock
                // the state a second time, so it is dropped below; its drop continues the loop.
                if let Err(Ok(permit)) = waiter.grant.send(Ok(self.permit())) {
                    unclaimed = Some(permit);
                    break;
                }
            }
        }
        for (grant, error) in too_late {
            let _ = grant.send(Err(error));
        }
        drop(unclaimed);
        self.changed.notify_waiters();
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
        if self.free == 0 && now + wait >= request.deadline {
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
            .push(request.priority, &request.client, request.images)
            .map_err(|full| self.queue_full(full))?;
        let evicted = pushed.evicted.and_then(|id| self.waiters.remove(&id));
        if let Some(evicted) = evicted {
            let error = self.queue_full(QueueFull { own_fault: true });
            let _ = evicted.grant.send(Err(error));
        }
        let deadline = request.deadline;
        self.waiters.insert(pushed.id, Waiter { grant, deadline });
        Ok(pushed.id)
    }

    fn queue_full(&self, full: QueueFull) -> AdmissionError {
        AdmissionError::QueueFull {
            own_fault: full.own_fault,
            retry_after: self.queue_time(),
        }
    }

    fn admitted(&self) -> usize {
        self.permits - self.free
    }

    fn engine_time(&self, images: usize) -> Duration {
        Duration::from_secs_f64(images as f64 * self.seconds_per_image)
    }

    /// Time until everything that waits now has run.
    fn queue_time(&self) -> Duration {
        self.engine_time(self.queue.images() as usize + self.admitted())
    }

    /// Lower bound of this client's wait: its own entries and the admitted requests come first.
    /// Other clients' entries are left out, because the fair queue may serve this client before them.
    fn least_wait(&self, client: &str) -> Duration {
        self.engine_time(self.queue.images_of(client) as usize + self.admitted())
    }

    /// Whether a request that is admitted now would finish after this deadline.
    fn misses_deadline(&self, deadline: Instant) -> bool {
        Instant::now() + self.engine_time(self.admitted() + 1) > deadline
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.controller.release_permit();
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
        self.controller.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(client: &str, seconds: f64) -> AdmissionRequest {
        AdmissionRequest {
            client: Arc::from(client),
            priority: Priority::Normal,
            images: 1,
            deadline: Instant::now() + Duration::from_secs_f64(seconds),
        }
    }

    async fn settle() {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn permits_are_bounded_and_pass_to_waiting_requests() {
        let admission = AdmissionController::new(1, 4);
        let first = admission
            .admit(&request("a", 9.0))
            .await
            .unwrap_or_else(|_| panic!("free"));
        let (controller, waiting) = (Arc::clone(&admission), request("b", 9.0));
        let second = tokio::spawn(async move { controller.admit(&waiting).await.is_ok() });
        settle().await;
        assert_eq!((admission.admitted(), admission.length()), (1, 1));
        drop(first);
        assert!(second.await.unwrap());
        assert_eq!((admission.admitted(), admission.length()), (0, 0));
    }

    #[tokio::test]
    async fn a_dropped_request_leaves_the_queue() {
        let admission = AdmissionController::new(1, 4);
        let first = admission.admit(&request("a", 9.0)).await;
        let (controller, waiting) = (Arc::clone(&admission), request("b", 9.0));
        let second = tokio::spawn(async move { controller.admit(&waiting).await.is_ok() });
        settle().await;
        second.abort();
        assert!(second.await.is_err());
        assert_eq!(admission.length(), 0);
        drop(first);
        assert_eq!(admission.admitted(), 0);
    }

    #[tokio::test]
    async fn a_request_that_waits_past_its_deadline_gets_a_deadline_error() {
        let admission = AdmissionController::new(1, 4);
        let _first = admission.admit(&request("a", 9.0)).await;
        let refused = admission.admit(&request("b", 0.05)).await.err();
        assert!(matches!(refused, Some(AdmissionError::Deadline { .. })));
        assert_eq!(admission.length(), 0);
    }

    #[tokio::test]
    async fn a_request_that_cannot_make_its_deadline_is_refused_at_once() {
        let admission = AdmissionController::new(1, 4);
        let _first = admission.admit(&request("a", 9.0)).await;
        admission.record_run(Duration::from_secs(2), 1);
        let refused = admission.admit(&request("b", 1.0)).await.err();
        let retry_after = Duration::from_secs(2);
        assert_eq!(refused, Some(AdmissionError::Deadline { retry_after }));
    }

    #[tokio::test]
    async fn a_client_with_many_requests_is_evicted_for_one_with_few() {
        let admission = AdmissionController::new(1, 2);
        let _first = admission.admit(&request("heavy", 9.0)).await;
        let waits = |client: &'static str| {
            let (controller, waiting) = (Arc::clone(&admission), request(client, 9.0));
            tokio::spawn(async move { controller.admit(&waiting).await.map(drop).err() })
        };
        let _kept = waits("heavy");
        settle().await;
        let evicted = waits("heavy");
        settle().await;
        let _light = waits("light");
        settle().await;
        assert!(matches!(
            evicted.await.unwrap(),
            Some(AdmissionError::QueueFull {
                own_fault: true,
                ..
            })
        ));
        assert_eq!(admission.length(), 2);
    }

    #[tokio::test]
    async fn a_closed_controller_serves_waiting_requests_and_then_is_drained() {
        let admission = AdmissionController::new(1, 4);
        let first = admission.admit(&request("a", 9.0)).await;
        let (controller, waiting) = (Arc::clone(&admission), request("b", 9.0));
        let second = tokio::spawn(async move { controller.admit(&waiting).await.is_ok() });
        settle().await;
        admission.close();
        assert_eq!(
            admission.admit(&request("c", 9.0)).await.err(),
            Some(AdmissionError::Closed)
        );
        drop(first);
        assert!(second.await.unwrap());
        admission.drained().await;
    }
}
