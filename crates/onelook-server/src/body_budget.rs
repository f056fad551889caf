//! The memory that all request bodies together may take.
//!
//! Every byte of a body is accounted for before it is stored, whatever protocol it comes by. What a
//! request holds goes back when its share is dropped.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::problem::{Problem, ProblemKind};

/// Memory for the bodies of all requests. Counted in KiB, because a semaphore's permits are few.
pub struct BodyBudget(Arc<Semaphore>);

impl BodyBudget {
    /// A budget of this many bytes.
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new((bytes >> 10).max(1))))
    }

    /// KiB that are left.
    pub fn free_kibibytes(&self) -> usize {
        self.0.available_permits()
    }

    /// One request's share, empty at first.
    pub fn share(&self) -> BudgetShare {
        BudgetShare {
            free: Arc::clone(&self.0),
            bytes: Mutex::new(0),
        }
    }
}

/// What one request holds of the budget.
pub struct BudgetShare {
    free: Arc<Semaphore>,
    bytes: Mutex<usize>,
}

impl BudgetShare {
    /// Takes more of the budget, or fails if the other requests have left too little.
    pub fn grow(&self, bytes: usize) -> Result<(), Problem> {
        let mut held = self.held();
        let needed = kibibytes(*held + bytes) - kibibytes(*held);
        let permits = u32::try_from(needed).unwrap_or(u32::MAX);
        let permit = self.free.try_acquire_many(permits).map_err(|_| {
            let detail =
                "the requests in progress take up all the memory for bodies: try again later";
            Problem::new(ProblemKind::Overloaded, detail).retry_after(Duration::from_secs(1))
        })?;
        // Given back by hand, in `shrink` and `drop`.
        permit.forget();
        *held += bytes;
        Ok(())
    }

    /// Gives back what is not needed any more.
    pub fn shrink(&self, bytes: usize) {
        let mut held = self.held();
        let left = held.saturating_sub(bytes);
        self.free.add_permits(kibibytes(*held) - kibibytes(left));
        *held = left;
    }

    fn held(&self) -> MutexGuard<'_, usize> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for BudgetShare {
    fn drop(&mut self) {
        self.shrink(usize::MAX);
    }
}

fn kibibytes(bytes: usize) -> usize {
    bytes.div_ceil(1 << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_bounded_together_and_come_back() {
        let budget = BodyBudget::new(4 << 10);
        let (a, b) = (budget.share(), budget.share());
        assert!(a.grow(3 << 10).is_ok());
        assert!(b.grow(1).is_ok());
        // Within the KiB that is paid for already.
        assert!(b.grow(1000).is_ok());
        assert_eq!(a.grow(1).unwrap_err().kind, ProblemKind::Overloaded);
        a.shrink(1 << 10);
        assert!(b.grow(1 << 10).is_ok());
        drop((a, b));
        assert!(budget.share().grow(4 << 10).is_ok());
    }
}
