//! Locks whose poisoning is ignored. What they guard is consistent between any two statements, so a thread
//! that panicked has left nothing half done.

use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Locks a mutex.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Locks for reading, beside others that read.
pub fn read<T>(own: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    own.read().unwrap_or_else(PoisonError::into_inner)
}

/// Locks for writing.
pub fn write<T>(own: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    own.write().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_panicked_locks_nobody_out() {
        let (mutex, own) = (Mutex::new(1), RwLock::new(2));
        let panicked = std::thread::scope(|scope| {
            let work = scope.spawn(|| {
                let _guards = (mutex.lock().unwrap(), own.write().unwrap());
                panic!("on purpose");
            });
            work.join().is_err()
        });
        assert!(panicked && mutex.is_poisoned() && own.is_poisoned());
        *write(&own) += *lock(&mutex);
        assert_eq!(*read(&own), 3);
    }
}
