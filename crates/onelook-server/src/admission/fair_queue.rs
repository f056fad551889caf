//! Which request is served next: a bounded queue that is fair among clients and weighs priorities.
//!
//! Pure bookkeeping: no clock, no thread, no waiting. Within a priority every client gets the same
//! share of work, however much it asks for (start-time fair queueing, Goyal et al. 1996). Among
//! priorities, shares go by weight, so that no priority starves.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// Identifies the client whose share a request counts towards.
pub type ClientKey = Arc<str>;

/// How urgent a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Priority {
    /// Four times the share of normal.
    High,
    /// The default.
    #[default]
    Normal,
    /// A quarter of the share of normal.
    Low,
}

impl Priority {
    const ALL: [Self; 3] = [Self::High, Self::Normal, Self::Low];

    /// Virtual time by which one unit of work advances its class: the inverse of the weight.
    fn cost(self) -> u64 {
        match self {
            Self::High => 1,
            Self::Normal => 4,
            Self::Low => 16,
        }
    }
}

/// The queue is full and this client may not evict another client's entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueFull {
    /// Whether the client itself holds the largest part of the queue.
    pub own_fault: bool,
}

/// A new entry, and the entry that was evicted for it.
#[derive(Debug, PartialEq, Eq)]
pub struct Pushed {
    /// The new entry.
    pub id: u64,
    /// The evicted entry.
    pub evicted: Option<u64>,
}

/// The clients that wait with one priority.
#[derive(Debug, Default)]
struct PriorityClass {
    /// Virtual time at which the class is served next.
    next: u64,
    /// Virtual time of the client that was served last.
    clock: u64,
    clients: Vec<ClientQueue>,
}

/// One client's entries, first in, first out.
#[derive(Debug)]
struct ClientQueue {
    client: ClientKey,
    /// Virtual time at which the client is served next.
    next: u64,
    /// Ids and their work.
    entries: VecDeque<(u64, u64)>,
}

/// Waiting entries by priority and client.
#[derive(Debug)]
pub struct FairQueue {
    classes: [PriorityClass; 3],
    clock: u64,
    capacity: usize,
    last_id: u64,
    /// In which client's queue each entry is.
    locations: HashMap<u64, (Priority, ClientKey)>,
    /// Work of all entries.
    work: u64,
}

impl FairQueue {
    /// A queue for at most `capacity` entries.
    pub fn new(capacity: usize) -> Self {
        Self {
            classes: Default::default(),
            clock: 0,
            capacity,
            last_id: 0,
            locations: HashMap::new(),
            work: 0,
        }
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.locations.len()
    }

    /// Work of all entries.
    pub fn work(&self) -> u64 {
        self.work
    }

    /// Whether [`push`](Self::push) would accept an entry of this client now.
    pub fn check(&self, client: &str) -> Result<(), QueueFull> {
        if self.len() < self.capacity {
            return Ok(());
        }
        let own: usize = self
            .queues_of(client)
            .map(|queue| queue.entries.len())
            .sum();
        match self.largest_client() {
            // `+ 1`: after the eviction this client must not hold more than the evicted one did,
            // or the two would evict each other for ever.
            Some((_, largest)) if largest > own + 1 => Ok(()),
            _ => Err(QueueFull { own_fault: own > 0 }),
        }
    }

    /// Adds an entry. If the queue is full, evicts the newest entry of the client that holds most,
    /// provided that it holds more than this client would.
    pub fn push(
        &mut self,
        priority: Priority,
        client: &ClientKey,
        work: u64,
    ) -> Result<Pushed, QueueFull> {
        self.check(client)?;
        let evicted = match self.len() < self.capacity {
            true => None,
            false => self.evict(),
        };
        self.last_id += 1;
        let id = self.last_id;
        let class = &mut self.classes[priority as usize];
        // A class that was idle starts at the present: idle time earns no credit.
        if class.clients.iter().all(|queue| queue.entries.is_empty()) {
            class.next = class.next.max(self.clock);
        }
        let queue = class.client_queue(client);
        queue.entries.push_back((id, work));
        self.locations.insert(id, (priority, Arc::clone(client)));
        self.work += work;
        Ok(Pushed { id, evicted })
    }

    /// Id and work of the entry whose turn it is.
    pub fn next_entry(&self) -> Option<(u64, u64)> {
        let class = &self.classes[self.next_priority()? as usize];
        let next = &class.clients[class.next_client()?];
        next.entries.front().copied()
    }

    /// Whether an entry that this client pushed now would come before the one whose turn it is.
    pub fn would_be_next(&self, client: &str) -> bool {
        let Some(priority) = self.next_priority() else {
            return true;
        };
        let class = &self.classes[priority as usize];
        let known = class.clients.iter().find(|queue| *queue.client == *client);
        let own = known.map_or(class.clock, |queue| queue.next.max(class.clock));
        let next = class.next_client().map(|index| class.clients[index].next);
        next.is_none_or(|next| own < next)
    }

    fn next_priority(&self) -> Option<Priority> {
        let waiting = |priority: &Priority| {
            let clients = &self.classes[*priority as usize].clients;
            clients.iter().any(|queue| !queue.entries.is_empty())
        };
        let all = Priority::ALL.into_iter().filter(waiting);
        all.min_by_key(|priority| self.classes[*priority as usize].next)
    }

    /// Removes the entry whose turn it is.
    pub fn pop(&mut self) -> Option<u64> {
        let priority = self.next_priority()?;
        let class = &mut self.classes[priority as usize];
        self.clock = class.next;
        let (id, work) = class.pop()?;
        class.next += work * priority.cost();
        self.locations.remove(&id);
        self.work -= work;
        Some(id)
    }

    /// Removes an entry that nobody waits for any more; false if it was not there.
    pub fn remove(&mut self, id: u64) -> bool {
        let Some((priority, client)) = self.locations.remove(&id) else {
            return false;
        };
        let clients = &mut self.classes[priority as usize].clients;
        let queue = clients.iter_mut().find(|queue| queue.client == client);
        if let Some(queue) = queue
            && let Some(index) = queue.entries.iter().position(|entry| entry.0 == id)
            && let Some((_, work)) = queue.entries.remove(index)
        {
            self.work -= work;
        }
        true
    }

    /// Waiting work of one client.
    pub fn work_of(&self, client: &str) -> u64 {
        self.queues_of(client)
            .flat_map(|queue| &queue.entries)
            .map(|(_, work)| work)
            .sum()
    }

    fn queues_of(&self, client: &str) -> impl Iterator<Item = &ClientQueue> {
        let all = self.classes.iter().flat_map(|class| &class.clients);
        all.filter(move |queue| *queue.client == *client)
    }

    /// The client that holds most entries, and how many.
    fn largest_client(&self) -> Option<(ClientKey, usize)> {
        let mut held: HashMap<&ClientKey, usize> = HashMap::new();
        for queue in self.classes.iter().flat_map(|class| &class.clients) {
            *held.entry(&queue.client).or_default() += queue.entries.len();
        }
        let largest = held
            .into_iter()
            .max_by(|a, b| (a.1, b.0).cmp(&(b.1, a.0)))?;
        Some((Arc::clone(largest.0), largest.1))
    }

    /// Removes the newest entry of the client that holds most, of its lowest priority.
    fn evict(&mut self) -> Option<u64> {
        let (client, _) = self.largest_client()?;
        let mut queues = self.classes.iter().rev().flat_map(|class| &class.clients);
        let queue = queues.find(|queue| queue.client == client && !queue.entries.is_empty())?;
        let id = queue.entries.back()?.0;
        self.remove(id);
        Some(id)
    }
}

impl PriorityClass {
    fn client_queue(&mut self, client: &ClientKey) -> &mut ClientQueue {
        let clock = self.clock;
        let known = self
            .clients
            .iter()
            .position(|queue| queue.client == *client);
        let index = known.unwrap_or_else(|| {
            self.clients.push(ClientQueue {
                client: Arc::clone(client),
                next: clock,
                entries: VecDeque::new(),
            });
            self.clients.len() - 1
        });
        let queue = &mut self.clients[index];
        // As for a class: a client that was away has saved nothing up.
        if queue.entries.is_empty() {
            queue.next = queue.next.max(clock);
        }
        queue
    }

    /// Index of the client whose turn it is. Ties go to the oldest entry.
    fn next_client(&self) -> Option<usize> {
        let clients = self.clients.iter().enumerate();
        let waiting = clients.filter_map(|(index, queue)| {
            let oldest = queue.entries.front()?;
            Some(((queue.next, oldest.0), index))
        });
        waiting.min().map(|(_, index)| index)
    }

    fn pop(&mut self) -> Option<(u64, u64)> {
        let index = self.next_client()?;
        let queue = &mut self.clients[index];
        let entry = queue.entries.pop_front()?;
        self.clock = queue.next;
        queue.next += entry.1;
        let clock = self.clock;
        // A client without entries is forgotten once its virtual time has been reached; until then
        // it has to be remembered, or it could come back as new and be served at once.
        self.clients
            .retain(|queue| !queue.entries.is_empty() || queue.next > clock);
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(name: &str) -> ClientKey {
        Arc::from(name)
    }

    /// Pushes one unit of work each, in this order; returns the clients in the order of service.
    fn service_order(
        queue: &mut FairQueue,
        order: &[(&'static str, Priority)],
    ) -> Vec<&'static str> {
        let mut owners = HashMap::new();
        for (client, priority) in order {
            let id = queue.push(*priority, &key(client), 1).unwrap().id;
            owners.insert(id, *client);
        }
        std::iter::from_fn(|| queue.pop())
            .map(|id| owners[&id])
            .collect()
    }

    #[test]
    fn one_client_is_served_in_its_own_order() {
        let mut queue = FairQueue::new(8);
        let ids: Vec<u64> = (0..5)
            .map(|_| queue.push(Priority::Normal, &key("a"), 1).unwrap().id)
            .collect();
        assert_eq!(std::iter::from_fn(|| queue.pop()).collect::<Vec<_>>(), ids);
    }

    #[test]
    fn a_client_with_few_requests_does_not_wait_behind_one_with_many() {
        use Priority::Normal;
        let mut queue = FairQueue::new(8);
        let order = [("heavy", Normal); 5]
            .into_iter()
            .chain([("light", Normal); 2]);
        let order: Vec<_> = order.collect();
        assert_eq!(
            service_order(&mut queue, &order),
            [
                "heavy", "light", "heavy", "light", "heavy", "heavy", "heavy"
            ]
        );
    }

    #[test]
    fn a_client_is_charged_for_the_work_of_a_request() {
        let mut queue = FairQueue::new(8);
        let big: Vec<u64> = (0..2)
            .map(|_| queue.push(Priority::Normal, &key("big"), 4).unwrap().id)
            .collect();
        let small: Vec<u64> = (0..4)
            .map(|_| queue.push(Priority::Normal, &key("small"), 1).unwrap().id)
            .collect();
        let order: Vec<u64> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(
            order,
            [big[0], small[0], small[1], small[2], small[3], big[1]]
        );
    }

    #[test]
    fn a_client_that_was_served_much_comes_after_one_that_was_served_little() {
        let mut queue = FairQueue::new(8);
        assert!(queue.would_be_next("light"));
        for _ in 0..2 {
            queue.push(Priority::Normal, &key("heavy"), 50).unwrap();
        }
        assert_eq!(queue.next_entry().map(|entry| entry.1), Some(50));
        assert!(!queue.would_be_next("light"), "whoever waits comes first");
        queue.pop();
        assert!(queue.would_be_next("light"));
        assert!(!queue.would_be_next("heavy"));
    }

    #[test]
    fn each_priority_gets_four_times_the_share_of_the_next_and_none_starves() {
        let mut queue = FairQueue::new(100);
        let order: Vec<_> = [("high", Priority::High); 20]
            .into_iter()
            .chain([("normal", Priority::Normal); 20])
            .chain([("low", Priority::Low); 20])
            .collect();
        let first = &service_order(&mut queue, &order)[..21];
        let count = |name| first.iter().filter(|client| **client == name).count();
        assert_eq!([count("high"), count("normal"), count("low")], [16, 4, 1]);
    }

    #[test]
    fn a_full_queue_evicts_from_the_client_that_holds_most() {
        let mut queue = FairQueue::new(4);
        let heavy: Vec<u64> = (0..4)
            .map(|_| queue.push(Priority::Normal, &key("heavy"), 1).unwrap().id)
            .collect();
        let refused = queue.push(Priority::Normal, &key("heavy"), 1);
        assert_eq!(refused, Err(QueueFull { own_fault: true }));
        let pushed = queue.push(Priority::Normal, &key("light"), 1).unwrap();
        assert_eq!(pushed.evicted, Some(heavy[3]));
        let pushed = queue.push(Priority::Normal, &key("light"), 1).unwrap();
        assert_eq!(pushed.evicted, Some(heavy[2]));
        let refused = queue.push(Priority::Normal, &key("light"), 1);
        assert_eq!(refused, Err(QueueFull { own_fault: true }));
        assert_eq!(queue.len(), 4);
    }

    #[test]
    fn an_idle_client_saves_up_no_credit() {
        let mut queue = FairQueue::new(100);
        for _ in 0..50 {
            queue.push(Priority::Normal, &key("a"), 1).unwrap();
        }
        (0..40).for_each(|_| assert!(queue.pop().is_some()));
        let late: Vec<u64> = (0..10)
            .map(|_| queue.push(Priority::Normal, &key("late"), 1).unwrap().id)
            .collect();
        let next: Vec<u64> = (0..10).filter_map(|_| queue.pop()).collect();
        assert_eq!(next.iter().filter(|id| late.contains(id)).count(), 5);
    }

    proptest! {
        #[test]
        fn every_entry_leaves_once_and_the_bound_holds(
            moves in proptest::collection::vec((0u8..4, 0usize..4, 1u64..5), 1..200)
        ) {
            let mut queue = FairQueue::new(8);
            let mut inside = Vec::new();
            for (what, who, work) in moves {
                match what {
                    0 | 1 => {
                        let client = key(["a", "b", "c", "d"][who]);
                        let priority = Priority::ALL[who % 3];
                        if let Ok(pushed) = queue.push(priority, &client, work) {
                            inside.push(pushed.id);
                            inside.retain(|id| Some(*id) != pushed.evicted);
                        }
                    }
                    2 => {
                        let popped = queue.pop();
                        prop_assert_eq!(popped.is_some(), !inside.is_empty());
                        inside.retain(|id| Some(*id) != popped);
                    }
                    _ => {
                        let id = inside.get(who).copied().unwrap_or(0);
                        prop_assert_eq!(queue.remove(id), inside.contains(&id));
                        inside.retain(|other| *other != id);
                    }
                }
                prop_assert!(queue.len() <= 8);
                prop_assert_eq!(queue.len(), inside.len());
            }
            while let Some(id) = queue.pop() {
                prop_assert!(inside.contains(&id));
                inside.retain(|other| *other != id);
            }
            prop_assert!(inside.is_empty());
            prop_assert_eq!(queue.work(), 0);
        }
    }
}
