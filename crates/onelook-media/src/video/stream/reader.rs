//! The thread that decodes a stream: opens it, reads frame after frame, opens a live one again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::backoff::Backoff;
use super::super::decoder::{Decoder, OpenDecoder};
use super::super::error::VideoError;
use super::super::frame::VideoFrame;
use super::frame_queue::{Delivery, Shared, State, StreamState};
use super::live_clock::LiveClock;
use crate::stop::StopHandle;

/// The thread that decodes. It also opens: the system ends a decoding process with the thread that
/// started it.
pub struct Reader {
    pub shared: Arc<Shared>,
    pub opener: Box<dyn OpenDecoder>,
    pub delivery: Delivery,
    pub reconnect: Option<Backoff>,
    pub must_start: bool,
    /// Of a live stream.
    pub clock: LiveClock,
    pub stop: StopHandle,
}

impl Reader {
    /// Until the end, or until it is stopped.
    pub fn run(mut self) {
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
        let mut is_first = true;
        loop {
            // A frame that was read and finds no room would only grow old.
            self.wait_until_wanted();
            let buffer = std::mem::take(&mut self.shared.lock().spare);
            let began = Instant::now();
            let Some(frame) = decoder.next_frame(buffer)? else {
                return Ok(());
            };
            // The first one takes the start of the decoder.
            let took = (!std::mem::take(&mut is_first)).then(|| began.elapsed());
            if !self.deliver(frame, took) {
                return Ok(());
            }
        }
    }

    /// Waits until the next frame is to be read, or nobody wants more.
    fn wait_until_wanted(&self) {
        let mut state = self.shared.lock();
        while !self.stop.is_stopped() {
            let pause = self.pause(&state);
            if pause == Some(Duration::ZERO) {
                break;
            }
            state = self.shared.wait(state, pause);
        }
    }

    /// How long until the next frame is to be read; absent while nothing tells.
    fn pause(&self, state: &State) -> Option<Duration> {
        let waiting = state.waiting.len();
        let needed = match self.delivery {
            Delivery::LatestFrame => return Some(Duration::ZERO),
            Delivery::OnDemand if waiting > 0 => return None,
            Delivery::OnDemand => state.needed?,
            Delivery::EveryFrame { ahead, bytes } => {
                let frame = state.waiting.front();
                let fitting = bytes / frame.map_or(1, |frame| frame.pixels.len().max(1)) as u64;
                let most = ahead.min(fitting.try_into().unwrap_or(usize::MAX));
                if waiting >= most.max(1) {
                    return None;
                }
                match (state.needed, state.taken) {
                    // What comes from a live stream is old already.
                    (None, Some(taken)) if self.reconnect.is_none() => {
                        taken + state.interval.get() * (waiting as u32 + 1)
                    }
                    _ => return Some(Duration::ZERO),
                }
            }
        };
        let left = needed.saturating_duration_since(Instant::now());
        Some(state.lead.pause(left))
    }

    /// Hands a frame over that `took` so long, if that is known; `false` when nobody wants more.
    fn deliver(&mut self, mut frame: VideoFrame, took: Option<Duration>) -> bool {
        if self.reconnect.is_some() {
            let (clock, arrived) = (&mut self.clock, frame.arrived);
            frame.time = frame.time.map(|time| clock.time(time, arrived));
        }
        let mut state = self.shared.lock();
        frame.number = state.status.frames;
        state.status.frames += 1;
        state.status.state = StreamState::Running;
        state.needed = None;
        if let Some(took) = took {
            state.lead.see(took);
        }
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
pub struct Finish(pub Arc<Shared>);

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
