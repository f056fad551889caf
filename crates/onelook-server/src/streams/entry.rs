//! A stream as requests see it: its settings, what has become of it, its newest frame, its events.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, RwLock};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use onelook::media::video;
use onelook::vision::analytics::Heatmap;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::{broadcast, watch};
use utoipa::ToSchema;

use super::count_history::CountHistory;
use super::event_log::{EventLog, EventRecord};
use super::live_frame::LiveFrame;
use super::settings::StreamConfig;
use super::snapshots::{SnapshotRequest, SnapshotStore};
use crate::delivery::EventSinks;
use crate::locks::{lock, read, write};

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
    /// Frames come and the model cannot be run on them, or finds no boxes; tried again all the time.
    Failed,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 7] = [
        Self::Connecting,
        Self::Running,
        Self::Frozen,
        Self::Ended,
        Self::Refused,
        Self::Waiting,
        Self::Failed,
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
            Self::Failed => "failed",
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

/// Where the objects of a stream spend their time.
#[derive(Debug, Clone)]
pub struct StreamHeatmap {
    /// Width and height of the images that it is of.
    pub size: [usize; 2],
    /// Seconds per cell.
    pub map: Heatmap,
}

/// One stream.
pub struct StreamEntry {
    /// Who has added it.
    pub origin: Origin,
    /// The model's name; empty for whichever is the first.
    pub model: String,
    config: RwLock<Arc<StreamConfig>>,
    figures: Mutex<Figures>,
    log: Arc<EventLog>,
    history: Arc<CountHistory>,
    heatmap: Mutex<Option<StreamHeatmap>>,
    outlets: EventOutlets,
    presence: Arc<Presence>,
    frames: watch::Sender<Option<Arc<LiveFrame>>>,
}

/// Has brokers forget a stream that was removed, once nobody is left who could tell them more of it.
struct Presence {
    name: String,
    sinks: EventSinks,
    is_removed: AtomicBool,
}

impl Drop for Presence {
    fn drop(&mut self) {
        if *self.is_removed.get_mut() {
            self.sinks.forget(&self.name);
        }
    }
}

/// Where events go besides to those who ask a stream for them.
#[derive(Clone)]
pub struct EventOutlets {
    /// Other programs.
    pub sinks: EventSinks,
    /// JPEGs of their frames.
    pub snapshots: Option<SnapshotStore>,
    /// Those who listen to all streams.
    pub tell: broadcast::Sender<Arc<EventRecord>>,
}

impl StreamEntry {
    /// A stream that nobody has opened yet. Its events go to other programs too.
    pub fn new(
        config: StreamConfig,
        origin: Origin,
        model: String,
        outlets: EventOutlets,
    ) -> Arc<Self> {
        Arc::new(Self {
            origin,
            model,
            presence: Arc::new(Presence {
                name: config.name.clone(),
                sinks: outlets.sinks.clone(),
                is_removed: AtomicBool::new(false),
            }),
            config: RwLock::new(Arc::new(config)),
            figures: Mutex::new(Figures::new()),
            log: Arc::default(),
            history: Arc::default(),
            heatmap: Mutex::default(),
            outlets,
            frames: watch::channel(None).0,
        })
    }

    /// The same stream, to be opened anew with another model; its events and what was counted stay.
    pub fn with_model(&self, config: StreamConfig, model: String) -> Arc<Self> {
        Arc::new(Self {
            origin: self.origin,
            model,
            config: RwLock::new(Arc::new(config)),
            figures: Mutex::new(Figures::new()),
            log: Arc::clone(&self.log),
            history: Arc::clone(&self.history),
            heatmap: Mutex::default(),
            outlets: self.outlets.clone(),
            presence: Arc::clone(&self.presence),
            frames: watch::channel(None).0,
        })
    }

    /// It was taken away for good, and not because the server ends.
    pub fn set_removed(&self) {
        self.presence.is_removed.store(true, Ordering::SeqCst);
    }

    /// Its settings now.
    pub fn config(&self) -> Arc<StreamConfig> {
        let config = read(&self.config);
        Arc::clone(&config)
    }

    /// Its settings from now on.
    pub fn set_config(&self, config: StreamConfig) {
        *write(&self.config) = Arc::new(config);
    }

    /// What has become of it.
    pub fn figures(&self) -> MutexGuard<'_, Figures> {
        lock(&self.figures)
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
    pub fn show(&self, frame: Option<Arc<LiveFrame>>) {
        if frame.is_some() || self.frames.borrow().is_some() {
            self.frames.send_replace(frame);
        }
    }

    /// Keeps an event and tells it to those who listen, and to other programs. Has its snapshot made if there is
    /// to be one.
    pub fn record(
        &self,
        json: Value,
        class_name: Option<String>,
        snapshot: Option<SnapshotRequest>,
    ) {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
        let at_ms = since_1970.map_or(0, |time| time.as_millis() as u64);
        let stream = &self.config().name;
        let record = self.log.add(at_ms, |id| {
            let taken = snapshot.zip(self.outlets.snapshots.as_ref());
            let has_snapshot = taken.is_some_and(|(request, store)| {
                store.add(&snapshot_name(stream, at_ms, id), request)
            });
            let mut json = json;
            if let Value::Object(members) = &mut json {
                members.insert("id".to_owned(), json!(id));
                members.insert("at_ms".to_owned(), json!(at_ms));
                members.insert("stream".to_owned(), json!(stream));
                if let Some(name) = class_name {
                    members.insert("name".to_owned(), json!(name));
                }
                if has_snapshot {
                    let path = format!("/v1/streams/{stream}/events/{id}/snapshot.jpg");
                    members.insert("snapshot".to_owned(), json!(path));
                }
            }
            json
        });
        self.outlets.sinks.publish(&record.json);
        // Fails if nobody listens.
        let _ = self.outlets.tell.send(record);
    }

    /// Where events, results and counts go besides.
    pub fn sinks(&self) -> &EventSinks {
        &self.outlets.sinks
    }

    /// Its events.
    pub fn events(&self) -> &EventLog {
        &self.log
    }

    /// What was counted over time.
    pub fn history(&self) -> &CountHistory {
        &self.history
    }

    /// Where objects spend their time, if that is kept.
    pub fn heatmap(&self) -> MutexGuard<'_, Option<StreamHeatmap>> {
        lock(&self.heatmap)
    }

    /// The JPEG of an event, if it is still kept.
    pub async fn event_snapshot(&self, event: &EventRecord) -> Option<Bytes> {
        let store = self.outlets.snapshots.as_ref()?;
        let name = snapshot_name(&self.config().name, event.at_ms, event.id);
        store.find(&name).await
    }
}

fn snapshot_name(stream: &str, at_ms: u64, id: u64) -> String {
    format!("{stream}-{at_ms}-{id}")
}
