//! A stream as requests see it: its settings, what has become of it, its newest frame, its events.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use onelook::media::video;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::{broadcast, watch};
use utoipa::ToSchema;

use super::live_frame::LiveFrame;
use super::settings::StreamConfig;
use crate::delivery::EventSinks;

/// Events that are kept.
const KEPT_EVENTS: usize = 256;

/// Events that wait for one who listens; of more the oldest are left out.
const WAITING_EVENTS: usize = 64;

/// Who has added a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = StreamOrigin)]
pub enum Origin {
    /// The operator's file.
    File,
    /// A request; forgotten when the server ends.
    Api,
}

/// What a stream is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = StreamState)]
pub enum State {
    /// It is being opened, or no frame has come yet.
    Connecting,
    /// Frames come.
    Running,
    /// Frames stopped coming, though nobody closed it; opened again after a while.
    Frozen,
    /// It has ended; a live stream is opened again after a while.
    Ended,
    /// It could not be opened; tried again after a while if it is live.
    Refused,
    /// Its model is not loaded; it goes on when it is.
    Waiting,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 6] = [
        Self::Connecting,
        Self::Running,
        Self::Frozen,
        Self::Ended,
        Self::Refused,
        Self::Waiting,
    ];

    /// Its name in answers and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Running => "running",
            Self::Frozen => "frozen",
            Self::Ended => "ended",
            Self::Refused => "refused",
            Self::Waiting => "waiting",
        }
    }
}

impl From<video::StreamState> for State {
    fn from(state: video::StreamState) -> Self {
        match state {
            video::StreamState::Connecting => Self::Connecting,
            video::StreamState::Running => Self::Running,
            video::StreamState::Frozen => Self::Frozen,
            video::StreamState::Ended => Self::Ended,
            video::StreamState::Refused => Self::Refused,
        }
    }
}

/// Frames that were left out, by cause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = StreamDrops)]
pub struct Drops {
    /// Newer ones came before their turn.
    pub replaced: u64,
    /// Left out to keep to the frame rate that was asked for.
    pub over_rate: u64,
    /// They had waited too long when their turn came.
    pub too_old: u64,
}

/// What has become of a stream.
#[derive(Debug, Clone)]
pub struct Figures {
    /// What it is doing.
    pub state: State,
    /// Why it failed last, without passwords.
    pub error: Option<String>,
    /// Width and height of its frames.
    pub size: Option<[usize; 2]>,
    /// Frames per second that come, over about two seconds.
    pub fps_in: f64,
    /// Frames per second that are run.
    pub fps_out: f64,
    /// Frames that came.
    pub frames_in: u64,
    /// Frames that were run.
    pub frames_run: u64,
    /// When the newest frame that was run had come.
    pub newest: Option<Instant>,
    /// Milliseconds from its arrival to its result.
    pub delay_ms: Option<f64>,
    /// Frames that were left out.
    pub drops: Drops,
    /// How often it was opened.
    pub attempts: u64,
    /// How often it failed.
    pub failures: u64,
    /// Objects on the newest frame.
    pub objects: usize,
    /// Totals of its lines, as the library writes them.
    pub lines: Vec<Value>,
    /// Totals of its zones.
    pub zones: Vec<Value>,
}

impl Figures {
    /// Nothing has come yet.
    fn new() -> Self {
        Self {
            state: State::Connecting,
            error: None,
            size: None,
            fps_in: 0.0,
            fps_out: 0.0,
            frames_in: 0,
            frames_run: 0,
            newest: None,
            delay_ms: None,
            drops: Drops::default(),
            attempts: 0,
            failures: 0,
            objects: 0,
            lines: Vec::new(),
            zones: Vec::new(),
        }
    }

    /// Age of the newest result now, in milliseconds.
    pub fn age_ms(&self) -> Option<f64> {
        let age = self.newest?.elapsed().as_secs_f64();
        Some((age * 1e4).round() / 10.0)
    }
}

/// An event with its number, which grows by one with each of the stream.
#[derive(Debug, Clone)]
pub struct EventRecord {
    /// Its number, from 1.
    pub id: u64,
    /// The event in JSON.
    pub json: Value,
}

/// One stream.
pub struct StreamEntry {
    /// Who has added it.
    pub origin: Origin,
    /// The model's name; empty for whichever is the first.
    pub model: String,
    config: RwLock<Arc<StreamConfig>>,
    figures: Mutex<Figures>,
    events: Mutex<VecDeque<Arc<EventRecord>>>,
    last_event: AtomicU64,
    sinks: EventSinks,
    tell: broadcast::Sender<Arc<EventRecord>>,
    frames: watch::Sender<Option<Arc<LiveFrame>>>,
}

impl StreamEntry {
    /// A stream that nobody has opened yet. Its events go to other programs too.
    pub fn new(
        config: StreamConfig,
        origin: Origin,
        model: String,
        sinks: EventSinks,
    ) -> Arc<Self> {
        Arc::new(Self {
            origin,
            model,
            config: RwLock::new(Arc::new(config)),
            figures: Mutex::new(Figures::new()),
            events: Mutex::default(),
            last_event: AtomicU64::new(0),
            sinks,
            tell: broadcast::channel(WAITING_EVENTS).0,
            frames: watch::channel(None).0,
        })
    }

    /// Its settings now.
    pub fn config(&self) -> Arc<StreamConfig> {
        let config = self.config.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&config)
    }

    /// Its settings from now on.
    pub fn set_config(&self, config: StreamConfig) {
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }

    /// What has become of it; only plain values are kept under the lock, so poisoning is ignored.
    pub fn figures(&self) -> MutexGuard<'_, Figures> {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest frame and those to come. Frames are kept only while somebody has this.
    pub fn watch(&self) -> watch::Receiver<Option<Arc<LiveFrame>>> {
        self.frames.subscribe()
    }

    /// Whether anybody watches.
    pub fn is_watched(&self) -> bool {
        self.frames.receiver_count() > 0
    }

    /// Hands a frame to those who watch; none takes the last one away.
    pub fn show(&self, frame: Option<LiveFrame>) {
        if frame.is_some() || self.frames.borrow().is_some() {
            self.frames.send_replace(frame.map(Arc::new));
        }
    }

    /// Keeps an event and tells it to those who listen, and to other programs.
    pub fn record(&self, mut json: Value, class_name: Option<String>) {
        let id = self.last_event.fetch_add(1, Ordering::Relaxed) + 1;
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
        if let Value::Object(members) = &mut json {
            members.insert("id".to_owned(), json!(id));
            let at_ms = since_1970.map_or(0, |time| time.as_millis() as u64);
            members.insert("at_ms".to_owned(), json!(at_ms));
            members.insert("stream".to_owned(), json!(self.config().name));
            if let Some(name) = class_name {
                members.insert("name".to_owned(), json!(name));
            }
        }
        self.sinks.publish(&json);
        let record = Arc::new(EventRecord { id, json });
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.truncate(KEPT_EVENTS - 1);
        events.push_front(Arc::clone(&record));
        drop(events);
        // Fails if nobody listens.
        let _ = self.tell.send(record);
    }

    /// Where events, results and counts go besides.
    pub fn sinks(&self) -> &EventSinks {
        &self.sinks
    }

    /// The last events, the newest first.
    pub fn events(&self) -> Vec<Arc<EventRecord>> {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.iter().cloned().collect()
    }

    /// Events to come.
    pub fn listen(&self) -> broadcast::Receiver<Arc<EventRecord>> {
        self.tell.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_numbered_and_only_the_last_are_kept() {
        let config = json!({"name": "a", "url": "rtsp://x/"});
        let config: StreamConfig = serde_json::from_value(config).unwrap();
        let entry = StreamEntry::new(config, Origin::Api, String::new(), EventSinks::default());
        let mut heard = entry.listen();
        for place in 0..KEPT_EVENTS + 10 {
            entry.record(json!({"place": place}), Some("bus".to_owned()));
        }
        let events = entry.events();
        assert_eq!(events.len(), KEPT_EVENTS);
        assert_eq!(events[0].id, KEPT_EVENTS as u64 + 10);
        assert_eq!(events[0].json["stream"], "a");
        assert_eq!(events[0].json["name"], "bus");
        // One who is late is told so.
        assert!(heard.try_recv().is_err());
        assert!(heard.try_recv().is_ok());
    }
}
