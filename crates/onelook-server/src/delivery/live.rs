//! What is true of each stream now, for a receiver that wants no history: its newest objects and its counts.
//! Newer values take the place of those that were not sent, so that nothing piles up.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::Notify;

use super::message::topic_level;
use crate::locks::lock;

/// Streams that are kept; of more nothing is sent.
const MAX_STREAMS: usize = 1024;

/// The newest values of all streams for one receiver.
pub struct LiveValues {
    /// Least time between two results of a stream; none are sent without it.
    interval: Option<Duration>,
    streams: Mutex<BTreeMap<String, Stream>>,
    /// Told of each change.
    pub changed: Notify,
}

#[derive(Default)]
struct Stream {
    newest: Changes,
    last_result: Option<Instant>,
    totals: Option<Value>,
    /// Nothing came since it was removed.
    is_gone: bool,
}

/// What is new of a stream.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Changes {
    /// It was removed; what else is new came after that.
    pub is_gone: bool,
    /// Its objects.
    pub results: Option<Value>,
    /// Its lines and zones, as `{"lines": {NAME: …}, "zones": {NAME: …}}`.
    pub totals: Option<Value>,
}

impl LiveValues {
    /// No values yet; at most so many results a second of each stream are sent.
    pub fn new(results_per_second: f64) -> Self {
        let is_some = results_per_second > 0.0;
        Self {
            interval: is_some.then(|| Duration::from_secs_f64(1.0 / results_per_second)),
            streams: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// Whether results of this stream are due.
    pub fn wants_results(&self, stream: &str) -> bool {
        let Some(interval) = self.interval else {
            return false;
        };
        let streams = self.streams();
        let stream = streams.get(&topic_level(stream));
        let last = stream.and_then(|stream| stream.last_result);
        last.is_none_or(|last| last.elapsed() >= interval)
    }

    /// The newest results of a stream.
    pub fn set_results(&self, stream: &str, results: &Value) {
        let mut streams = self.streams();
        if let Some(stream) = entry(&mut streams, stream) {
            stream.is_gone = false;
            stream.last_result = Some(Instant::now());
            stream.newest.results = Some(results.clone());
            self.changed.notify_one();
        }
    }

    /// The counts of a stream. Those that have not changed are not sent again, nor those of a stream that never
    /// had any.
    pub fn set_totals(&self, stream: &str, totals: &Value) {
        let mut streams = self.streams();
        let known = streams.get(&topic_level(stream));
        if has_no_places(totals) && known.is_none_or(|known| known.totals.is_none()) {
            return;
        }
        if let Some(stream) = entry(&mut streams, stream)
            && stream.totals.as_ref() != Some(totals)
        {
            stream.is_gone = false;
            stream.totals = Some(totals.clone());
            stream.newest.totals = Some(totals.clone());
            self.changed.notify_one();
        }
    }

    /// A stream was removed: what is kept of it is of no use to anybody.
    pub fn forget(&self, stream: &str) {
        let mut streams = self.streams();
        if let Some(stream) = streams.get_mut(&topic_level(stream)) {
            *stream = Stream {
                is_gone: true,
                ..Stream::default()
            };
            stream.newest.is_gone = true;
            self.changed.notify_one();
        }
    }

    /// What has changed since the last call, by the stream's name as a level of a topic.
    pub fn take(&self) -> Vec<(String, Changes)> {
        let mut streams = self.streams();
        let taken = streams.iter_mut().map(|(name, stream)| {
            let changes = std::mem::take(&mut stream.newest);
            (name.clone(), changes)
        });
        let taken: Vec<_> = taken
            .filter(|(_, changes)| *changes != Changes::default())
            .collect();
        streams.retain(|_, stream| !stream.is_gone);
        taken
    }

    /// Has all counts sent again, to a receiver that may have forgotten them.
    pub fn repeat_totals(&self) {
        for stream in self.streams().values_mut() {
            stream.newest.totals = stream.totals.clone();
        }
        self.changed.notify_one();
    }

    fn streams(&self) -> MutexGuard<'_, BTreeMap<String, Stream>> {
        lock(&self.streams)
    }
}

fn entry<'a>(streams: &'a mut BTreeMap<String, Stream>, name: &str) -> Option<&'a mut Stream> {
    let name = topic_level(name);
    match streams.len() < MAX_STREAMS || streams.contains_key(&name) {
        true => Some(streams.entry(name).or_default()),
        false => None,
    }
}

fn has_no_places(totals: &Value) -> bool {
    let mut kinds = ["lines", "zones"].iter();
    kinds.all(|kind| {
        totals[kind]
            .as_object()
            .is_none_or(|places| places.is_empty())
    })
}

/// Lines and zones by their names, from the lists that the library writes.
pub fn totals_by_name(lines: &[Value], zones: &[Value]) -> Value {
    let by_name = |list: &[Value]| -> Value {
        let named = list.iter().map(|place| {
            let name = topic_level(place["name"].as_str().unwrap_or_default());
            (name, place.clone())
        });
        Value::Object(named.collect())
    };
    serde_json::json!({"lines": by_name(lines), "zones": by_name(zones)})
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_newest_result_counts_and_results_are_limited() {
        let live = LiveValues::new(1e-3);
        assert!(live.wants_results("a"));
        live.set_results("a", &json!(1));
        live.set_results("a", &json!(2));
        assert!(!live.wants_results("a") && live.wants_results("b"));
        let taken = live.take();
        assert_eq!(taken[0].1.results, Some(json!(2)));
        assert!(live.take().is_empty());
        assert!(!LiveValues::new(0.0).wants_results("a"));
    }

    #[test]
    fn counts_are_sent_when_they_change_and_on_demand() {
        let live = LiveValues::new(1.0);
        let totals = totals_by_name(&[json!({"name": "a b", "in": 1})], &[]);
        assert_eq!(
            totals,
            json!({"lines": {"a_b-c8687a08": {"name": "a b", "in": 1}}, "zones": {}})
        );
        live.set_totals("s", &totals);
        assert_eq!(live.take().len(), 1);
        live.set_totals("s", &totals);
        assert!(live.take().is_empty());
        live.repeat_totals();
        assert_eq!(live.take()[0].1.totals, Some(totals));
        // The last place was taken away; another stream never had one.
        let none = totals_by_name(&[], &[]);
        live.set_totals("s", &none);
        live.set_totals("t", &none);
        assert_eq!(live.take().len(), 1);
    }

    #[test]
    fn a_stream_that_is_removed_is_told_once_and_takes_no_place() {
        let live = LiveValues::new(1.0);
        let totals = totals_by_name(&[json!({"name": "a", "in": 1})], &[]);
        live.forget("never");
        assert!(live.take().is_empty());
        for number in 0..2 * MAX_STREAMS {
            let name = number.to_string();
            live.set_totals(&name, &totals);
            live.forget(&name);
            let gone = Changes {
                is_gone: true,
                ..Changes::default()
            };
            assert_eq!(live.take(), [(name, gone)]);
        }
        // Another of the same name may have begun before it was told.
        live.set_totals("s", &totals);
        live.forget("s");
        live.set_totals("s", &totals);
        let (_, changes) = live.take().remove(0);
        assert!(changes.is_gone && changes.totals == Some(totals));
        live.repeat_totals();
        assert_eq!(live.take().len(), 1);
    }
}
