//! A video or a live stream as frames to be taken, decoded by a thread of its own.
//!
//! A file ends, or fails once. A live stream is opened again after every end, for ever, until it is stopped;
//! what became of it can be seen from other threads. Frames are held back (every frame counts) or replaced
//! by newer ones (the newest counts); never are more in memory than was asked for.

mod live_clock;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use super::address::VideoAddress;
use super::backoff::Backoff;
use super::decoder::{DecodeOptions, Decoder, OpenDecoder};
use super::error::VideoError;
use super::ffmpeg::Ffmpeg;
use super::frame::VideoFrame;
use super::opener::FfmpegOpener;
use super::probe::VideoInfo;
use crate::stop::{Registration, StopHandle};
use live_clock::LiveClock;

/// Which frames wait for whoever takes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// All; the decoder waits when so many do.
    EveryFrame {
        /// Most frames that wait.
        ahead: usize,
        /// Most bytes of frames that wait; one frame may always.
        bytes: u64,
    },
    /// The newest only; older ones are dropped and counted.
    LatestFrame,
}

/// What a stream is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StreamState {
    /// It is being opened, or no frame has come yet.
    Connecting,
    /// Frames come.
    Running,
    /// Frames stopped coming, though nobody closed it; opened again after a while.
    Frozen,
    /// It has ended: a live stream is opened again after a while.
    Ended,
    /// It could not be opened; tried again after a while if it is live.
    Refused,
}

/// What has become of a stream so far.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamStatus {
    /// What it is doing.
    pub state: StreamState,
    /// Frames that were decoded.
    pub frames: u64,
    /// Frames that were replaced by newer ones before somebody took them.
    pub dropped: u64,
    /// How often it was opened, successfully or not.
    pub attempts: u64,
    /// How often it failed.
    pub failures: u64,
    /// Why it failed last, if it did.
    pub last_error: Option<VideoError>,
}

/// What a stream gives.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// A frame.
    Frame(VideoFrame),
    /// None in time.
    NotYet,
    /// The end, or it was stopped.
    Ended,
    /// The end by a failure; told once.
    Failed(VideoError),
}

/// How a stream is read.
#[derive(Debug, Clone)]
pub struct StreamOptions {
    /// Which frames wait.
    pub delivery: Delivery,
    /// How long to wait before it is opened again; absent for what has an end.
    pub reconnect: Option<Backoff>,
    /// Whether a live stream whose very first attempt gives no frame has failed for good: the address may
    /// be wrong, and somebody is there to correct it.
    pub must_start: bool,
}

impl StreamOptions {
    /// Right for this address: of a live stream the newest frame and no end, of a file every frame.
    pub fn for_address(address: &VideoAddress) -> Self {
        match address.is_live() {
            true => Self {
                delivery: Delivery::LatestFrame,
                reconnect: Some(Backoff::default()),
                must_start: false,
            },
            false => Self {
                delivery: Delivery::EveryFrame {
                    ahead: 3,
                    bytes: u64::MAX,
                },
                reconnect: None,
                must_start: false,
            },
        }
    }
}

/// Frames to come. Nothing is opened before the first is asked for.
pub struct VideoStream {
    shared: Arc<Shared>,
    /// Taken by the thread when it starts.
    opener: Option<Box<dyn OpenDecoder>>,
    options: StreamOptions,
    stop: StopHandle,
    _wake: Registration,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// Called when a frame or the end has come.
    on_change: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

struct State {
    waiting: VecDeque<VideoFrame>,
    /// A buffer that nobody needs any more.
    spare: Vec<u8>,
    status: StreamStatus,
    info: Option<VideoInfo>,
    finished: bool,
    failure: Option<VideoError>,
}

impl VideoStream {
    /// A stream by ffmpeg.
    pub fn open(
        ffmpeg: Ffmpeg,
        address: VideoAddress,
        decode: DecodeOptions,
        options: StreamOptions,
    ) -> Self {
        let opener = FfmpegOpener {
            ffmpeg,
            address,
            options: decode,
        };
        Self::with_decoder(Box::new(opener), options)
    }

    /// A stream by any decoder.
    pub fn with_decoder(opener: Box<dyn OpenDecoder>, options: StreamOptions) -> Self {
        let stop = StopHandle::default();
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                waiting: VecDeque::new(),
                spare: Vec::new(),
                status: StreamStatus {
                    state: StreamState::Connecting,
                    frames: 0,
                    dropped: 0,
                    attempts: 0,
                    failures: 0,
                    last_error: None,
                },
                info: None,
                finished: false,
                failure: None,
            }),
            changed: Condvar::new(),
            on_change: OnceLock::new(),
        });
        let woken = shared.clone();
        let wake = stop.on_stop(move || {
            // Locked, so that whoever has just looked is waiting by now.
            let _state = woken.lock();
            woken.changed.notify_all();
        });
        Self {
            shared,
            opener: Some(opener),
            options,
            stop,
            _wake: wake,
        }
    }

    /// The next frame, waiting for it until `deadline`, or for as long as it takes.
    pub fn next_frame(&mut self, deadline: Option<Instant>) -> Next {
        if let Some(opener) = self.opener.take()
            && let Err(error) = self.start(opener)
        {
            return Next::Failed(error);
        }
        let mut state = self.shared.lock();
        loop {
            if self.stop.is_stopped() {
                return Next::Ended;
            }
            if let Some(frame) = state.waiting.pop_front() {
                self.shared.changed.notify_all();
                return Next::Frame(frame);
            }
            if let Some(error) = state.failure.take() {
                return Next::Failed(error);
            }
            if state.finished {
                return Next::Ended;
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Next::NotYet;
            }
            state = self.shared.wait(state, left);
        }
    }

    /// Has `action` done whenever a frame or the end has come, on the thread that decodes. Once per stream.
    pub fn on_change(&self, action: impl Fn() + Send + Sync + 'static) {
        let _ = self.shared.on_change.set(Box::new(action));
    }

    /// Gives the buffer of a frame back, to be used for another.
    pub fn recycle(&self, buffer: Vec<u8>) {
        self.shared.lock().spare = buffer;
    }

    /// Ends it from another thread.
    pub fn stop_handle(&self) -> StopHandle {
        self.stop.clone()
    }

    /// What the video says of itself; absent before the first frame, and for live streams.
    pub fn info(&self) -> Option<VideoInfo> {
        self.shared.lock().info.clone()
    }

    /// What has become of it so far.
    pub fn status(&self) -> StreamStatus {
        self.shared.lock().status.clone()
    }

    /// Sees the status from another thread.
    pub fn observer(&self) -> StreamObserver {
        StreamObserver(self.shared.clone())
    }

    fn start(&self, opener: Box<dyn OpenDecoder>) -> Result<(), VideoError> {
        let thread = thread::Builder::new().name("video".to_owned());
        let started = thread.spawn(self.reading(opener));
        started.map(drop).map_err(|error| VideoError::Start {
            reason: error.to_string(),
        })
    }

    /// What the thread does. The stream has ended also when this is dropped: the thread cannot be started.
    fn reading(&self, opener: Box<dyn OpenDecoder>) -> impl FnOnce() + Send + 'static {
        // Whatever becomes of the thread, whoever waits must not wait for ever.
        let finish = Finish(self.shared.clone());
        let reader = Reader {
            shared: self.shared.clone(),
            opener,
            delivery: self.options.delivery,
            reconnect: self.options.reconnect.clone(),
            must_start: self.options.must_start,
            clock: LiveClock::default(),
            stop: self.stop.clone(),
        };
        move || {
            let _finish = finish;
            reader.run();
        }
    }
}

impl Drop for VideoStream {
    fn drop(&mut self) {
        self.stop.stop();
    }
}

/// Sees the status of a stream from another thread.
#[derive(Clone)]
pub struct StreamObserver(Arc<Shared>);

impl StreamObserver {
    /// What has become of the stream so far.
    pub fn status(&self) -> StreamStatus {
        self.0.lock().status.clone()
    }
}

impl Shared {
    /// A frame or the end has come.
    fn tell(&self) {
        self.changed.notify_all();
        if let Some(action) = self.on_change.get() {
            action();
        }
    }

    /// No code panics while it holds this lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn wait<'a>(
        &self,
        state: MutexGuard<'a, State>,
        most: Option<Duration>,
    ) -> MutexGuard<'a, State> {
        match most {
            Some(most) => {
                let waited = self.changed.wait_timeout(state, most);
                waited.unwrap_or_else(|poisoned| poisoned.into_inner()).0
            }
            None => {
                let waited = self.changed.wait(state);
                waited.unwrap_or_else(|poisoned| poisoned.into_inner())
            }
        }
    }
}

/// The thread that decodes. It also opens: the system ends a decoding process with the thread that
/// started it.
struct Reader {
    shared: Arc<Shared>,
    opener: Box<dyn OpenDecoder>,
    delivery: Delivery,
    reconnect: Option<Backoff>,
    must_start: bool,
    /// Of a live stream.
    clock: LiveClock,
    stop: StopHandle,
}

impl Reader {
    fn run(mut self) {
        loop {
            let began = Instant::now();
            // What a decoder leaves half done goes with it.
            let outcome = catch_unwind(AssertUnwindSafe(|| self.run_once()));
            let outcome = outcome.unwrap_or_else(|panic| Err(panicked(&*panic)));
            if self.stop.is_stopped() {
                break;
            }
            let mut state = self.shared.lock();
            state.status.state = state_after(outcome.as_ref().err());
            if let Err(error) = &outcome {
                state.status.failures += 1;
                state.status.last_error = Some(error.clone());
            }
            let may_try = !self.must_start || state.status.frames > 0;
            let live = self.reconnect.as_mut();
            let live = live.filter(|_| may_try && is_worth_another_try(&outcome));
            let Some(backoff) = live else {
                state.failure = outcome.err();
                break;
            };
            let wake = Instant::now() + backoff.next(began.elapsed());
            while !self.stop.is_stopped() {
                let left = wake.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break;
                }
                state = self.shared.wait(state, Some(left));
            }
            if self.stop.is_stopped() {
                break;
            }
            state.status.state = StreamState::Connecting;
        }
    }

    /// Opens it and delivers until the end.
    fn run_once(&mut self) -> Result<(), VideoError> {
        self.shared.lock().status.attempts += 1;
        let mut decoder: Box<dyn Decoder> = self.opener.open(&self.stop)?;
        self.shared.lock().info = decoder.info().cloned();
        loop {
            // A frame that was read and finds no room would only grow old.
            self.wait_for_room();
            let buffer = std::mem::take(&mut self.shared.lock().spare);
            let Some(frame) = decoder.next_frame(buffer)? else {
                return Ok(());
            };
            if !self.deliver(frame) {
                return Ok(());
            }
        }
    }

    /// Waits until another frame may wait, or nobody wants more.
    fn wait_for_room(&self) {
        let Delivery::EveryFrame { ahead, bytes } = self.delivery else {
            return;
        };
        let mut state = self.shared.lock();
        while let Some(first) = state.waiting.front()
            && !self.stop.is_stopped()
        {
            let fitting = bytes / (first.pixels.len() as u64).max(1);
            let most = ahead.min(fitting.try_into().unwrap_or(usize::MAX)).max(1);
            if state.waiting.len() < most {
                return;
            }
            state = self.shared.wait(state, None);
        }
    }

    /// Hands a frame over; `false` when nobody wants more.
    fn deliver(&mut self, mut frame: VideoFrame) -> bool {
        if self.reconnect.is_some() {
            let (clock, arrived) = (&mut self.clock, frame.arrived);
            frame.time = frame.time.map(|time| clock.time(time, arrived));
        }
        let mut state = self.shared.lock();
        frame.number = state.status.frames;
        state.status.frames += 1;
        state.status.state = StreamState::Running;
        if self.delivery == Delivery::LatestFrame
            && let Some(older) = state.waiting.pop_front()
        {
            state.status.dropped += 1;
            state.spare = older.pixels;
        }
        state.waiting.push_back(frame);
        drop(state);
        self.shared.tell();
        !self.stop.is_stopped()
    }
}

/// Tells whoever waits that no more will come.
struct Finish(Arc<Shared>);

impl Drop for Finish {
    fn drop(&mut self) {
        self.0.lock().finished = true;
        self.0.tell();
    }
}

fn state_after(error: Option<&VideoError>) -> StreamState {
    match error {
        Some(VideoError::Frozen { .. }) => StreamState::Frozen,
        Some(
            VideoError::Refused { .. }
            | VideoError::NoVideo
            | VideoError::OldFfmpeg { .. }
            | VideoError::TooManyPixels { .. }
            | VideoError::Start { .. },
        ) => StreamState::Refused,
        _ => StreamState::Ended,
    }
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> VideoError {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    VideoError::Panicked {
        reason: text.unwrap_or("a panic").to_owned(),
    }
}

/// Another ffmpeg, or another limit, does not come by waiting.
fn is_worth_another_try(outcome: &Result<(), VideoError>) -> bool {
    !matches!(
        outcome,
        Err(VideoError::OldFfmpeg { .. } | VideoError::TooManyPixels { .. })
    )
}

#[cfg(test)]
mod tests;
