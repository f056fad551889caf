//! The last events of a stream, numbered, and those who listen for more.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::sync::broadcast;

use crate::locks::lock;

/// Events that are kept.
pub const KEPT_EVENTS: usize = 1024;

/// Events that wait for one who listens; of more the oldest are left out.
pub const WAITING_EVENTS: usize = 64;

/// An event with its number, which grows by one with each of the stream.
#[derive(Debug, Clone)]
pub struct EventRecord {
    /// Its number, from 1.
    pub id: u64,
    /// When it happened, in milliseconds since 1970.
    pub at_ms: u64,
    /// The event in JSON.
    pub json: Value,
}

impl EventRecord {
    /// Whether it is of this kind; of any, if none is given.
    pub fn is_of(&self, kind: Option<&str>) -> bool {
        kind.is_none_or(|kind| self.json["event"] == kind)
    }
}

/// Which events are asked for.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// Only those with a larger number.
    pub after: Option<u64>,
    /// Only those with a smaller number.
    pub before: Option<u64>,
    /// Only of this kind.
    pub kind: Option<String>,
    /// At most so many.
    pub limit: usize,
}

/// The events of one stream.
pub struct EventLog {
    state: Mutex<LogState>,
    tell: broadcast::Sender<Arc<EventRecord>>,
}

#[derive(Default)]
struct LogState {
    last: u64,
    /// The newest first.
    events: VecDeque<Arc<EventRecord>>,
}

impl Default for EventLog {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            tell: broadcast::channel(WAITING_EVENTS).0,
        }
    }
}

impl EventLog {
    /// Keeps an event and tells it to those who listen. `json` makes it from its number.
    pub fn add(&self, at_ms: u64, json: impl FnOnce(u64) -> Value) -> Arc<EventRecord> {
        let mut state = lock(&self.state);
        state.last += 1;
        let id = state.last;
        let json = json(id);
        let record = Arc::new(EventRecord { id, at_ms, json });
        state.events.truncate(KEPT_EVENTS - 1);
        state.events.push_front(Arc::clone(&record));
        // Under the lock, so that numbers come in order; fails if nobody listens.
        let _ = self.tell.send(Arc::clone(&record));
        record
    }

    /// The last events that fit, the newest first, and whether there are more of them.
    pub fn list(&self, filter: &EventFilter) -> (Vec<Arc<EventRecord>>, bool) {
        let state = lock(&self.state);
        let is_asked = |event: &&Arc<EventRecord>| {
            filter.after.is_none_or(|id| event.id > id)
                && filter.before.is_none_or(|id| event.id < id)
                && event.is_of(filter.kind.as_deref())
        };
        let mut fitting = state.events.iter().filter(is_asked);
        let page = fitting.by_ref().take(filter.limit).cloned().collect();
        (page, fitting.next().is_some())
    }

    /// The event of this number, if it is still kept.
    pub fn find(&self, id: u64) -> Option<Arc<EventRecord>> {
        let state = lock(&self.state);
        state.events.iter().find(|event| event.id == id).cloned()
    }

    /// Events to come.
    pub fn listen(&self) -> broadcast::Receiver<Arc<EventRecord>> {
        self.tell.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ids(events: &(Vec<Arc<EventRecord>>, bool)) -> Vec<u64> {
        events.0.iter().map(|event| event.id).collect()
    }

    #[test]
    fn events_are_numbered_and_only_the_last_are_kept() {
        let log = EventLog::default();
        let mut heard = log.listen();
        for _ in 0..KEPT_EVENTS + 10 {
            log.add(7, |id| json!({"event": "crossed", "id": id}));
        }
        let filter = EventFilter {
            limit: usize::MAX,
            ..EventFilter::default()
        };
        let all = ids(&log.list(&filter));
        assert_eq!((all.len(), all[0]), (KEPT_EVENTS, KEPT_EVENTS as u64 + 10));
        assert!(log.find(10).is_none());
        assert_eq!(log.find(11).unwrap().json["id"], 11);
        // One who is late is told so.
        assert!(heard.try_recv().is_err());
        assert!(heard.try_recv().is_ok());
    }

    #[test]
    fn pages_follow_each_other_without_gap_or_repetition() {
        let log = EventLog::default();
        for index in 0..10 {
            let kind = if index % 2 == 0 { "entered" } else { "left" };
            log.add(0, |_| json!({"event": kind}));
        }
        let mut filter = EventFilter {
            kind: Some("left".to_owned()),
            limit: 3,
            ..EventFilter::default()
        };
        let page = log.list(&filter);
        assert_eq!((ids(&page), page.1), (vec![10, 8, 6], true));
        filter.before = Some(6);
        let page = log.list(&filter);
        assert_eq!((ids(&page), page.1), (vec![4, 2], false));
        filter = EventFilter {
            after: Some(7),
            limit: 10,
            ..EventFilter::default()
        };
        assert_eq!(ids(&log.list(&filter)), [10, 9, 8]);
    }
}
