//! Who is next: a bounded queue that is fair among clients and weighs priorities.
//!
//! Pure bookkeeping: no clock, no thread, no waiting. Within a priority every client gets the same
//! share of pictures, whatever it asks for (start-time fair queueing, Goyal 1996); among priorities
//! shares go by weight, so that none starves.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// Whose request it is, as far as fairness goes.
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

    /// What a picture costs its class, in units of virtual time.
    fn price(self) -> u64 {
        match self {
            Self::High => 1,
            Self::Normal => 4,
            Self::Low => 16,
        }
    }
}

/// There is no room for another entry of this client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full {
    /// Whether the client itself holds the largest part of the queue.
    pub own_fault: bool,
}

/// An entry that was let in, and the one that had to go for it.
#[derive(Debug, PartialEq, Eq)]
pub struct Pushed {
    /// The new entry.
    pub id: u64,
    /// The entry that went.
    pub evicted: Option<u64>,
}

#[derive(Debug, Default)]
struct Class {
    /// Virtual time at which the class is served next.
    next: u64,
    /// Virtual time of the client served last.
    clock: u64,
    lines: Vec<Line>,
}

/// One client's entries, first come first served.
#[derive(Debug)]
struct Line {
    client: ClientKey,
    /// Virtual time at which the client is served next.
    next: u64,
    entries: VecDeque<(u64, u64)>,
}

/// Entries that wait, by priority and client.
#[derive(Debug)]
pub struct FairQueue {
    classes: [Class; 3],
    clock: u64,
    capacity: usize,
    last_id: u64,
    /// Where each entry waits.
    places: HashMap<u64, (Priority, ClientKey)>,
    /// Pictures that wait.
    pictures: u64,
}

impl FairQueue {
    /// A queue for at most `capacity` entries.
    pub fn new(capacity: usize) -> Self {
        Self {
            classes: Default::default(),
            clock: 0,
            capacity,
            last_id: 0,
            places: HashMap::new(),
            pictures: 0,
        }
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Entries that wait.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Pictures that wait.
    pub fn pictures(&self) -> u64 {
        self.pictures
    }

    /// Whether [`push`](Self::push) would let this client in now.
    pub fn admits(&self, client: &str) -> Result<(), Full> {
        if self.len() < self.capacity {
            return Ok(());
        }
        let own = self.held_by(client);
        match self.greediest() {
            Some((_, held)) if held > own + 1 => Ok(()),
            _ => Err(Full { own_fault: own > 0 }),
        }
    }

    /// Lets an entry of so many pictures in. When the queue is full, the youngest entry of the
    /// client that holds most goes, if that client holds more than this one would.
    pub fn push(
        &mut self,
        priority: Priority,
        client: &ClientKey,
        pictures: u64,
    ) -> Result<Pushed, Full> {
        self.admits(client)?;
        let evicted = match self.len() < self.capacity {
            true => None,
            false => self.evict(),
        };
        self.last_id += 1;
        let id = self.last_id;
        let class = &mut self.classes[priority as usize];
        if class.lines.iter().all(|line| line.entries.is_empty()) {
            class.next = class.next.max(self.clock);
        }
        let line = class.line(client);
        line.entries.push_back((id, pictures));
        self.places.insert(id, (priority, Arc::clone(client)));
        self.pictures += pictures;
        Ok(Pushed { id, evicted })
    }

    /// Takes the entry whose turn it is.
    pub fn pop(&mut self) -> Option<u64> {
        let waiting = |priority: &Priority| {
            let lines = &self.classes[*priority as usize].lines;
            lines.iter().any(|line| !line.entries.is_empty())
        };
        let priority = Priority::ALL
            .into_iter()
            .filter(waiting)
            .min_by_key(|priority| self.classes[*priority as usize].next)?;
        let class = &mut self.classes[priority as usize];
        self.clock = class.next;
        let (id, pictures) = class.pop()?;
        class.next += pictures * priority.price();
        self.places.remove(&id);
        self.pictures -= pictures;
        Some(id)
    }

    /// Takes an entry out that nobody waits for any more; false if it was not there.
    pub fn remove(&mut self, id: u64) -> bool {
        let Some((priority, client)) = self.places.remove(&id) else {
            return false;
        };
        let lines = &mut self.classes[priority as usize].lines;
        let line = lines.iter_mut().find(|line| line.client == client);
        if let Some(line) = line
            && let Some(index) = line.entries.iter().position(|entry| entry.0 == id)
            && let Some((_, pictures)) = line.entries.remove(index)
        {
            self.pictures -= pictures;
        }
        true
    }

    /// Pictures that this client must at least wait for: its own.
    pub fn ahead_of(&self, client: &str) -> u64 {
        let all = self.classes.iter().flat_map(|class| &class.lines);
        all.filter(|line| *line.client == *client)
            .flat_map(|line| &line.entries)
            .map(|(_, pictures)| pictures)
            .sum()
    }

    fn held_by(&self, client: &str) -> usize {
        let all = self.classes.iter().flat_map(|class| &class.lines);
        all.filter(|line| *line.client == *client)
            .map(|line| line.entries.len())
            .sum()
    }

    /// The client that holds most entries, and how many.
    fn greediest(&self) -> Option<(ClientKey, usize)> {
        let mut held: HashMap<&ClientKey, usize> = HashMap::new();
        for line in self.classes.iter().flat_map(|class| &class.lines) {
            *held.entry(&line.client).or_default() += line.entries.len();
        }
        let most = held
            .into_iter()
            .max_by(|a, b| (a.1, b.0).cmp(&(b.1, a.0)))?;
        Some((Arc::clone(most.0), most.1))
    }

    /// Removes the youngest entry of the client that holds most, the least urgent first.
    fn evict(&mut self) -> Option<u64> {
        let (client, _) = self.greediest()?;
        let mut lines = self.classes.iter().rev().flat_map(|class| &class.lines);
        let line = lines.find(|line| line.client == client && !line.entries.is_empty())?;
        let id = line.entries.back()?.0;
        self.remove(id);
        Some(id)
    }
}

impl Class {
    fn line(&mut self, client: &ClientKey) -> &mut Line {
        let clock = self.clock;
        let index = match self.lines.iter().position(|line| line.client == *client) {
            Some(index) => index,
            None => {
                self.lines.push(Line {
                    client: Arc::clone(client),
                    next: clock,
                    entries: VecDeque::new(),
                });
                self.lines.len() - 1
            }
        };
        let line = &mut self.lines[index];
        if line.entries.is_empty() {
            line.next = line.next.max(clock);
        }
        line
    }

    fn pop(&mut self) -> Option<(u64, u64)> {
        let waiting = self
            .lines
            .iter_mut()
            .filter(|line| !line.entries.is_empty());
        let line = waiting.min_by_key(|line| (line.next, line.entries[0].0))?;
        let entry = line.entries.pop_front()?;
        self.clock = line.next;
        line.next += entry.1;
        let clock = self.clock;
        // A client that neither waits nor owes time is forgotten.
        self.lines
            .retain(|line| !line.entries.is_empty() || line.next > clock);
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

    /// Pushes one picture each, in this order; gives the clients in the order of service.
    fn served(queue: &mut FairQueue, order: &[(&'static str, Priority)]) -> Vec<&'static str> {
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
    fn a_modest_client_does_not_wait_behind_a_greedy_one() {
        use Priority::Normal;
        let mut queue = FairQueue::new(8);
        let order = [("greedy", Normal); 5]
            .into_iter()
            .chain([("modest", Normal); 2]);
        let order: Vec<_> = order.collect();
        assert_eq!(
            served(&mut queue, &order),
            [
                "greedy", "modest", "greedy", "modest", "greedy", "greedy", "greedy"
            ]
        );
    }

    #[test]
    fn a_client_pays_for_the_pictures_of_its_batches() {
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
    fn urgent_requests_get_four_times_the_share_and_none_starves() {
        let mut queue = FairQueue::new(100);
        let order: Vec<_> = [("high", Priority::High); 20]
            .into_iter()
            .chain([("normal", Priority::Normal); 20])
            .chain([("low", Priority::Low); 20])
            .collect();
        let first = &served(&mut queue, &order)[..21];
        let count = |name| first.iter().filter(|client| **client == name).count();
        assert_eq!([count("high"), count("normal"), count("low")], [16, 4, 1]);
    }

    #[test]
    fn a_full_queue_takes_from_who_holds_most() {
        let mut queue = FairQueue::new(4);
        let greedy: Vec<u64> = (0..4)
            .map(|_| queue.push(Priority::Normal, &key("greedy"), 1).unwrap().id)
            .collect();
        let refused = queue.push(Priority::Normal, &key("greedy"), 1);
        assert_eq!(refused, Err(Full { own_fault: true }));
        let pushed = queue.push(Priority::Normal, &key("modest"), 1).unwrap();
        assert_eq!(pushed.evicted, Some(greedy[3]));
        let pushed = queue.push(Priority::Normal, &key("modest"), 1).unwrap();
        assert_eq!(pushed.evicted, Some(greedy[2]));
        let refused = queue.push(Priority::Normal, &key("modest"), 1);
        assert_eq!(refused, Err(Full { own_fault: true }));
        assert_eq!(queue.len(), 4);
    }

    #[test]
    fn who_stayed_away_has_saved_nothing_up() {
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
            for (what, who, pictures) in moves {
                match what {
                    0 | 1 => {
                        let client = key(["a", "b", "c", "d"][who]);
                        let priority = Priority::ALL[who % 3];
                        if let Ok(pushed) = queue.push(priority, &client, pictures) {
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
            prop_assert_eq!(queue.pictures(), 0);
        }
    }
}
