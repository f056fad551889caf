//! Frames as they come in, a live stream out: pushed to an RTSP server, or written as an HLS playlist.
//! Encoded by ffmpeg, once for all who watch.
//!
//! Never holds up whoever has the frames: those that come while ffmpeg is busy, or is being started again,
//! are left out and counted.

use std::fs;
use std::io::{self, BufWriter};
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use onelook_types::Frame;

use super::backoff::Backoff;
use super::error::VideoError;
use super::ffmpeg::Ffmpeg;
use super::input_pipe::InputPipe;
use super::nut::{NutVideo, NutWriter};
use super::process::Process;
use super::redact::{Redactor, redact_url};
use crate::stop::StopHandle;

const TICKS_PER_SECOND: u32 = 90_000;

/// Frames that wait for ffmpeg.
const WAITING: usize = 2;

/// ffmpeg that takes no frame for so long is ended and started again.
const PATIENCE: Duration = Duration::from_secs(10);

/// Seconds between two key frames, and of a segment.
const SEGMENT_SECONDS: u32 = 2;

/// Where a live stream goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LiveTarget {
    /// The address at an RTSP server that takes streams.
    Rtsp(String),
    /// A directory for `index.m3u8` and its segments.
    Hls {
        /// The directory; made if there is none.
        directory: PathBuf,
        /// How many segments of two seconds are kept.
        segments: usize,
    },
}

impl LiveTarget {
    /// What it is called, without a password.
    pub fn name(&self) -> String {
        match self {
            Self::Rtsp(url) => redact_url(url),
            Self::Hls { directory, .. } => directory.display().to_string(),
        }
    }

    fn redactor(&self) -> Redactor {
        match self {
            Self::Rtsp(url) => Redactor::new(url),
            Self::Hls { .. } => Redactor::default(),
        }
    }

    /// ffmpeg without any words of its input yet. What waits for a server goes with whoever started it; a
    /// playlist is left whole.
    fn command(&self, ffmpeg: &Ffmpeg) -> Command {
        match self {
            Self::Rtsp(_) => {
                let mut command = ffmpeg.command();
                command.args(["-hide_banner", "-v", "error"]);
                command
            }
            Self::Hls { .. } => ffmpeg.writing_command(),
        }
    }

    fn add_output(&self, command: &mut Command) {
        match self {
            Self::Rtsp(url) => {
                command.args(["-f", "rtsp", "-rtsp_transport", "tcp", url]);
            }
            Self::Hls {
                directory,
                segments,
            } => {
                // From within: the directory's name is no option, address or pattern then.
                command.current_dir(directory);
                // A segment begun by an ffmpeg that is gone is no part of what follows.
                let flags = "delete_segments+append_list+discont_start+temp_file+program_date_time";
                command.args(["-f", "hls", "-hls_flags", flags]);
                command.args(["-hls_time", &SEGMENT_SECONDS.to_string()]);
                command.args(["-hls_list_size", &segments.to_string()]);
                command.arg("index.m3u8");
            }
        }
    }
}

/// What has become of a live stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LiveReport {
    /// Frames that ffmpeg took.
    pub sent: u64,
    /// Frames that were left out.
    pub dropped: u64,
    /// How often ffmpeg ended.
    pub failures: u64,
    /// Why it ended last, without passwords.
    pub last_error: Option<String>,
}

/// Writes a live stream, from a thread of its own.
pub struct LiveWriter {
    frames: Option<SyncSender<(Instant, Frame)>>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    report: LiveReport,
    /// Ends the ffmpeg that runs.
    stop: Option<StopHandle>,
    /// Since when a frame is being written.
    busy_since: Option<Instant>,
}

impl LiveWriter {
    /// Begins with the first frame that comes.
    ///
    /// # Errors
    /// The directory cannot be made, or there is no thread to be had.
    pub fn start(ffmpeg: &Ffmpeg, target: LiveTarget) -> Result<Self, VideoError> {
        let name = target.name();
        let failed = |error: io::Error| VideoError::Write {
            path: name.clone(),
            reason: error.to_string(),
        };
        if let LiveTarget::Hls { directory, .. } = &target {
            fs::create_dir_all(directory).map_err(failed)?;
        }
        let (sender, frames) = sync_channel(WAITING);
        let shared = Arc::new(Shared::default());
        let encoder = Encoder {
            has_x264: ffmpeg.has_encoder("libx264"),
            ffmpeg: ffmpeg.clone(),
            target,
            shared: Arc::clone(&shared),
        };
        let thread = std::thread::Builder::new().name("live-video".to_owned());
        let thread = thread.spawn(move || encoder.run(&frames)).map_err(failed)?;
        Ok(Self {
            frames: Some(sender),
            shared,
            thread: Some(thread),
        })
    }

    /// Hands over a frame and returns at once; the frame is left out while ffmpeg is behind.
    pub fn write(&self, frame: Frame) {
        let mut state = self.shared.state();
        if state
            .busy_since
            .is_some_and(|since| since.elapsed() > PATIENCE)
        {
            state.end_ffmpeg();
        }
        let frames = self.frames.as_ref();
        let sent = frames.is_some_and(|frames| frames.try_send((Instant::now(), frame)).is_ok());
        if !sent {
            state.report.dropped += 1;
        }
    }

    /// What has become of it so far.
    pub fn report(&self) -> LiveReport {
        self.shared.state().report.clone()
    }

    /// Ends the stream and waits until ffmpeg has written it, for a few seconds at most.
    pub fn finish(mut self) -> LiveReport {
        self.end();
        self.report()
    }

    fn end(&mut self) {
        self.frames = None;
        let Some(thread) = self.thread.take() else {
            return;
        };
        let deadline = Instant::now() + PATIENCE;
        while !thread.is_finished() {
            if Instant::now() > deadline {
                self.shared.state().end_ffmpeg();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = thread.join();
    }
}

impl Drop for LiveWriter {
    fn drop(&mut self) {
        self.end();
    }
}

impl State {
    fn end_ffmpeg(&self) {
        if let Some(stop) = &self.stop {
            stop.stop();
        }
    }
}

impl Shared {
    /// Only plain values are kept, so poisoning is ignored.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Encoder {
    ffmpeg: Ffmpeg,
    has_x264: bool,
    target: LiveTarget,
    shared: Arc<Shared>,
}

/// An ffmpeg that runs.
struct Running {
    process: Process,
    output: NutWriter<BufWriter<InputPipe>>,
    stop: StopHandle,
    size: [usize; 2],
    began: Instant,
    last_pts: Option<u64>,
}

impl Encoder {
    fn run(&self, frames: &Receiver<(Instant, Frame)>) {
        let mut backoff = Backoff::default();
        let mut running: Option<Running> = None;
        // Not before it may ffmpeg be started.
        let mut not_before = Instant::now();
        for (time, frame) in frames {
            if running.is_none() && Instant::now() < not_before {
                self.shared.state().report.dropped += 1;
                continue;
            }
            let size = [frame.width(), frame.height()];
            // A camera that comes back with another size needs another encoder.
            if let Some(old) = running.take_if(|running| running.size != size) {
                old.finish();
            }
            let started = match running.take() {
                Some(running) => Ok(running),
                None => self.start(size, time),
            };
            match started.and_then(|running| self.write(running, time, &frame)) {
                Ok(still) => running = Some(still),
                Err((ran, reason)) => {
                    let mut state = self.shared.state();
                    state.report.failures += 1;
                    state.report.dropped += 1;
                    state.report.last_error = Some(reason);
                    not_before = Instant::now() + backoff.next(ran);
                }
            }
        }
        if let Some(running) = running {
            running.finish();
        }
    }

    fn start(&self, size: [usize; 2], began: Instant) -> Result<Running, (Duration, String)> {
        let mut command = self.target.command(&self.ffmpeg);
        command.args(["-f", "nut", "-probesize", "32", "-analyzeduration", "0"]);
        command.args(["-i", "pipe:0", "-an", "-pix_fmt", "yuv420p"]);
        // Colours are stored for two by two pixels.
        if size[0] % 2 + size[1] % 2 > 0 {
            command.args(["-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2"]);
        }
        if self.has_x264 {
            command.args([
                "-c:v",
                "libx264",
                "-preset",
                "veryfast",
                "-tune",
                "zerolatency",
            ]);
        }
        let key_frames = format!("expr:gte(t,n_forced*{SEGMENT_SECONDS})");
        command.args(["-force_key_frames", &key_frames, "-fps_mode", "passthrough"]);
        command.args(["-enc_time_base", "1:90000", "-y"]);
        self.target.add_output(&mut command);
        let stop = StopHandle::default();
        let unstarted = |error: &dyn std::fmt::Display| (Duration::ZERO, error.to_string());
        self.shared.state().stop = Some(stop.clone());
        let started = Process::start_fed(command, PATIENCE, self.target.redactor(), &stop);
        let (process, stdin) = started.map_err(|error| unstarted(&error))?;
        let video = NutVideo::rgb(size, TICKS_PER_SECOND);
        let output = NutWriter::new(BufWriter::with_capacity(4096, stdin), video);
        Ok(Running {
            process,
            output: output.map_err(|error| unstarted(&error))?,
            stop,
            size,
            began,
            last_pts: None,
        })
    }

    /// The running one, if it took the frame; else how long it ran and why it ended.
    fn write(
        &self,
        mut running: Running,
        time: Instant,
        frame: &Frame,
    ) -> Result<Running, (Duration, String)> {
        let since = time.saturating_duration_since(running.began).as_secs_f64();
        let told = (since * f64::from(TICKS_PER_SECOND)).round() as u64;
        let pts = running.last_pts.map_or(told, |last| told.max(last + 1));
        running.last_pts = Some(pts);
        self.shared.state().busy_since = Some(Instant::now());
        let written = running.output.write_frame(pts, frame.pixels());
        let mut state = self.shared.state();
        state.busy_since = None;
        match written {
            Ok(()) => {
                state.report.sent += 1;
                Ok(running)
            }
            Err(error) => {
                drop(state);
                let was_stuck = running.stop.is_stopped();
                let ran = running.began.elapsed();
                running.process.wait();
                let reason = match (was_stuck, running.process.first_words(&[]).as_str()) {
                    (true, _) => "it took no frame for too long".to_owned(),
                    (false, "") => error.to_string(),
                    (false, said) => said.to_owned(),
                };
                Err((ran, reason))
            }
        }
    }
}

impl Running {
    /// Lets ffmpeg write what it has, for a few seconds at most.
    fn finish(mut self) {
        drop(self.output);
        self.process.wait();
    }
}
