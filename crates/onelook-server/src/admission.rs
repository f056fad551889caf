//! The door before a model: who may decode, fit and run pictures now, and who waits.
//!
//! Comes in: requests with a client, a priority and a deadline. Goes out: a permit, or at once the
//! reason why there is none. Only so many permits are out at a time, just enough to keep the engine
//! busy, so a request costs little more than its bytes until its turn is near. A caller that goes
//! away leaves the queue by being dropped.

pub mod fair_queue;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

pub use fair_queue::{ClientKey, Priority};
use fair_queue::{FairQueue, Full};

/// What a request says of itself at the door.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Whose it is.
    pub client: ClientKey,
    /// How urgent it is.
    pub priority: Priority,
    /// Pictures in it.
    pub pictures: u64,
    /// When an answer is of no use any more.
    pub deadline: Instant,
}

/// Why there is no permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The queue is full, or the client had to make room for others.
    Full {
        /// Whether the client itself holds the largest part of it.
        own_fault: bool,
        /// When there should be room.
        retry_after: Duration,
    },
    /// The deadline would pass, or has passed, before its turn.
    Deadline {
        /// How long the queue is.
        retry_after: Duration,
    },
    /// The model is being unloaded.
    Closed,
}

/// The right to prepare and run one request's pictures; dropping it lets the next one in.
pub struct Permit {
    gate: Arc<Gate>,
}

/// The door of one loaded model.
pub struct Gate {
    capacity: usize,
    state: Mutex<State>,
    /// Told whenever a permit comes back.
    returned: Notify,
}

struct State {
    queue: FairQueue,
    waiting: HashMap<u64, Waiting>,
    free: usize,
    permits: usize,
    closed: bool,
    /// Seconds that the engine takes per picture; a moving average.
    pace: f64,
}

struct Waiting {
    grant: oneshot::Sender<Result<Permit, Refusal>>,
    deadline: Instant,
}

/// Weight of the newest measurement in the pace.
const PACE_WEIGHT: f64 = 0.1;

impl Gate {
    /// A door with so many permits, and a queue for `capacity` requests before it.
    pub fn new(permits: usize, capacity: usize) -> Arc<Self> {
        Arc::new(Self {
            capacity,
            state: Mutex::new(State {
                queue: FairQueue::new(capacity),
                waiting: HashMap::new(),
                free: permits.max(1),
                permits: permits.max(1),
                closed: false,
                pace: 0.0,
            }),
            returned: Notify::new(),
        })
    }

    /// Bookkeeping cannot fail half-way, so a poisoned lock is as good as any.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a permit; refuses at once what could only wait in vain.
    pub async fn enter(self: &Arc<Self>, ask: &Ask) -> Result<Permit, Refusal> {
        let (id, granted) = {
            let mut state = self.lock();
            state.admit(ask, Instant::now())?;
            if state.free > 0 && state.queue.is_empty() {
                state.free -= 1;
                return Ok(self.permit());
            }
            let (grant, granted) = oneshot::channel();
            let id = state.wait(ask, grant)?;
            (id, granted)
        };
        let mut place = Place {
            gate: self,
            id: Some(id),
        };
        let outcome = tokio::time::timeout_at(ask.deadline, granted).await;
        match outcome {
            Ok(answer) => {
                place.id = None;
                answer.unwrap_or(Err(Refusal::Closed))
            }
            Err(_) => Err(Refusal::Deadline {
                retry_after: self.lock().wait_ahead(),
            }),
        }
    }

    /// Whether [`enter`](Self::enter) would refuse now; to be asked before a body is read.
    pub fn admits(&self, ask: &Ask) -> Result<(), Refusal> {
        self.lock().admit(ask, Instant::now())
    }

    /// Tells how long the engine took for so many pictures.
    pub fn observe(&self, time: Duration, pictures: usize) {
        let mut state = self.lock();
        let new = time.as_secs_f64() / pictures.max(1) as f64;
        state.pace = match state.pace {
            0.0 => new,
            old => old + PACE_WEIGHT * (new - old),
        };
    }

    /// Requests that wait.
    pub fn length(&self) -> usize {
        self.lock().queue.len()
    }

    /// Most requests that may wait.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Permits that are out.
    pub fn inside(&self) -> usize {
        let state = self.lock();
        state.permits - state.free
    }

    /// Lets nobody new in; those who wait are still served.
    pub fn close(&self) {
        self.lock().closed = true;
        self.returned.notify_waiters();
    }

    /// Returns when nobody waits and nobody is inside.
    pub async fn drained(&self) {
        loop {
            let returned = self.returned.notified();
            let idle = {
                let state = self.lock();
                state.free == state.permits && state.queue.is_empty()
            };
            if idle {
                return;
            }
            returned.await;
        }
    }

    fn permit(self: &Arc<Self>) -> Permit {
        Permit {
            gate: Arc::clone(self),
        }
    }

    /// Hands a returned permit to whoever is next and can still be served in time.
    fn give_back(self: &Arc<Self>) {
        let mut refused = Vec::new();
        let mut unwanted = None;
        {
            let mut state = self.lock();
            state.free += 1;
            while state.free > 0
                && let Some(id) = state.queue.pop()
            {
                let Some(waiting) = state.waiting.remove(&id) else {
                    continue;
                };
                if state.is_hopeless(waiting.deadline) {
                    let retry_after = state.wait_ahead();
                    refused.push((waiting.grant, Refusal::Deadline { retry_after }));
                    continue;
                }
                state.free -= 1;
                // A receiver that is gone hands the permit back; dropping it here would lock twice.
                if let Err(Ok(permit)) = waiting.grant.send(Ok(self.permit())) {
                    unwanted = Some(permit);
                    break;
                }
            }
        }
        for (grant, refusal) in refused {
            let _ = grant.send(Err(refusal));
        }
        drop(unwanted);
        self.returned.notify_waiters();
    }
}

impl State {
    fn admit(&self, ask: &Ask, now: Instant) -> Result<(), Refusal> {
        if self.closed {
            return Err(Refusal::Closed);
        }
        self.queue
            .admits(&ask.client)
            .map_err(|full| self.full(full))?;
        let own_turn = self.expected_wait(&ask.client);
        if self.free == 0 && now + own_turn >= ask.deadline {
            return Err(Refusal::Deadline {
                retry_after: self.wait_ahead(),
            });
        }
        Ok(())
    }

    fn wait(
        &mut self,
        ask: &Ask,
        grant: oneshot::Sender<Result<Permit, Refusal>>,
    ) -> Result<u64, Refusal> {
        let pushed = self
            .queue
            .push(ask.priority, &ask.client, ask.pictures)
            .map_err(|full| self.full(full))?;
        let evicted = pushed.evicted.and_then(|id| self.waiting.remove(&id));
        if let Some(evicted) = evicted {
            let refusal = self.full(Full { own_fault: true });
            let _ = evicted.grant.send(Err(refusal));
        }
        let deadline = ask.deadline;
        self.waiting.insert(pushed.id, Waiting { grant, deadline });
        Ok(pushed.id)
    }

    fn full(&self, full: Full) -> Refusal {
        Refusal::Full {
            own_fault: full.own_fault,
            retry_after: self.wait_ahead(),
        }
    }

    /// Time until everything that waits now has run.
    fn wait_ahead(&self) -> Duration {
        let ahead = self.queue.pictures() as usize + (self.permits - self.free);
        Duration::from_secs_f64(ahead as f64 * self.pace)
    }

    /// The least that this client will wait: its own entries and those inside.
    fn expected_wait(&self, client: &str) -> Duration {
        let ahead = self.queue.ahead_of(client) as usize + (self.permits - self.free);
        Duration::from_secs_f64(ahead as f64 * self.pace)
    }

    /// Whether pictures let in now would come out after this deadline.
    fn is_hopeless(&self, deadline: Instant) -> bool {
        let inside = (self.permits - self.free + 1) as f64;
        Instant::now() + Duration::from_secs_f64(inside * self.pace) > deadline
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.gate.give_back();
    }
}

/// A place in the queue; dropping it leaves.
struct Place<'a> {
    gate: &'a Arc<Gate>,
    id: Option<u64>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let Some(id) = self.id else { return };
        let gone = {
            let mut state = self.gate.lock();
            state.queue.remove(id);
            state.waiting.remove(&id)
        };
        drop(gone);
        self.gate.returned.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(client: &str, seconds: f64) -> Ask {
        Ask {
            client: Arc::from(client),
            priority: Priority::Normal,
            pictures: 1,
            deadline: Instant::now() + Duration::from_secs_f64(seconds),
        }
    }

    async fn settle() {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn permits_are_bounded_and_go_on_to_those_who_wait() {
        let gate = Gate::new(1, 4);
        let first = gate
            .enter(&ask("a", 9.0))
            .await
            .unwrap_or_else(|_| panic!("free"));
        let (door, asked) = (Arc::clone(&gate), ask("b", 9.0));
        let second = tokio::spawn(async move { door.enter(&asked).await.is_ok() });
        settle().await;
        assert_eq!((gate.inside(), gate.length()), (1, 1));
        drop(first);
        assert!(second.await.unwrap());
        assert_eq!((gate.inside(), gate.length()), (0, 0));
    }

    #[tokio::test]
    async fn a_caller_that_goes_away_leaves_the_queue() {
        let gate = Gate::new(1, 4);
        let first = gate.enter(&ask("a", 9.0)).await;
        let (door, asked) = (Arc::clone(&gate), ask("b", 9.0));
        let second = tokio::spawn(async move { door.enter(&asked).await.is_ok() });
        settle().await;
        second.abort();
        assert!(second.await.is_err());
        assert_eq!(gate.length(), 0);
        drop(first);
        assert_eq!(gate.inside(), 0);
    }

    #[tokio::test]
    async fn who_waits_past_the_deadline_is_told_so() {
        let gate = Gate::new(1, 4);
        let _first = gate.enter(&ask("a", 9.0)).await;
        let refused = gate.enter(&ask("b", 0.05)).await.err();
        assert!(matches!(refused, Some(Refusal::Deadline { .. })));
        assert_eq!(gate.length(), 0);
    }

    #[tokio::test]
    async fn a_wait_in_vain_is_refused_at_once() {
        let gate = Gate::new(1, 4);
        let _first = gate.enter(&ask("a", 9.0)).await;
        gate.observe(Duration::from_secs(2), 1);
        let refused = gate.enter(&ask("b", 1.0)).await.err();
        let retry_after = Duration::from_secs(2);
        assert_eq!(refused, Some(Refusal::Deadline { retry_after }));
    }

    #[tokio::test]
    async fn a_greedy_client_makes_room_for_a_modest_one() {
        let gate = Gate::new(1, 2);
        let _first = gate.enter(&ask("greedy", 9.0)).await;
        let waits = |client: &'static str| {
            let (door, asked) = (Arc::clone(&gate), ask(client, 9.0));
            tokio::spawn(async move { door.enter(&asked).await.map(drop).err() })
        };
        let _kept = waits("greedy");
        settle().await;
        let evicted = waits("greedy");
        settle().await;
        let _modest = waits("modest");
        settle().await;
        assert!(matches!(
            evicted.await.unwrap(),
            Some(Refusal::Full {
                own_fault: true,
                ..
            })
        ));
        assert_eq!(gate.length(), 2);
    }

    #[tokio::test]
    async fn a_closed_gate_serves_those_who_wait_and_then_is_drained() {
        let gate = Gate::new(1, 4);
        let first = gate.enter(&ask("a", 9.0)).await;
        let (door, asked) = (Arc::clone(&gate), ask("b", 9.0));
        let second = tokio::spawn(async move { door.enter(&asked).await.is_ok() });
        settle().await;
        gate.close();
        assert_eq!(
            gate.enter(&ask("c", 9.0)).await.err(),
            Some(Refusal::Closed)
        );
        drop(first);
        assert!(second.await.unwrap());
        gate.drained().await;
    }
}
