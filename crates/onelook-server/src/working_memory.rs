//! The memory of images and tensors at work, from the first decoded pixel to the answer.
//!
//! Requests that were admitted wait here, first come, first served, until what they need is free. One
//! that needs more than there is takes everything and is alone.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of a permit: a semaphore counts in 32 bits.
const UNIT: u64 = 64 << 10;

/// The memory for everything at work.
#[derive(Clone)]
pub struct WorkingMemory {
    units: u32,
    free: Arc<Semaphore>,
}

/// What one request holds of it.
#[derive(Debug)]
pub struct WorkingShare(OwnedSemaphorePermit);

impl WorkingMemory {
    /// So many bytes.
    pub fn new(bytes: u64) -> Self {
        let units = units(bytes).max(1);
        Self {
            units,
            free: Arc::new(Semaphore::new(units as usize)),
        }
    }

    /// Waits until so many bytes are free.
    pub async fn take(&self, bytes: u64) -> WorkingShare {
        let units = units(bytes).min(self.units);
        let taken = Arc::clone(&self.free).acquire_many_owned(units).await;
        WorkingShare(taken.expect("the semaphore is never closed"))
    }

    /// Bytes that nobody holds.
    #[cfg(test)]
    fn free(&self) -> u64 {
        self.free.available_permits() as u64 * UNIT
    }
}

impl WorkingShare {
    /// Gives back all but so many bytes.
    pub fn shrink_to(&mut self, bytes: u64) {
        let surplus = self.0.num_permits().saturating_sub(units(bytes) as usize);
        drop(self.0.split(surplus));
    }
}

fn units(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_comes_waits_for_what_is_missing() {
        let memory = WorkingMemory::new(10 * UNIT);
        let mut first = memory.take(8 * UNIT).await;
        let second = memory.clone();
        let second = tokio::spawn(async move { second.take(5 * UNIT).await });
        tokio::task::yield_now().await;
        assert!(!second.is_finished());
        first.shrink_to(5 * UNIT);
        let second = second.await.unwrap();
        assert_eq!(memory.free(), 0);
        drop((first, second));
        assert_eq!(memory.free(), 10 * UNIT);
    }

    #[tokio::test]
    async fn more_than_there_is_means_everything() {
        let memory = WorkingMemory::new(10 * UNIT);
        let all = memory.take(u64::MAX).await;
        assert_eq!(memory.free(), 0);
        drop(all);
        assert_eq!(memory.free(), 10 * UNIT);
    }
}
