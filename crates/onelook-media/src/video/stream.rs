//! A video or a live stream as frames to be taken, decoded by a thread of its own.
//!
//! A file ends, or fails once. A live stream is opened again after every end, for ever, until it is stopped;
//! what became of it can be seen from other threads. Frames are held back (every frame counts), read only
//! when asked for, or replaced by newer ones (the newest counts); never are more in memory than was asked for.

mod frame_queue;
mod live_clock;
mod pacing;
mod reader;

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use super::address::VideoAddress;
use super::backoff::Backoff;
use super::decoder::{DecodeOptions, OpenDecoder};
use super::error::VideoError;
use super::ffmpeg::Ffmpeg;
use super::frame::VideoFrame;
use super::opener::FfmpegOpener;
use super::probe::VideoInfo;
use crate::stop::{Registration, StopHandle};
pub use frame_queue::{Delivery, StreamState, StreamStatus};
use frame_queue::{Shared, State};
use live_clock::LiveClock;
use pacing::LeadTime;
pub use pacing::RecentShortest;
use reader::{Finish, Reader};

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
                needed: Some(Instant::now()),
                taken: None,
                interval: RecentShortest::default(),
                lead: LeadTime::default(),
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
        if let Err(error) = self.start_once() {
            return Next::Failed(error);
        }
        let mut state = self.shared.lock();
        // Without the time that it is waited here, which later reading would only make longer.
        if let Some(taken) = state.taken.take() {
            state.interval.see(taken.elapsed());
        }
        loop {
            if let Some(next) = self.take(&mut state) {
                return next;
            }
            self.shared.ask(&mut state, Instant::now());
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Next::NotYet;
            }
            state = self.shared.wait(state, left);
        }
    }

    /// What comes next if it is there already; reads nothing for it where frames are read on demand.
    pub fn ready(&mut self) -> Next {
        if let Err(error) = self.start_once() {
            return Next::Failed(error);
        }
        let mut state = self.shared.lock();
        self.take(&mut state).unwrap_or(Next::NotYet)
    }

    /// Has the next frame read so that it is there at `needed`, where that is done on demand; `false`
    /// elsewhere, and if it was asked for before and not taken yet.
    pub fn ask(&self, needed: Instant) -> bool {
        let mut state = self.shared.lock();
        let on_demand = self.options.delivery == Delivery::OnDemand;
        on_demand
            && state.waiting.is_empty()
            && !state.finished
            && self.shared.ask(&mut state, needed)
    }

    /// Whether a frame waits.
    pub fn is_ready(&self) -> bool {
        !self.shared.lock().waiting.is_empty()
    }

    fn take(&self, state: &mut State) -> Option<Next> {
        if self.stop.is_stopped() {
            return Some(Next::Ended);
        }
        if let Some(frame) = state.waiting.pop_front() {
            state.taken = Some(Instant::now());
            self.shared.changed.notify_all();
            return Some(Next::Frame(frame));
        }
        if let Some(error) = state.failure.take() {
            return Some(Next::Failed(error));
        }
        state.finished.then_some(Next::Ended)
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

    /// Starts the thread that decodes, the first time.
    fn start_once(&mut self) -> Result<(), VideoError> {
        let Some(opener) = self.opener.take() else {
            return Ok(());
        };
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

#[cfg(test)]
mod tests;
