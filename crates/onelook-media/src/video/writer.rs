//! Frames with their times in, an MP4 file out, encoded by ffmpeg.
//!
//! The file grows under a hidden name, in fragments, so that whatever ends this program leaves a playable
//! file. At the end it is put together with the sound of the original and gets its name.

use std::ffi::OsString;
use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use onelook_types::Frame;
use serde::{Deserialize, Serialize};

use super::address::VideoAddress;
use super::error::VideoError;
use super::ffmpeg::Ffmpeg;
use super::fragments::cut_to_whole;
use super::input_pipe::InputPipe;
use super::nut::{NutVideo, NutWriter};
use super::process::Process;
use super::redact::Redactor;
use crate::stop::StopHandle;

const TICKS_PER_SECOND: u32 = 90_000;
/// How long ffmpeg may leave its file as it is: encoders may hold back many frames, and disks may be slow.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long ffmpeg may take no frame.
const STALL: Duration = Duration::from_secs(120);
/// Assumed where nothing is known.
const FPS: f64 = 25.0;
/// Sound that MP4 players take as it is.
const MP4_AUDIO: [&str; 6] = ["aac", "mp3", "ac3", "eac3", "alac", "opus"];

/// What a video is written with.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WriterOptions {
    /// Frames in a second, for frames without a time and for how long the last one is shown.
    pub fps: Option<f64>,
    /// The original, whose first sound track is taken over, and the codec of that track.
    pub audio: Option<(PathBuf, String)>,
    /// Whether parts may be ended by [`VideoWriter::end_part`].
    pub in_parts: bool,
    /// How long the encoder may take no frame: its disk hangs then, or it does.
    pub stall_timeout: Duration,
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self {
            fps: None,
            audio: None,
            in_parts: false,
            stall_timeout: STALL,
        }
    }
}

/// A part of a video, whole on the disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VideoPart {
    /// Its file.
    pub path: PathBuf,
    /// When it begins, in ticks of 1/90,000 s since the video's first frame.
    pub start: u64,
}

/// What a writer has to know to go on after its program has ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WriterState {
    /// The file to come.
    pub path: PathBuf,
    /// Width and height of its frames.
    pub size: [usize; 2],
    /// What it is written with.
    pub options: WriterOptions,
    /// Time of its first frame.
    pub first: Option<Duration>,
    /// Time of its last frame in ticks since the first.
    pub last_pts: Option<u64>,
    /// What there is of it.
    pub parts: Vec<VideoPart>,
}

/// Writes a video.
pub struct VideoWriter {
    ffmpeg: Ffmpeg,
    /// Once it was asked.
    has_x264: Option<bool>,
    state: WriterState,
    /// Of the part at hand.
    encoder: Option<Encoder>,
}

/// Writes one part.
struct Encoder {
    process: Process,
    output: Option<NutWriter<BufWriter<InputPipe>>>,
    part: VideoPart,
}

impl VideoWriter {
    /// Begins the file `path`, of frames of this width and height.
    ///
    /// # Errors
    /// ffmpeg cannot be started.
    pub fn create(
        ffmpeg: &Ffmpeg,
        path: &Path,
        size: [usize; 2],
        options: WriterOptions,
    ) -> Result<Self, VideoError> {
        let mut writer = Self::resume(
            ffmpeg,
            WriterState {
                path: path.to_owned(),
                size,
                options,
                first: None,
                last_pts: None,
                parts: Vec::new(),
            },
        );
        writer.start_part(0)?;
        Ok(writer)
    }

    /// Goes on with a file behind the parts that there are.
    pub fn resume(ffmpeg: &Ffmpeg, state: WriterState) -> Self {
        Self {
            ffmpeg: ffmpeg.clone(),
            has_x264: None,
            state,
            encoder: None,
        }
    }

    /// Width and height of its frames.
    pub fn size(&self) -> [usize; 2] {
        self.state.size
    }

    /// Time of its first frame, if there is one.
    pub fn first_time(&self) -> Option<Duration> {
        self.state.first
    }

    /// The file to come.
    pub fn path(&self) -> &Path {
        &self.state.path
    }

    /// Adds a frame that is shown at `time`, or one frame after the last if that is not known.
    ///
    /// # Errors
    /// The disk is full or hangs, or ffmpeg ended for another reason. What was written so far stays.
    pub fn write(&mut self, frame: &Frame, time: Option<Duration>) -> Result<(), VideoError> {
        let first = *self.state.first.get_or_insert(time.unwrap_or_default());
        let told = time.map(|time| ticks(time.saturating_sub(first).as_secs_f64()));
        let step = ticks(1.0 / self.fps()).max(1);
        let pts = match (told, self.state.last_pts) {
            (Some(told), Some(last)) => told.max(last + 1),
            (Some(told), None) => told,
            (None, last) => last.map_or(0, |last| last + step),
        };
        if self.encoder.is_none() {
            self.start_part(pts)?;
        }
        self.state.last_pts = Some(pts);
        let written = match &mut self.encoder {
            Some(Encoder {
                output: Some(output),
                part,
                ..
            }) => output.write_frame(pts - part.start, frame.pixels()),
            _ => Err(io::ErrorKind::BrokenPipe.into()),
        };
        written.map_err(|error| self.failure(&error))
    }

    /// Ends the part at hand, if there is one, so that all frames so far are in whole files, and tells how to
    /// go on from here. The next frame begins another part.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn end_part(&mut self) -> Result<&WriterState, VideoError> {
        let Some(encoder) = &mut self.encoder else {
            return Ok(&self.state);
        };
        let flushed = encoder
            .output
            .take()
            .map_or(Ok(()), |output| output.into_inner().flush());
        flushed.map_err(|error| self.failure(&error))?;
        let ended = self.encoder.as_mut().is_some_and(|encoder| {
            let Encoder { process, part, .. } = encoder;
            let status = process.wait_while(PATIENCE, || extent(&part.path));
            status.is_some_and(|status| status.success())
        });
        if !ended {
            return Err(self.failure(&io::ErrorKind::BrokenPipe.into()));
        }
        let encoder = self.encoder.take();
        self.state.parts.extend(encoder.map(|encoder| encoder.part));
        Ok(&self.state)
    }

    /// Ends the file and gives it its name. Of a run that was interrupted (`complete` is false) the sound
    /// ends with the last frame. Where sound cannot be taken over, the video has none; tells why then. The
    /// files of its parts are left to whoever asked for [parts](WriterOptions::in_parts).
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn finish(mut self, complete: bool) -> Result<Finished, VideoError> {
        self.end_part()?;
        let audio = self.state.options.audio.as_ref();
        let mut put = self.put_together(audio, complete);
        let mut without_sound = None;
        if let (Err(error), true) = (&put, audio.is_some()) {
            without_sound = Some(error.to_string());
            put = self.put_together(None, complete);
        }
        put.map_err(|error| self.write_error(&error.to_string()))?;
        let parts = self.state.parts.into_iter().map(|part| part.path);
        let parts: Vec<PathBuf> = parts.collect();
        if !self.state.options.in_parts {
            // Their frames are in the file with the right name.
            parts.iter().for_each(|part| drop(fs::remove_file(part)));
        }
        Ok(Finished {
            without_sound,
            parts,
        })
    }

    fn start_part(&mut self, start: u64) -> Result<(), VideoError> {
        let [width, height] = self.state.size;
        let part = VideoPart {
            path: hidden_name(&self.state.path),
            start,
        };
        let mut command = self.ffmpeg.writing_command();
        command.args(["-f", "nut", "-i", "pipe:0", "-an", "-pix_fmt", "yuv420p"]);
        // Colours are stored for two by two pixels.
        if width % 2 + height % 2 > 0 {
            command.args(["-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2"]);
        }
        let has_x264 = || self.ffmpeg.has_encoder("libx264");
        if *self.has_x264.get_or_insert_with(has_x264) {
            command.args(["-c:v", "libx264", "-preset", "veryfast"]);
        }
        if self.state.options.in_parts {
            // Frames in the order of their times: parts are joined by them.
            command.args(["-bf", "0"]);
        }
        command.args(["-g", "50", "-fps_mode", "passthrough"]);
        command.args(["-enc_time_base", "1:90000"]);
        command.args(["-video_track_timescale", "90000", "-f", "mp4", "-movflags"]);
        command.args(["frag_keyframe+delay_moov+default_base_moof", "-y"]);
        command.arg(file(&part.path));
        let (process, stdin) = Process::start_fed(
            command,
            self.state.options.stall_timeout,
            Redactor::default(),
            &StopHandle::default(),
        )?;
        let video = NutVideo::rgb([width, height], TICKS_PER_SECOND);
        self.encoder = Some(Encoder {
            process,
            output: None,
            part,
        });
        let output = NutWriter::new(BufWriter::with_capacity(4096, stdin), video);
        let output = output.map_err(|error| self.failure(&error))?;
        if let Some(encoder) = &mut self.encoder {
            encoder.output = Some(output);
        }
        Ok(())
    }

    /// Copies frames and sound into an ordinary file, which more players can search through.
    fn put_together(&self, audio: Option<&(PathBuf, String)>, complete: bool) -> io::Result<()> {
        let whole = hidden_name(&self.state.path);
        let mut command = self.ffmpeg.writing_command();
        let first = self.state.first.unwrap_or_default().as_secs_f64();
        command.args(["-itsoffset", &format!("{first:.6}")]);
        command.args(["-f", "concat", "-safe", "0"]);
        command.args(["-protocol_whitelist", "file,pipe", "-i", "pipe:0"]);
        if let Some((original, _)) = audio {
            command.args(VideoAddress::File(original.clone()).input(None).words);
        }
        command.args(["-map", "0:v", "-c", "copy"]);
        if let Some((_, codec)) = audio {
            command.args(["-map", "1:a:0?"]);
            if !MP4_AUDIO.contains(&codec.as_str()) {
                command.args(["-c:a", "aac"]);
            }
            if !complete {
                let last = self.state.last_pts.unwrap_or(0) as f64 / f64::from(TICKS_PER_SECOND);
                command.args(["-t", &format!("{:.6}", first + last + 1.0 / self.fps())]);
            }
        }
        command.args(["-video_track_timescale", "90000", "-movflags", "faststart"]);
        command.args(["-f", "mp4", "-y"]).arg(file(&whole));
        let list = part_list(&self.state.parts)?;
        let (redactor, stop) = (Redactor::default(), StopHandle::default());
        let started = Process::start_fed(command, PATIENCE, redactor, &stop);
        let (mut process, mut stdin) = started.map_err(io::Error::other)?;
        // A list that is not read is missed by the program itself.
        let _ = stdin.write_all(&list);
        drop(stdin);
        let status = process.wait_while(PATIENCE, || extent(&whole));
        let renamed = match status.is_some_and(|status| status.success()) {
            true => fs::rename(&whole, &self.state.path),
            false => Err(io::Error::other(process.first_words(&[]))),
        };
        if renamed.is_err() {
            let _ = fs::remove_file(&whole);
        }
        renamed
    }

    fn fps(&self) -> f64 {
        let fps = self.state.options.fps;
        let fps = fps.filter(|fps| fps.is_finite() && *fps > 0.01);
        fps.unwrap_or(FPS)
    }

    /// What ffmpeg says counts for more than that it is gone.
    fn failure(&mut self, error: &io::Error) -> VideoError {
        let Some(encoder) = &mut self.encoder else {
            return self.write_error(&error.to_string());
        };
        let has_stalled = error.kind() == io::ErrorKind::TimedOut;
        if has_stalled {
            // First: what is still to be written would wait for it.
            encoder.process.kill();
        }
        encoder.output = None;
        encoder.process.wait();
        if !has_stalled {
            // What is left plays without it too.
            let _ = cut_to_whole(&encoder.part.path);
        }
        let said = encoder.process.first_words(&[]);
        match said.as_str() {
            "" if has_stalled => {
                let seconds = self.state.options.stall_timeout.as_secs();
                self.write_error(&format!(
                    "ffmpeg took no frame for {seconds} s: it hangs, or the disk does"
                ))
            }
            "" => self.write_error(&error.to_string()),
            said => self.write_error(said),
        }
    }

    fn write_error(&self, reason: &str) -> VideoError {
        let encoder = self.encoder.iter().map(|encoder| &encoder.part.path);
        let parts = self.state.parts.iter().map(|part| &part.path);
        let parts: Vec<&PathBuf> = parts.chain(encoder).filter(|path| path.exists()).collect();
        let left = match &parts[..] {
            [] => String::new(),
            [part] => format!("; what was written so far is in '{}'", part.display()),
            [first, .., last] => format!(
                "; what was written so far is in {} parts, from '{}' to '{}'",
                parts.len(),
                first.display(),
                last.display()
            ),
        };
        VideoError::Write {
            path: self.state.path.display().to_string(),
            reason: format!("{reason}{left}"),
        }
    }
}

/// What came of a video that has its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Why it has no sound though the original has.
    pub without_sound: Option<String>,
    /// The files of its parts, which are not needed any more.
    pub parts: Vec<PathBuf>,
}

/// The parts in the language of ffmpeg's `concat` reader, each as long as until the next begins.
fn part_list(parts: &[VideoPart]) -> io::Result<Vec<u8>> {
    let microseconds = |ticks: u64| ticks as f64 * 1e6 / f64::from(TICKS_PER_SECOND);
    let mut list = b"ffconcat version 1.0\n".to_vec();
    for (index, part) in parts.iter().enumerate() {
        let path = std::path::absolute(&part.path)?;
        let name = path.as_os_str().as_encoded_bytes();
        if name.contains(&b'\n') {
            return Err(io::Error::other(
                "the name of its directory has a line break",
            ));
        }
        list.extend_from_slice(b"file 'file:");
        for &byte in name {
            match byte {
                b'\'' => list.extend_from_slice(br"'\''"),
                byte => list.push(byte),
            }
        }
        list.extend_from_slice(b"'\n");
        if let Some(next) = parts.get(index + 1) {
            // Of rounded times: errors do not add up.
            let length = microseconds(next.start).round() - microseconds(part.start).round();
            list.extend_from_slice(format!("duration {length}us\n").as_bytes());
        }
    }
    Ok(list)
}

/// A name in the same directory that no other file has.
fn hidden_name(path: &Path) -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    // Another program may have had the same number.
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let micros = now.unwrap_or_default().as_micros();
    let process = std::process::id();
    path.with_file_name(format!(".onelook-{process}-{micros}-{count}.part.mp4"))
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
