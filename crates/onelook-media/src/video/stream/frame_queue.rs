//! What the thread that decodes a stream and those that take its frames share.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

use super::super::error::VideoError;
use super::super::frame::VideoFrame;
use super::super::probe::VideoInfo;
use super::pacing::{LeadTime, RecentShortest};

/// Which frames wait for whoever takes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// All; each is read to be there about when it is needed, as far as that can be told from those before,
    /// and the decoder waits when so many do.
    EveryFrame {
        /// Most frames that wait.
        ahead: usize,
        /// Most bytes of frames that wait; one frame may always.
        bytes: u64,
    },
    /// All, and each is read for when it was [asked for](super::VideoStream::ask), but the first: of videos
    /// that run beside each other, frames that were read before their turn is near only grow old.
    OnDemand,
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

/// Frames and status of a stream.
pub struct Shared {
    pub state: Mutex<State>,
    pub changed: Condvar,
    /// Called when a frame or the end has come.
    pub on_change: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

/// Kept under the lock.
pub struct State {
    pub waiting: VecDeque<VideoFrame>,
    /// A buffer that nobody needs any more.
    pub spare: Vec<u8>,
    pub status: StreamStatus,
    pub info: Option<VideoInfo>,
    /// When the next frame is needed, if somebody said so.
    pub needed: Option<Instant>,
    /// When a frame was taken last.
    pub taken: Option<Instant>,
    /// From there until the next one was wanted.
    pub interval: RecentShortest,
    /// How long before they are needed frames are read.
    pub lead: LeadTime,
    pub finished: bool,
    pub failure: Option<VideoError>,
}

impl Shared {
    /// The next frame is needed then; whether nobody said so before.
    pub fn ask(&self, state: &mut State, needed: Instant) -> bool {
        self.changed.notify_all();
        let before = state.needed;
        state.needed = Some(before.map_or(needed, |before| before.min(needed)));
        before.is_none()
    }

    /// A frame or the end has come.
    pub fn tell(&self) {
        self.changed.notify_all();
        if let Some(action) = self.on_change.get() {
            action();
        }
    }

    /// No code panics while it holds this lock.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub fn wait<'a>(
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
