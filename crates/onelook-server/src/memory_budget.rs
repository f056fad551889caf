//! The memory that requests hold: bodies, what they are parsed into, and answers that nobody has read yet.
//!
//! Every byte is accounted for before it is stored, whatever protocol it comes by, and goes back when the
//! request's share is dropped. One client may hold as much as all together leave free: a single client
//! gets half, and however many come, there is something left for the next one (dynamic thresholds,
//! Choudhury and Hahne 1998).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::admission::ClientKey;
use crate::locks::lock;
use crate::problem::{Problem, ProblemKind};

/// The memory for all requests.
pub struct MemoryBudget(Arc<Shared>);

struct Shared {
    total: usize,
    sums: Mutex<Sums>,
}

#[derive(Default)]
struct Sums {
    all: usize,
    by_client: HashMap<ClientKey, usize>,
}

impl MemoryBudget {
    /// A budget of this many bytes.
    pub fn new(total: usize) -> Self {
        Self(Arc::new(Shared {
            total,
            sums: Mutex::default(),
        }))
    }

    /// Bytes that nobody holds.
    pub fn free(&self) -> usize {
        self.0.total.saturating_sub(self.0.lock().all)
    }

    /// What a request of this client holds: nothing at first.
    pub fn share(&self, client: &ClientKey) -> MemoryShare {
        MemoryShare {
            shared: Arc::clone(&self.0),
            client: Arc::clone(client),
            bytes: Mutex::new(0),
        }
    }
}

impl Shared {
    /// Only sums are kept under the lock, so poisoning is ignored.
    fn lock(&self) -> MutexGuard<'_, Sums> {
        lock(&self.sums)
    }
}

/// What one request holds of the budget.
pub struct MemoryShare {
    shared: Arc<Shared>,
    client: ClientKey,
    bytes: Mutex<usize>,
}

impl MemoryShare {
    /// Takes more of the budget, or fails if it leaves this client too little.
    pub fn grow(&self, bytes: usize) -> Result<(), Problem> {
        let mut own = self.own();
        let mut sums = self.shared.lock();
        let free = self.shared.total.saturating_sub(sums.all);
        let of_client = sums.by_client.get(&self.client).copied().unwrap_or(0);
        let wanted = of_client.saturating_add(bytes);
        if wanted > free {
            let (kind, detail) = match of_client > *own {
                true => (
                    ProblemKind::TooMany,
                    "this client's requests in progress take up its share of the memory: wait for their answers",
                ),
                false => (
                    ProblemKind::Overloaded,
                    "the requests in progress take up the memory for requests: try again later",
                ),
            };
            return Err(Problem::new(kind, detail).retry_after(Duration::from_secs(1)));
        }
        sums.take(&self.client, bytes);
        *own += bytes;
        Ok(())
    }

    /// Takes more of the budget for what exists already, such as an answer, also beyond its bound: the
    /// requests that come next find less.
    pub fn grow_beyond(&self, bytes: usize) {
        self.shared.lock().take(&self.client, bytes);
        *self.own() += bytes;
    }

    /// Gives back what is not needed any more.
    pub fn shrink(&self, bytes: usize) {
        let mut own = self.own();
        let bytes = bytes.min(*own);
        *own -= bytes;
        let mut sums = self.shared.lock();
        sums.all -= bytes;
        if let Some(of_client) = sums.by_client.get_mut(&self.client) {
            *of_client -= bytes;
            if *of_client == 0 {
                sums.by_client.remove(&self.client);
            }
        }
    }

    fn own(&self) -> MutexGuard<'_, usize> {
        lock(&self.bytes)
    }
}

impl Sums {
    fn take(&mut self, client: &ClientKey, bytes: usize) {
        if bytes > 0 {
            self.all += bytes;
            *self.by_client.entry(Arc::clone(client)).or_default() += bytes;
        }
    }
}

impl Drop for MemoryShare {
    fn drop(&mut self) {
        self.shrink(usize::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(name: &str) -> ClientKey {
        Arc::from(name)
    }

    #[test]
    fn a_client_gets_what_it_leaves_free_and_everything_comes_back() {
        let budget = MemoryBudget::new(1000);
        let (first, second) = (budget.share(&client("a")), budget.share(&client("a")));
        assert!(first.grow(300).is_ok());
        assert!(second.grow(200).is_ok());
        assert_eq!(second.grow(1).unwrap_err().kind, ProblemKind::TooMany);
        assert_eq!(budget.free(), 500);
        first.shrink(100);
        assert!(second.grow(1).is_ok());
        drop((first, second));
        assert_eq!(budget.free(), 1000);
        assert!(budget.0.lock().by_client.is_empty());
    }

    #[test]
    fn however_many_clients_take_all_they_can_something_is_left_for_the_next() {
        let budget = MemoryBudget::new(1 << 20);
        let shares: Vec<MemoryShare> = (0..10)
            .map(|index| {
                let share = budget.share(&client(&index.to_string()));
                while share.grow(64).is_ok() {}
                share
            })
            .collect();
        assert!(budget.share(&client("next")).grow(256).is_ok());
        drop(shares);
        assert_eq!(budget.free(), 1 << 20);
    }

    #[test]
    fn what_exists_already_is_counted_beyond_the_bound() {
        let budget = MemoryBudget::new(100);
        let answer = budget.share(&client("a"));
        answer.grow_beyond(150);
        assert_eq!(budget.free(), 0);
        let refused = budget.share(&client("b")).grow(1).unwrap_err();
        assert_eq!(refused.kind, ProblemKind::Overloaded);
        drop(answer);
        assert_eq!(budget.free(), 100);
    }
}
