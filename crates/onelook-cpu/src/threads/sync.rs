//! What the pool is made of: the standard library's primitives, or loom's where the model checker runs it.
//!
//! The checker knows no time: there an idle worker sleeps at once.

#[cfg(loom)]
pub(super) use loom::{
    cell::UnsafeCell,
    hint::spin_loop,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread::{Builder, JoinHandle, yield_now},
};
#[cfg(not(loom))]
pub(super) use std::{
    hint::spin_loop,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread::{Builder, JoinHandle, yield_now},
};

#[cfg(not(loom))]
pub(super) use clocked::{Idle, UnsafeCell};

#[cfg(not(loom))]
mod clocked {
    use std::time::{Duration, Instant};

    use super::{spin_loop, yield_now};

    /// How long an idle worker spins before it sleeps: longer than the gaps between the kernels of a pass.
    const SPIN: Duration = Duration::from_micros(60);

    /// How long of that it keeps the core for itself.
    const KEEP_CORE: Duration = Duration::from_micros(10);

    /// A worker's waiting, from when it found nothing to do.
    pub(in crate::threads) struct Idle(Instant);

    impl Idle {
        pub(in crate::threads) fn new() -> Self {
            Self(Instant::now())
        }

        /// Waits a little; true when it is time to sleep.
        pub(in crate::threads) fn wait(&self) -> bool {
            (0..64).for_each(|_| spin_loop());
            let idle = self.0.elapsed();
            if (KEEP_CORE..=SPIN).contains(&idle) {
                yield_now();
            }
            idle > SPIN
        }
    }

    /// The standard library's cell behind loom's interface, which sees each access.
    pub(in crate::threads) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        pub(in crate::threads) fn new(value: T) -> Self {
            Self(std::cell::UnsafeCell::new(value))
        }

        /// The address, to be read.
        pub(in crate::threads) fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
            read(self.0.get())
        }

        /// The address, to be written.
        pub(in crate::threads) fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
            write(self.0.get())
        }
    }
}

/// A worker's waiting, which the checker cannot time.
#[cfg(loom)]
pub(super) struct Idle;

#[cfg(loom)]
impl Idle {
    pub(super) fn new() -> Self {
        Self
    }

    pub(super) fn wait(&self) -> bool {
        true
    }
}
