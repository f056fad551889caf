//! Frames as they come in, a window on the screen out: ffplay, a program of ffmpeg's, shows them.
//!
//! Never holds up whoever has the frames: those that come while the window is behind, or paused, are left
//! out. A window that was closed stays closed.

use std::env;
use std::io::{self, BufWriter};
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use onelook_types::Frame;

use super::error::VideoError;
use super::ffmpeg::Ffmpeg;
use super::input_pipe::InputPipe;
use super::nut::{NutVideo, NutWriter};
use super::process::Process;
use super::redact::Redactor;
use crate::stop::StopHandle;

const TICKS_PER_SECOND: u32 = 90_000;

/// How often it is looked whether the window is still there.
const LOOK: Duration = Duration::from_millis(100);

/// A paused window takes nothing for as long as its user likes.
const PAUSE: Duration = Duration::from_secs(365 * 24 * 3600);

/// How long a window of a run that is over may take to show what it has.
const END: Duration = Duration::from_secs(3);

/// Sides of the largest window; larger frames are shown smaller.
const LARGEST: [usize; 2] = [1280, 720];

/// Variables that name a screen, or what SDL is to draw to.
const DISPLAY_VARIABLES: [&str; 3] = ["DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"];

/// How a window ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WindowEnd {
    /// Its user closed it.
    Closed,
    /// It could not be opened, or broke down: why.
    Failed(String),
}

/// A window that shows frames, from a thread of its own.
pub struct Window {
    newest: Arc<NewestFrame>,
    stays: bool,
    stop: StopHandle,
    thread: Option<JoinHandle<()>>,
}

/// The newest frame, until the window takes it.
#[derive(Default)]
struct NewestFrame {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    frame: Option<(Instant, Frame)>,
    /// No more frames come.
    is_over: bool,
    /// How the window ended, if not from here.
    end: Option<WindowEnd>,
}

impl NewestFrame {
    /// Only plain values are kept, so poisoning is ignored.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next frame, as far as it comes while one cares to wait.
    fn next(&self) -> Next {
        let waits = |state: &mut State| state.frame.is_none() && !state.is_over;
        let waited = self.changed.wait_timeout_while(self.state(), LOOK, waits);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match (state.frame.take(), state.is_over) {
            (Some((time, frame)), _) => Next::Frame(time, frame),
            (None, true) => Next::Over,
            (None, false) => Next::NotYet,
        }
    }
}

enum Next {
    Frame(Instant, Frame),
    NotYet,
    Over,
}

impl Window {
    /// Whether there is a screen: on Linux and the like, as DISPLAY or WAYLAND_DISPLAY say; elsewhere always.
    pub fn has_display() -> bool {
        let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
        cfg!(any(windows, target_os = "macos")) || DISPLAY_VARIABLES.into_iter().any(is_set)
    }

    /// Opens with the first frame that comes. `on_close` is called once, from another thread, when its user has
    /// closed it. One that `stays` shows its last frame until then.
    ///
    /// # Errors
    /// ffplay is not there, or there is no thread to be had.
    pub fn open(
        ffmpeg: &Ffmpeg,
        title: &str,
        stays: bool,
        on_close: impl FnOnce() + Send + 'static,
    ) -> Result<Self, VideoError> {
        let stop = StopHandle::default();
        let player = Player {
            program: ffmpeg.player()?,
            ffmpeg: ffmpeg.clone(),
            title: title.to_owned(),
            stays,
            stop: stop.clone(),
        };
        let newest = Arc::new(NewestFrame::default());
        let frames = Arc::clone(&newest);
        let run = move || {
            let end = player.run(&frames);
            frames.state().end.clone_from(&end);
            if end == Some(WindowEnd::Closed) {
                on_close();
            }
        };
        let thread = std::thread::Builder::new().name("window".to_owned());
        let thread = thread.spawn(run).map_err(|error| VideoError::Start {
            reason: error.to_string(),
        })?;
        Ok(Self {
            newest,
            stays,
            stop,
            thread: Some(thread),
        })
    }

    /// Hands over a frame and returns at once. One that the window has not taken yet is left out.
    pub fn write(&self, frame: Frame) {
        self.newest.state().frame = Some((Instant::now(), frame));
        self.newest.changed.notify_all();
    }

    /// How the window ended, if it is gone already.
    pub fn end(&self) -> Option<WindowEnd> {
        self.newest.state().end.clone()
    }

    /// Ends it. One that stays is waited for as long as `wait` says, which is asked again and again; another
    /// shows what it has, for a few seconds at most. How it ended, if not from here.
    pub fn finish(mut self, wait: impl Fn() -> bool) -> Option<WindowEnd> {
        self.newest.state().is_over = true;
        self.newest.changed.notify_all();
        while self.stays && self.is_running() {
            if !wait() {
                self.stop.stop();
                break;
            }
            std::thread::sleep(LOOK / 4);
        }
        self.join();
        self.end()
    }

    fn is_running(&self) -> bool {
        let thread = self.thread.as_ref();
        thread.is_some_and(|thread| !thread.is_finished())
    }

    fn join(&mut self) {
        let deadline = Instant::now() + END;
        while self.is_running() {
            if Instant::now() > deadline {
                self.stop.stop();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        self.newest.state().is_over = true;
        self.newest.changed.notify_all();
        self.stop.stop();
        self.join();
    }
}

struct Player {
    ffmpeg: Ffmpeg,
    program: PathBuf,
    title: String,
    stays: bool,
    stop: StopHandle,
}

/// An ffplay that runs.
struct Running {
    process: Process,
    output: NutWriter<BufWriter<InputPipe>>,
    size: [usize; 2],
    began: Instant,
    last_pts: Option<u64>,
}

impl Player {
    /// How the window ended, if not because the frames did.
    fn run(&self, newest: &NewestFrame) -> Option<WindowEnd> {
        let mut running: Option<Running> = None;
        loop {
            let (time, frame) = match newest.next() {
                Next::Frame(time, frame) => (time, frame),
                Next::NotYet => {
                    if let Some(ended) = running.take_if(|running| running.process.has_ended()) {
                        return self.end_of(ended);
                    }
                    continue;
                }
                Next::Over => break,
            };
            let size = [frame.width(), frame.height()];
            // A window has the size of its first frame.
            if let Some(old) = running.take_if(|running| running.size != size) {
                drop(old);
            }
            let started = match running.take() {
                Some(running) => Ok(running),
                None => self.start(size, time),
            };
            match started {
                Ok(mut open) => match open.write(time, &frame) {
                    Ok(()) => running = Some(open),
                    Err(_) => return self.end_of(open),
                },
                Err(error) => return Some(WindowEnd::Failed(error.to_string())),
            }
        }
        self.show_rest(running?)
    }

    /// The frames have ended: lets the window show what it has, or stay as long as it likes.
    fn show_rest(&self, running: Running) -> Option<WindowEnd> {
        let Running {
            mut process,
            output,
            ..
        } = running;
        drop(output);
        let patience = if self.stays { PAUSE } else { END };
        let status = process.wait_for(patience);
        match status.and_then(|status| status.code()) {
            Some(0) => self.stays.then_some(WindowEnd::Closed),
            Some(_) => Some(failure(status, &process)),
            // It was ended from here.
            None => None,
        }
    }

    fn end_of(&self, mut running: Running) -> Option<WindowEnd> {
        drop(running.output);
        let status = running.process.wait();
        if self.stop.is_stopped() {
            return None;
        }
        match status {
            Some(status) if status.success() => Some(WindowEnd::Closed),
            status => Some(failure(status, &running.process)),
        }
    }

    fn start(&self, size: [usize; 2], began: Instant) -> Result<Running, VideoError> {
        let mut command: Command = self.ffmpeg.command_of(&self.program);
        command.args(["-hide_banner", "-v", "error", "-an", "-framedrop"]);
        if !self.stays {
            command.arg("-autoexit");
        }
        let [width, height] = window_size(size);
        command.args(["-x", &width.to_string(), "-y", &height.to_string()]);
        command.args(["-window_title", &self.title]);
        command.args(["-fflags", "nobuffer", "-f", "nut"]);
        command.args(["-probesize", "32", "-analyzeduration", "0", "-i", "pipe:0"]);
        let (process, stdin) = Process::start_fed(command, PAUSE, Redactor::default(), &self.stop)?;
        let video = NutVideo::rgb(size, TICKS_PER_SECOND);
        let output = NutWriter::new(BufWriter::with_capacity(4096, stdin), video);
        Ok(Running {
            process,
            output: output.map_err(|error| VideoError::Start {
                reason: error.to_string(),
            })?,
            size,
            began,
            last_pts: None,
        })
    }
}

impl Running {
    fn write(&mut self, time: Instant, frame: &Frame) -> io::Result<()> {
        let since = time.saturating_duration_since(self.began).as_secs_f64();
        let told = (since * f64::from(TICKS_PER_SECOND)).round() as u64;
        let pts = self.last_pts.map_or(told, |last| told.max(last + 1));
        self.last_pts = Some(pts);
        self.output.write_frame(pts, frame.pixels())
    }
}

/// Why a player that did not end well ended.
fn failure(status: Option<ExitStatus>, process: &Process) -> WindowEnd {
    let said = process.first_words(&[]);
    WindowEnd::Failed(match (status, said.is_empty()) {
        (_, false) => said,
        (Some(status), true) => format!("ffplay ended: {status}"),
        (None, true) => "ffplay does not end".to_owned(),
    })
}

/// The size of the frames, made smaller where a screen may not have so much room.
fn window_size(size: [usize; 2]) -> [usize; 2] {
    let fit = |axis: usize| LARGEST[axis] as f64 / size[axis].max(1) as f64;
    let factor = fit(0).min(fit(1)).min(1.0);
    size.map(|side| ((side as f64 * factor).round() as usize).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_no_larger_than_a_screen_and_keeps_its_shape() {
        assert_eq!(window_size([640, 480]), [640, 480]);
        assert_eq!(window_size([3840, 2160]), [1280, 720]);
        assert_eq!(window_size([100, 7200]), [10, 720]);
        assert_eq!(window_size([100_000, 3]), [1280, 1]);
    }
}
