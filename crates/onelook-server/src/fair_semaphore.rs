//! A semaphore whose permits are shared among clients: memory of images at work, threads that decode.
//!
//! As in the memory budget, one client may hold as many permits as all together leave free. Those who
//! ask for more wait: first come, first served, but whoever waits for its own permits holds up nobody
//! else. A request that needs more than there are takes all, once its client holds none.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::oneshot;

use crate::admission::ClientKey;
use crate::locks::lock;

/// The permits; cloned for each user.
#[derive(Clone)]
pub struct FairSemaphore(Arc<Shared>);

struct Shared {
    total: u64,
    state: Mutex<State>,
}

struct State {
    free: u64,
    by_client: HashMap<ClientKey, u64>,
    waiting: VecDeque<Waiter>,
}

struct Waiter {
    client: ClientKey,
    count: u64,
    grant: oneshot::Sender<FairPermits>,
}

/// Permits that a client holds; they come back when this is dropped.
pub struct FairPermits {
    shared: Arc<Shared>,
    client: ClientKey,
    count: u64,
}

impl FairSemaphore {
    /// So many permits, at least one.
    pub fn new(total: u64) -> Self {
        let total = total.max(1);
        Self(Arc::new(Shared {
            total,
            state: Mutex::new(State {
                free: total,
                by_client: HashMap::new(),
                waiting: VecDeque::new(),
            }),
        }))
    }

    /// Waits until this client may hold so many permits more. Dropping the future gives up the place in
    /// the queue.
    pub async fn acquire(&self, client: &ClientKey, count: u64) -> FairPermits {
        /// Whoever gives up may have been the one that those behind it waited for.
        struct Leave<'a>(&'a Arc<Shared>);
        impl Drop for Leave<'_> {
            fn drop(&mut self) {
                self.0.grant();
            }
        }
        let _leave = Leave(&self.0);
        let (grant, granted) = oneshot::channel();
        self.0.lock().waiting.push_back(Waiter {
            client: Arc::clone(client),
            count: count.min(self.0.total),
            grant,
        });
        self.0.grant();
        granted
            .await
            .expect("a waiter leaves the queue by its grant")
    }

    /// So many permits more for this client, if it may have them at once and nobody waits.
    pub fn try_acquire(&self, client: &ClientKey, count: u64) -> Option<FairPermits> {
        let mut state = self.0.lock();
        let own = state.by_client.get(client).copied().unwrap_or(0);
        let is_free = own.saturating_add(count) <= state.free && state.waiting.is_empty();
        is_free.then(|| state.take(&self.0, client, count))
    }

    /// Permits that nobody holds.
    #[cfg(test)]
    fn free(&self) -> u64 {
        self.0.lock().free
    }
}

impl Shared {
    /// The state is consistent between any two statements, so poisoning is ignored.
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Gives permits to those whose turn it is.
    fn grant(self: &Arc<Self>) {
        let mut granted = Vec::new();
        let mut state = self.lock();
        state.waiting.retain(|waiter| !waiter.grant.is_closed());
        // Clients of whom one waits for its own permits: their later ones do not overtake it.
        let mut over = HashSet::new();
        let mut index = 0;
        while let Some(waiter) = state.waiting.get(index) {
            let own = state.by_client.get(&waiter.client).copied().unwrap_or(0);
            if over.contains(&waiter.client) {
                index += 1;
            } else if own + waiter.count <= state.free {
                let waiter = state.waiting.remove(index).expect("it was found there");
                let permits = state.take(self, &waiter.client, waiter.count);
                granted.push((waiter.grant, permits));
            } else if own == 0 {
                // What comes back is for this one, or the small ones would always go first.
                break;
            } else {
                over.insert(Arc::clone(&waiter.client));
                index += 1;
            }
        }
        drop(state);
        // Permits that nobody takes come back by themselves, which locks again.
        for (grant, permits) in granted {
            let _ = grant.send(permits);
        }
    }

    fn give_back(self: &Arc<Self>, client: &ClientKey, count: u64) {
        let mut state = self.lock();
        state.free += count;
        if let Some(own) = state.by_client.get_mut(client) {
            *own -= count;
            if *own == 0 {
                state.by_client.remove(client);
            }
        }
        drop(state);
        self.grant();
    }
}

impl State {
    fn take(&mut self, shared: &Arc<Shared>, client: &ClientKey, count: u64) -> FairPermits {
        self.free -= count;
        if count > 0 {
            *self.by_client.entry(Arc::clone(client)).or_default() += count;
        }
        FairPermits {
            shared: Arc::clone(shared),
            client: Arc::clone(client),
            count,
        }
    }
}

impl FairPermits {
    /// Gives back all but so many.
    pub fn shrink_to(&mut self, count: u64) {
        let surplus = self.count.saturating_sub(count);
        self.count -= surplus;
        self.shared.give_back(&self.client, surplus);
    }
}

impl Drop for FairPermits {
    fn drop(&mut self) {
        self.shared.give_back(&self.client, self.count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::task::JoinHandle;

    fn client(name: &str) -> ClientKey {
        Arc::from(name)
    }

    /// Asks in a task of its own, and lets it come as far as it can.
    async fn ask(semaphore: &FairSemaphore, name: &str, count: u64) -> JoinHandle<FairPermits> {
        let (semaphore, client) = (semaphore.clone(), client(name));
        let asked = tokio::spawn(async move { semaphore.acquire(&client, count).await });
        settle().await;
        asked
    }

    async fn settle() {
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn one_client_gets_what_it_leaves_free_and_the_others_the_rest() {
        let semaphore = FairSemaphore::new(10);
        let first = ask(&semaphore, "a", 3).await.await.unwrap();
        let second = ask(&semaphore, "a", 2).await.await.unwrap();
        let third = ask(&semaphore, "a", 1).await;
        assert!(!third.is_finished(), "five of ten are its share");
        let other = ask(&semaphore, "b", 2).await;
        assert!(other.is_finished(), "it came later, and is another client");
        drop(first);
        assert!(third.await.is_ok());
        drop((second, other.await));
        settle().await;
        assert_eq!(semaphore.free(), 10);
        assert!(semaphore.0.lock().by_client.is_empty());
    }

    #[tokio::test]
    async fn one_who_does_not_wait_gets_its_share_or_nothing() {
        let semaphore = FairSemaphore::new(4);
        let first = semaphore.try_acquire(&client("a"), 1).unwrap();
        let second = semaphore.try_acquire(&client("a"), 1).unwrap();
        assert!(semaphore.try_acquire(&client("a"), 1).is_none());
        let third = semaphore.try_acquire(&client("b"), 1).unwrap();
        drop(first);
        assert!(semaphore.try_acquire(&client("a"), 1).is_some());
        let all = ask(&semaphore, "c", 4).await;
        assert!(
            semaphore.try_acquire(&client("d"), 1).is_none(),
            "one waits"
        );
        drop((second, third));
        assert!(all.await.is_ok());
    }

    #[tokio::test]
    async fn however_many_ask_for_all_they_can_get_something_is_left_for_the_next() {
        let semaphore = FairSemaphore::new(1 << 20);
        let mut held = Vec::new();
        for index in 0..10 {
            let name = index.to_string();
            loop {
                let asked = ask(&semaphore, &name, 64).await;
                match asked.is_finished() {
                    true => held.push(asked.await.unwrap()),
                    false => break asked.abort(),
                }
            }
        }
        settle().await;
        assert!(ask(&semaphore, "next", 256).await.is_finished());
    }

    #[tokio::test]
    async fn more_than_there_are_means_all_and_small_ones_do_not_overtake_it_for_ever() {
        let semaphore = FairSemaphore::new(10);
        let small = ask(&semaphore, "a", 1).await.await.unwrap();
        let all = ask(&semaphore, "b", u64::MAX).await;
        let later = ask(&semaphore, "a", 1).await;
        let other = ask(&semaphore, "c", 1).await;
        assert!(!all.is_finished() && !later.is_finished() && !other.is_finished());
        drop(small);
        let all = all.await.unwrap();
        assert_eq!(semaphore.free(), 0);
        drop(all);
        assert!(later.await.is_ok() && other.await.is_ok());
    }

    #[tokio::test]
    async fn requests_of_one_client_keep_their_order() {
        let semaphore = FairSemaphore::new(10);
        let first = ask(&semaphore, "a", 4).await.await.unwrap();
        let large = ask(&semaphore, "a", 5).await;
        let small = ask(&semaphore, "a", 1).await;
        assert!(!large.is_finished() && !small.is_finished());
        drop(first);
        let large = large.await.unwrap();
        settle().await;
        assert!(!small.is_finished());
        drop(large);
        assert!(small.await.is_ok());
    }

    #[tokio::test]
    async fn whoever_gives_up_holds_up_nobody() {
        let semaphore = FairSemaphore::new(10);
        let first = ask(&semaphore, "a", 4).await.await.unwrap();
        let gone = ask(&semaphore, "b", 10).await;
        let behind = ask(&semaphore, "c", 1).await;
        assert!(!behind.is_finished());
        gone.abort();
        assert!(behind.await.is_ok());
        drop(first);
    }

    #[tokio::test]
    async fn permits_that_are_not_needed_go_to_those_who_wait() {
        let semaphore = FairSemaphore::new(10);
        let mut first = ask(&semaphore, "a", 8).await.await.unwrap();
        let second = ask(&semaphore, "b", 5).await;
        assert!(!second.is_finished());
        first.shrink_to(5);
        let second = second.await.unwrap();
        assert_eq!(semaphore.free(), 0);
        drop((first, second));
        assert_eq!(semaphore.free(), 10);
    }
}
