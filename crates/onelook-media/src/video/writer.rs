//! Frames with their times in, an MP4 file out, encoded by ffmpeg.
//!
//! The file grows under a hidden name, in fragments, so that whatever ends this program leaves a playable
//! file. At the end it is put together with the sound of the original and gets its name.

use std::ffi::OsString;
use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ChildStdin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use onelook_types::Frame;

use super::error::VideoError;
use super::ffmpeg::Ffmpeg;
use super::nut::{NutVideo, NutWriter, TimeBase};
use super::process::Process;
use super::redact::Redactor;
use crate::stop::StopHandle;

const TICKS_PER_SECOND: u32 = 90_000;
/// How long ffmpeg may leave its file as it is: encoders may hold back many frames, and disks may be slow.
const PATIENCE: Duration = Duration::from_secs(600);
/// Assumed where nothing is known.
const FPS: f64 = 25.0;
/// Sound that MP4 players take as it is.
const MP4_AUDIO: [&str; 6] = ["aac", "mp3", "ac3", "eac3", "alac", "opus"];

/// What a video is written with.
#[derive(Debug, Clone, Default)]
pub struct WriterOptions {
    /// Frames in a second, for frames without a time and for how long the last one is shown.
    pub fps: Option<f64>,
    /// The original, whose first sound track is taken over, and the codec of that track.
    pub audio: Option<(PathBuf, String)>,
}

/// Writes a video.
pub struct VideoWriter {
    ffmpeg: Ffmpeg,
    path: PathBuf,
    partial: PathBuf,
    options: WriterOptions,
    process: Process,
    output: Option<NutWriter<BufWriter<ChildStdin>>>,
    size: [usize; 2],
    first: Option<Duration>,
    last_pts: Option<u64>,
}

impl VideoWriter {
    /// Begins the file `path`, of frames of this width and height.
    ///
    /// # Errors
    /// ffmpeg cannot be started.
    pub fn create(
        ffmpeg: &Ffmpeg,
        path: &Path,
        [width, height]: [usize; 2],
        options: WriterOptions,
    ) -> Result<Self, VideoError> {
        let partial = hidden_name(path);
        let mut command = ffmpeg.writing_command();
        command.args(["-f", "nut", "-i", "pipe:0", "-an", "-pix_fmt", "yuv420p"]);
        // Colours are stored for two by two pixels.
        if width % 2 + height % 2 > 0 {
            command.args(["-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2"]);
        }
        if ffmpeg.has_encoder("libx264") {
            command.args(["-c:v", "libx264", "-preset", "veryfast"]);
        }
        command.args([
            "-g",
            "50",
            "-fps_mode",
            "passthrough",
            "-enc_time_base",
            "1:90000",
        ]);
        command.args(["-video_track_timescale", "90000", "-f", "mp4"]);
        command.args([
            "-movflags",
            "frag_keyframe+delay_moov+default_base_moof",
            "-y",
        ]);
        command.arg(file(&partial));
        let (process, stdin) =
            Process::start_fed(command, Redactor::default(), &StopHandle::default())?;
        let side = |side: usize| u32::try_from(side).unwrap_or(u32::MAX);
        let video = NutVideo {
            fourcc: *b"RGB\x18",
            width: side(width),
            height: side(height),
            time_base: TimeBase {
                numerator: 1,
                denominator: TICKS_PER_SECOND,
            },
        };
        let mut writer = Self {
            ffmpeg: ffmpeg.clone(),
            path: path.to_owned(),
            partial,
            options,
            process,
            output: None,
            size: [width, height],
            first: None,
            last_pts: None,
        };
        let output = NutWriter::new(BufWriter::with_capacity(4096, stdin), video);
        writer.output = Some(output.map_err(|error| writer.failure(&error))?);
        Ok(writer)
    }

    /// Width and height of its frames.
    pub fn size(&self) -> [usize; 2] {
        self.size
    }

    /// Adds a frame that is shown at `time`, or one frame after the last if that is not known.
    ///
    /// # Errors
    /// The disk is full, or ffmpeg ended for another reason. What was written so far stays.
    pub fn write(&mut self, frame: &Frame, time: Option<Duration>) -> Result<(), VideoError> {
        let first = *self.first.get_or_insert(time.unwrap_or_default());
        let told = time.map(|time| ticks(time.saturating_sub(first).as_secs_f64()));
        let step = ticks(1.0 / self.fps()).max(1);
        let pts = match (told, self.last_pts) {
            (Some(told), Some(last)) => told.max(last + 1),
            (Some(told), None) => told,
            (None, last) => last.map_or(0, |last| last + step),
        };
        self.last_pts = Some(pts);
        let written = match &mut self.output {
            Some(output) => output.write_frame(pts, frame.pixels()),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        };
        written.map_err(|error| self.failure(&error))
    }

    /// Ends the file and gives it its name. Of a run that was interrupted (`complete` is false) the sound
    /// ends with the last frame. Where sound cannot be taken over, the video has none; tells why then.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn finish(mut self, complete: bool) -> Result<Option<String>, VideoError> {
        let flushed = self
            .output
            .take()
            .map_or(Ok(()), |output| output.into_inner().flush());
        flushed.map_err(|error| self.failure(&error))?;
        let partial = &self.partial;
        let status = self.process.wait_while(PATIENCE, || extent(partial));
        if !status.is_some_and(|status| status.success()) {
            return Err(self.failure(&io::ErrorKind::BrokenPipe.into()));
        }
        let audio = self.options.audio.as_ref();
        let mut put = self.put_together(audio, complete);
        let mut without_sound = None;
        if let (Err(error), true) = (&put, audio.is_some()) {
            without_sound = Some(error.to_string());
            put = self.put_together(None, complete);
        }
        put.map_err(|error| self.write_error(&error.to_string()))?;
        // Its frames are in the file with the right name.
        let _ = fs::remove_file(&self.partial);
        Ok(without_sound)
    }

    /// Copies frames and sound into an ordinary file, which more players can search through.
    fn put_together(&self, audio: Option<&(PathBuf, String)>, complete: bool) -> io::Result<()> {
        let whole = hidden_name(&self.path);
        let mut command = self.ffmpeg.writing_command();
        let first = self.first.unwrap_or_default().as_secs_f64();
        command
            .args(["-itsoffset", &format!("{first:.6}"), "-i"])
            .arg(file(&self.partial));
        if let Some((original, _)) = audio {
            command
                .args(["-protocol_whitelist", "file", "-i"])
                .arg(file(original));
        }
        command.args(["-map", "0:v", "-c", "copy"]);
        if let Some((_, codec)) = audio {
            command.args(["-map", "1:a:0?"]);
            if !MP4_AUDIO.contains(&codec.as_str()) {
                command.args(["-c:a", "aac"]);
            }
            if !complete {
                let last = self.last_pts.unwrap_or(0) as f64 / f64::from(TICKS_PER_SECOND);
                command.args(["-t", &format!("{:.6}", first + last + 1.0 / self.fps())]);
            }
        }
        command.args(["-video_track_timescale", "90000", "-movflags", "faststart"]);
        command.args(["-f", "mp4", "-y"]).arg(file(&whole));
        let started = Process::start_fed(command, Redactor::default(), &StopHandle::default());
        let (mut process, stdin) = started.map_err(io::Error::other)?;
        drop(stdin);
        let status = process.wait_while(PATIENCE, || extent(&whole));
        let renamed = match status.is_some_and(|status| status.success()) {
            true => fs::rename(&whole, &self.path),
            false => Err(io::Error::other(process.first_words())),
        };
        if renamed.is_err() {
            let _ = fs::remove_file(&whole);
        }
        renamed
    }

    fn fps(&self) -> f64 {
        let fps = self
            .options
            .fps
            .filter(|fps| fps.is_finite() && *fps > 0.01);
        fps.unwrap_or(FPS)
    }

    /// What ffmpeg says counts for more than that it is gone.
    fn failure(&mut self, error: &io::Error) -> VideoError {
        self.output = None;
        self.process.wait();
        let said = self.process.first_words();
        match said.as_str() {
            "" => self.write_error(&error.to_string()),
            said => self.write_error(said),
        }
    }

    fn write_error(&self, reason: &str) -> VideoError {
        let partial = self.partial.display();
        let left = match self.partial.exists() {
            true => format!("; what was written so far is in '{partial}'"),
            false => String::new(),
        };
        VideoError::Write {
            path: self.path.display().to_string(),
            reason: format!("{reason}{left}"),
        }
    }
}

/// A name in the same directory that no other file has.
fn hidden_name(path: &Path) -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    path.with_file_name(format!(".onelook-{}-{count}.part.mp4", std::process::id()))
}

/// How much was written to a file, and when last.
fn extent(path: &Path) -> Option<(u64, Option<SystemTime>)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.len(), metadata.modified().ok()))
}

fn ticks(seconds: f64) -> u64 {
    (seconds * f64::from(TICKS_PER_SECOND)).round() as u64
}

/// A path that ffmpeg takes for nothing else.
fn file(path: &Path) -> OsString {
    let mut word = OsString::from("file:");
    word.push(path);
    word
}
