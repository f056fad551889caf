//! Ends a source or a stream from another thread.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// Ends a source or a stream from another thread, for a signal handler say: it gives no more frames.
#[derive(Clone, Default)]
pub struct StopHandle(Arc<Shared>);

#[derive(Default)]
struct Shared {
    stopped: AtomicBool,
    actions: Mutex<Actions>,
}

#[derive(Default)]
struct Actions {
    by_number: BTreeMap<u64, Box<dyn FnOnce() + Send>>,
    next: u64,
}

impl StopHandle {
    /// Ends it, also for whoever is waiting for its next frame.
    pub fn stop(&self) {
        let mut actions = self.lock();
        self.0.stopped.store(true, Ordering::SeqCst);
        // Under the lock: what is unregistered is never done later, such as ending a process that is gone.
        for (_, action) in std::mem::take(&mut actions.by_number) {
            action();
        }
    }

    /// Whether it was ended.
    pub fn is_stopped(&self) -> bool {
        self.0.stopped.load(Ordering::SeqCst)
    }

    /// Has `action` done when it is stopped, at once if it already is, until the registration is dropped.
    /// It must not use this handle.
    pub(crate) fn on_stop(&self, action: impl FnOnce() + Send + 'static) -> Registration {
        let mut actions = self.lock();
        let number = actions.next;
        actions.next += 1;
        match self.is_stopped() {
            true => action(),
            false => drop(actions.by_number.insert(number, Box::new(action))),
        }
        drop(actions);
        Registration {
            handle: self.clone(),
            number,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Actions> {
        let locked = self.0.actions.lock();
        locked.unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// An action that is still to be done when the handle is stopped.
pub(crate) struct Registration {
    handle: StopHandle,
    number: u64,
}

impl Registration {
    /// Does `last` while the action cannot run, and takes the action back if `last` says so.
    pub(crate) fn take_back_if<T>(&self, last: impl FnOnce() -> (bool, T)) -> T {
        let mut actions = self.handle.lock();
        let (done, value) = last();
        if done {
            actions.by_number.remove(&self.number);
        }
        value
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.handle.lock().by_number.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[test]
    fn actions_are_done_once_and_not_after_they_were_taken_back() {
        let count = Arc::new(AtomicUsize::new(0));
        let add = |amount| {
            let count = count.clone();
            move || {
                count.fetch_add(amount, Ordering::SeqCst);
            }
        };
        let handle = StopHandle::default();
        let _kept = handle.on_stop(add(1));
        drop(handle.on_stop(add(10)));
        let taken_back = handle.on_stop(add(100));
        taken_back.take_back_if(|| (true, ()));
        handle.stop();
        handle.stop();
        assert_eq!(count.load(Ordering::SeqCst), 1);
        let _late = handle.on_stop(add(1000));
        assert_eq!(count.load(Ordering::SeqCst), 1001);
    }
}
