//! Live streams: cameras and videos that are run all the time, watched by whoever likes.
//!
//! Settings come in by requests and from the operator's file; a thread per model opens what is wanted, runs
//! it and writes down what becomes of it. Nothing is encoded while nobody watches, and no reader of results
//! holds up the streams. Never tells a password.

mod allowed;
pub mod count_history;
pub mod entry;
pub mod event_log;
mod figures;
mod file;
pub mod live_frame;
pub mod settings;
pub mod snapshots;
mod worker;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, RwLock};
use std::time::Duration;

use onelook::media::video::{
    DecodeOptions, Ffmpeg, StreamOptions, VideoAddress, VideoError, VideoStream,
};
use serde_json::Value;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use crate::admission::ClientKey;
use crate::config::StreamLimits;
use crate::delivery::EventSinks;
use crate::fair_semaphore::{FairPermits, FairSemaphore};
use crate::locks::{lock, read, write};
use crate::metrics::Metrics;
use crate::model_repository::{LoadedModel, ModelRepository};
use crate::problem::{Problem, ProblemKind, shown};
use crate::url_hosts::UrlHost;
use entry::{EventOutlets, Origin, StreamEntry};
use event_log::{EventRecord, WAITING_EVENTS};
pub use file::{StreamFile, read as read_file};
use settings::StreamConfig;
use snapshots::SnapshotStore;
use worker::{Open, Orders};

/// Pause before a thread that has panicked starts anew.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// How often it is looked whether the threads have ended.
const LOOK: Duration = Duration::from_millis(20);

/// Threads that decode one camera: enough for 4K, and a frame comes when one more has been received.
const LIVE_DECODE_THREADS: u32 = 2;

/// The streams of one server.
pub struct StreamService {
    shared: Arc<Shared>,
    limits: StreamLimits,
    allowed: Vec<UrlHost>,
    outlets: EventOutlets,
    viewers: FairSemaphore,
    /// Cancelled when the server stops: whoever watches is let go.
    closing: CancellationToken,
    /// Cancelled, and made anew, when other tokens hold.
    watching: Mutex<CancellationToken>,
    writing: Mutex<()>,
    /// Held by whoever changes settings: of two changes at one time none is lost.
    changing: Mutex<()>,
}

struct Shared {
    models: Arc<ModelRepository>,
    metrics: Arc<Metrics>,
    entries: RwLock<BTreeMap<String, Arc<StreamEntry>>>,
    /// Models whose threads run.
    workers: Mutex<BTreeSet<String>>,
    open: RwLock<Arc<Open>>,
    is_stopping: AtomicBool,
}

impl StreamService {
    /// No streams yet. `ffmpeg` is where it is, if it was said; requests may add streams of `allowed`; events
    /// go to `sinks`, their frames to `snapshots`.
    pub fn new(
        models: Arc<ModelRepository>,
        metrics: Arc<Metrics>,
        limits: StreamLimits,
        allowed: Vec<UrlHost>,
        ffmpeg: Option<PathBuf>,
        max_pixels: u64,
        (sinks, snapshots): (EventSinks, Option<SnapshotStore>),
    ) -> Self {
        let closing = CancellationToken::new();
        let open = move |config: &StreamConfig| open(config, ffmpeg.as_deref(), max_pixels);
        Self {
            shared: Arc::new(Shared {
                models,
                metrics,
                entries: RwLock::default(),
                workers: Mutex::default(),
                open: RwLock::new(Arc::new(open)),
                is_stopping: AtomicBool::new(false),
            }),
            viewers: FairSemaphore::new(limits.viewers as u64),
            limits,
            allowed,
            outlets: EventOutlets {
                sinks,
                snapshots,
                tell: broadcast::channel(WAITING_EVENTS).0,
            },
            watching: Mutex::new(closing.child_token()),
            closing,
            writing: Mutex::default(),
            changing: Mutex::default(),
        }
    }

    /// Has streams opened by something else than ffmpeg, for tests.
    #[doc(hidden)]
    pub fn open_with(
        &self,
        open: impl Fn(&StreamConfig) -> Result<VideoStream, VideoError> + Send + Sync + 'static,
    ) {
        let mut own = self.shared.open.write();
        **own.as_mut().unwrap_or_else(|poisoned| poisoned.get_mut()) = Arc::new(open);
    }

    /// All streams by name.
    pub fn all(&self) -> Vec<Arc<StreamEntry>> {
        let entries = read(&self.shared.entries);
        entries.values().cloned().collect()
    }

    /// The stream of this name.
    ///
    /// # Errors
    /// There is none.
    pub fn find(&self, name: &str) -> Result<Arc<StreamEntry>, Problem> {
        let entries = read(&self.shared.entries);
        entries.get(name).cloned().ok_or_else(|| {
            let detail = format!("there is no stream {}; /v1/streams lists them", shown(name));
            Problem::new(ProblemKind::NotFound, detail)
        })
    }

    /// Adds a stream for a request. It is kept in memory only.
    ///
    /// # Errors
    /// Its address is not allowed, a setting is wrong, its name is taken, there are too many streams, its
    /// model is not known, or there is no ffmpeg.
    pub fn add(&self, config: StreamConfig) -> Result<Arc<StreamEntry>, Problem> {
        config.check().map_err(Problem::bad_request)?;
        let forbidden = |reason| Problem::new(ProblemKind::Forbidden, reason);
        allowed::check(&config.url, &self.allowed).map_err(forbidden)?;
        self.shared.models.find(config.model.as_deref())?;
        let unusable =
            |error: VideoError| Problem::new(ProblemKind::Unprocessable, error.to_string());
        self.shared.open(&config).map(drop).map_err(unusable)?;
        self.insert(config, Origin::Api)
    }

    fn insert(&self, config: StreamConfig, origin: Origin) -> Result<Arc<StreamEntry>, Problem> {
        let model = self.shared.model_name(config.model.as_deref());
        let name = config.name.clone();
        let mut entries = self.shared.entries_mut();
        if entries.contains_key(&name) {
            return Err(Problem::bad_request(format!(
                "name: there is a stream '{name}' already: change it with PATCH, or remove it first"
            )));
        }
        if entries.len() >= self.limits.streams {
            return Err(Problem::new(
                ProblemKind::Overloaded,
                format!(
                    "there are {} streams already: remove one, or start the server with a larger \
                     --max-streams",
                    entries.len()
                ),
            ));
        }
        let entry = StreamEntry::new(config, origin, model.clone(), self.outlets.clone());
        entries.insert(name, Arc::clone(&entry));
        drop(entries);
        self.start_worker(model);
        Ok(entry)
    }

    /// Changes settings of a stream for a request, in memory only.
    ///
    /// # Errors
    /// There is no such stream, or a setting is wrong.
    pub fn change(&self, name: &str, patch: &Value) -> Result<Arc<StreamEntry>, Problem> {
        let _changing = lock(&self.changing);
        let entry = self.find(name)?;
        let old = entry.config();
        let new = old.patched(patch).map_err(Problem::bad_request)?;
        if new.model == old.model {
            entry.set_config(new);
            return Ok(entry);
        }
        // Another model's thread runs it: it is opened anew.
        self.shared.models.find(new.model.as_deref())?;
        let model = self.shared.model_name(new.model.as_deref());
        let changed = entry.with_model(new, model.clone());
        if !self.shared.replace(name, &entry, &changed) {
            return self.find(name);
        }
        self.start_worker(model);
        Ok(changed)
    }

    /// Takes a stream away for a request.
    ///
    /// # Errors
    /// There is no such stream, or it is the operator's.
    pub fn remove(&self, name: &str) -> Result<(), Problem> {
        let entry = self.find(name)?;
        if entry.origin == Origin::File {
            return Err(Problem::new(
                ProblemKind::Forbidden,
                format!(
                    "the stream '{name}' comes from the server's --streams file: take it out there"
                ),
            ));
        }
        entry.set_removed();
        self.shared.entries_mut().remove(name);
        Ok(())
    }

    /// Makes the operator's streams those of the file. What has not changed there goes on, also if a request
    /// has changed it.
    pub fn follow(&self, file: &StreamFile, before: &StreamFile) {
        let _changing = lock(&self.changing);
        for entry in self.all().iter().filter(|it| it.origin == Origin::File) {
            let config = entry.config();
            let new = file.streams.iter().find(|new| new.name == config.name);
            match new {
                Some(new) if before.streams.contains(new) => {}
                Some(new) if new.has_same_source(&config) => entry.set_config(new.clone()),
                _ => {
                    if new.is_none() {
                        entry.set_removed();
                    }
                    self.shared.entries_mut().remove(&config.name);
                }
            }
        }
        for config in &file.streams {
            let found = self.find(&config.name);
            let is_known = found.is_ok_and(|entry| entry.origin == Origin::File);
            if !is_known && let Err(problem) = self.insert(config.clone(), Origin::File) {
                tracing::error!(
                    stream = config.name,
                    "a stream was not added: {}",
                    problem.detail
                );
            }
        }
    }

    /// A place for one who watches, until it is dropped. One client may have as many as all leave free.
    ///
    /// # Errors
    /// There is none for this client, or the server stops.
    pub fn viewer(&self, client: &ClientKey) -> Result<FairPermits, Problem> {
        let place = self.viewers.try_acquire(client, 1);
        place.filter(|_| !self.closing.is_cancelled()).ok_or_else(|| {
            let detail = format!(
                "no further connection of this client may watch streams: close one, or start the server with \
                 --max-stream-viewers above {}",
                self.limits.viewers
            );
            Problem::new(ProblemKind::Overloaded, detail).retry_after(RESTART_PAUSE)
        })
    }

    /// Cancelled when whoever watches now is to be let go.
    pub fn closing(&self) -> CancellationToken {
        lock(&self.watching).clone()
    }

    /// Lets go whoever watches: they may come back with a token that holds.
    pub fn release_viewers(&self) {
        let next = self.closing.child_token();
        std::mem::replace(&mut *lock(&self.watching), next).cancel();
    }

    /// Events of all streams to come.
    pub fn listen(&self) -> broadcast::Receiver<Arc<EventRecord>> {
        self.outlets.tell.subscribe()
    }

    /// Most streams at one time.
    pub fn capacity(&self) -> usize {
        self.limits.streams
    }

    /// Ends all streams and lets go whoever watches.
    pub fn stop(&self) {
        self.shared.is_stopping.store(true, Ordering::SeqCst);
        self.shared.entries_mut().clear();
        self.closing.cancel();
    }

    /// Waits at most so long until no thread runs streams any more and all that happened on them is on disk.
    pub async fn finish(&self, patience: Duration) {
        let finished = async {
            while !self.shared.workers().is_empty() {
                tokio::time::sleep(LOOK).await;
            }
        };
        // What is left then is lost with the process.
        let _ = tokio::time::timeout(patience, finished).await;
        self.outlets.sinks.store(patience).await;
    }

    /// Writes the figures of all streams into the metrics, and calls `read` before others write theirs.
    pub fn with_metrics<T>(&self, read: impl FnOnce() -> T) -> T {
        let metrics = &self.shared.metrics.streams;
        // One at a time: counters begin anew each time.
        let _writing = lock(&self.writing);
        metrics.reset();
        for entry in self.all() {
            figures::write(metrics, &entry.config().name, &entry.figures());
        }
        read()
    }

    fn start_worker(&self, model: String) {
        if !self.shared.workers().insert(model.clone()) {
            return;
        }
        let (shared, name) = (Arc::clone(&self.shared), model.clone());
        let thread = std::thread::Builder::new().name("streams".to_owned());
        let started = thread.spawn(move || {
            let orders = ModelOrders {
                shared,
                model: name,
            };
            while catch_unwind(AssertUnwindSafe(|| worker::run(&orders))).is_err() {
                tracing::error!("the thread that runs streams has panicked and starts anew");
                std::thread::sleep(RESTART_PAUSE);
            }
        });
        if let Err(error) = started {
            tracing::error!(%error, "streams cannot be run: no thread can be started");
            self.shared.workers().remove(&model);
        }
    }
}

impl Drop for StreamService {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn entries_mut(&self) -> std::sync::RwLockWriteGuard<'_, BTreeMap<String, Arc<StreamEntry>>> {
        write(&self.entries)
    }

    /// Puts `new` in the place of `old`, if nobody has taken that away or replaced it meanwhile.
    fn replace(&self, name: &str, old: &Arc<StreamEntry>, new: &Arc<StreamEntry>) -> bool {
        let mut entries = self.entries_mut();
        let place = entries.get_mut(name).filter(|it| Arc::ptr_eq(it, old));
        let is_there = place.is_some();
        place.into_iter().for_each(|it| *it = Arc::clone(new));
        is_there
    }

    fn workers(&self) -> MutexGuard<'_, BTreeSet<String>> {
        lock(&self.workers)
    }

    fn open(&self, config: &StreamConfig) -> Result<VideoStream, VideoError> {
        let open = read(&self.open);
        let open = Arc::clone(&open);
        open(config)
    }

    /// The full name of a model; empty for the first, whichever that is by now.
    fn model_name(&self, named: Option<&str>) -> String {
        let known = self.models.find(named).map(|entry| entry.name.clone());
        known.unwrap_or_else(|_| named.unwrap_or_default().to_owned())
    }
}

/// The streams of one model.
struct ModelOrders {
    shared: Arc<Shared>,
    model: String,
}

impl Orders for ModelOrders {
    fn wanted(&self) -> Option<Vec<Arc<StreamEntry>>> {
        // Locked first: what is added from now on finds no thread, and starts one.
        let mut workers = self.shared.workers();
        let entries = read(&self.shared.entries);
        let own = entries.values().filter(|entry| entry.model == self.model);
        let own: Vec<Arc<StreamEntry>> = own.cloned().collect();
        if own.is_empty() || self.shared.is_stopping.load(Ordering::SeqCst) {
            workers.remove(&self.model);
            return None;
        }
        Some(own)
    }

    fn model(&self) -> Result<Arc<LoadedModel>, String> {
        let named = Some(self.model.as_str()).filter(|name| !name.is_empty());
        let entry = self.shared.models.find(named);
        let loaded = entry.and_then(|entry| entry.loaded());
        loaded.map_err(|problem| problem.detail)
    }

    fn open(&self, config: &StreamConfig) -> Result<VideoStream, VideoError> {
        self.shared.open(config)
    }

    fn ran(&self, frames: usize, time: Duration) {
        self.shared.metrics.record_run(&self.model, frames, time);
    }
}

fn open(
    config: &StreamConfig,
    ffmpeg: Option<&Path>,
    max_pixels: u64,
) -> Result<VideoStream, VideoError> {
    let ffmpeg = Ffmpeg::find(ffmpeg)?;
    let address: VideoAddress = config.address();
    let mut decode = DecodeOptions::for_address(&address);
    decode.limits.max_pixels = max_pixels;
    decode.longest_side = config.decode_size;
    if address.is_live() {
        decode.threads = Some(LIVE_DECODE_THREADS);
    }
    let options = StreamOptions::for_address(&address);
    Ok(VideoStream::open(ffmpeg, address, decode, options))
}
