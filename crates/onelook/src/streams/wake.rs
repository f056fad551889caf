//! Lets one thread sleep until another has something for it.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Shared by the thread that waits and those that wake it.
#[derive(Clone, Default)]
pub struct Wake(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    wakes: u64,
    interrupted: bool,
}

/// Why a wait has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Woken {
    /// Something has changed since the ticket was taken.
    Changed,
    /// [`Wake::interrupt`] was called.
    Interrupted,
    /// The deadline has passed.
    TimedOut,
}

/// How often there was a wake before.
#[derive(Clone, Copy)]
pub struct Ticket(u64);

impl Wake {
    /// Something has changed.
    pub fn wake(&self) {
        self.lock().wakes += 1;
        self.0.changed.notify_all();
    }

    /// Ends the wait, or the next one.
    pub fn interrupt(&self) {
        self.lock().interrupted = true;
        self.0.changed.notify_all();
    }

    /// To be taken before looking whether anything has changed.
    pub fn ticket(&self) -> Ticket {
        Ticket(self.lock().wakes)
    }

    /// Waits for a wake since the ticket was taken, an interruption or the deadline.
    pub fn wait(&self, ticket: Ticket, deadline: Option<Instant>) -> Woken {
        let mut state = self.lock();
        loop {
            if std::mem::take(&mut state.interrupted) {
                return Woken::Interrupted;
            }
            if state.wakes != ticket.0 {
                return Woken::Changed;
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Woken::TimedOut;
            }
            state = match left {
                Some(left) => {
                    let waited = self.0.changed.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => {
                    let waited = self.0.changed.wait(state);
                    waited.unwrap_or_else(PoisonError::into_inner)
                }
            };
        }
    }

    /// Only counts are kept under the lock, so poisoning is ignored.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
