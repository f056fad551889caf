//! What gives the frames of one opened video, one after the other; here by an ffmpeg process. A decoder in
//! this process or on a GPU is another [`Decoder`].

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use onelook_types::PixelFormat;

use super::address::VideoAddress;
use super::error::VideoError;
use super::ffmpeg::Ffmpeg;
use super::frame::VideoFrame;
use super::nut::{NutError, NutReader, NutVideo};
use super::pixel_limit::{check_size, max_pixels, too_many_pixels};
use super::probe::VideoInfo;
use super::process::{Output, Process};
use super::resume_point::ResumePoint;
use crate::Limits;
use crate::stop::StopHandle;

/// Gives the frames of one opened video.
pub trait Decoder {
    /// The next frame, `None` at a clean end. `buffer` may be used for its pixels.
    ///
    /// # Errors
    /// Why there are no more.
    fn next_frame(&mut self, buffer: Vec<u8>) -> Result<Option<VideoFrame>, VideoError>;

    /// What the video says of itself, where it does.
    fn info(&self) -> Option<&VideoInfo> {
        None
    }
}

/// Opens a video; for a live stream again after each end. Runs on the thread that reads the frames.
pub trait OpenDecoder: Send {
    /// Opens it; `stop` ends whatever would hold it up.
    ///
    /// # Errors
    /// Why it cannot be had.
    fn open(&mut self, stop: &StopHandle) -> Result<Box<dyn Decoder>, VideoError>;
}

/// How videos are decoded.
#[derive(Debug, Clone, PartialEq)]
pub struct DecodeOptions {
    /// Bounds on each frame.
    pub limits: Limits,
    /// [`PixelFormat::Rgb`], or [`PixelFormat::Nv12`], which is half as large and as true to what cameras
    /// send; sides are made even for it.
    pub format: PixelFormat,
    /// Width and height to resize to, which is cheaper here than later. As they are, if absent.
    pub size: Option<[u32; 2]>,
    /// Without [`size`](Self::size): frames whose longer side has more pixels are made smaller, to it, with their
    /// shape kept as far as even sides allow.
    pub longest_side: Option<u32>,
    /// Every so-manieth frame only, from the first; times stay what they are.
    pub stride: u32,
    /// ffmpeg's name of what decodes instead of the CPU, such as `vaapi`, or `auto`: whatever ffmpeg finds,
    /// and the CPU where it finds nothing. Pixels may differ from the CPU's.
    pub hardware: Option<String>,
    /// Threads that decode; as many as ffmpeg likes, if absent. Each holds frames of its own, which costs
    /// memory and, of a live stream, time: a frame comes when so many more have been received.
    pub threads: Option<u32>,
    /// Longest wait for the first frame.
    pub start_timeout: Duration,
    /// Longest wait for each other frame.
    pub frame_timeout: Duration,
    /// ffmpeg's name of the container, such as `mov`, that a file is read as and nothing else: for files that
    /// strangers send. ffmpeg by itself takes a file for a list of other files if it looks like one anywhere,
    /// and opens those.
    pub container: Option<&'static str>,
    /// Begins behind this frame of a file.
    pub resume: Option<ResumePoint>,
}

impl DecodeOptions {
    /// Right for this address: a live stream that is silent for 5 s (15 s at its start) is frozen, one that
    /// comes in segments after 30 s; a file may be slow.
    pub fn for_address(address: &VideoAddress) -> Self {
        let (start, frame) = match (address.is_live(), address.is_playlist()) {
            (true, true) => (30, 30),
            (true, false) => (15, 5),
            (false, _) => (120, 120),
        };
        Self {
            limits: Limits::default(),
            format: PixelFormat::Rgb,
            size: None,
            longest_side: None,
            stride: 1,
            hardware: None,
            threads: None,
            start_timeout: Duration::from_secs(start),
            frame_timeout: Duration::from_secs(frame),
            container: None,
            resume: None,
        }
    }
}

/// Steps of less than 0.1 ms are how ffmpeg writes times that go backwards.
const BACKWARD_STEP_TICKS: i64 = 9;
const TICKS_PER_SECOND: f64 = 90_000.0;
/// How lines begin that tell of devices which were looked for and are not there.
const ABSENT_DEVICES: &[&str] = &["[AVHWDeviceContext", "Device creation failed", "libva"];
/// A live frame whose time is further from now has another clock's.
const MAX_CLOCK_DIFFERENCE: f64 = 60.0;

/// Frames from an ffmpeg process.
pub(super) struct FfmpegDecoder {
    process: Process,
    /// Absent before the first frame.
    reader: Option<NutReader<std::io::BufReader<Output>>>,
    output: Option<Output>,
    info: Option<VideoInfo>,
    options: DecodeOptions,
    is_live: bool,
    frames: u64,
    last_pts: Option<i64>,
    stop: StopHandle,
}

impl FfmpegDecoder {
    /// Opens a video, a file at its first frame not before `start` where that is given.
    pub(super) fn open(
        ffmpeg: &Ffmpeg,
        address: &VideoAddress,
        options: &DecodeOptions,
        start: Option<Duration>,
        stop: &StopHandle,
    ) -> Result<Self, VideoError> {
        let info = match address {
            VideoAddress::File(_) => {
                let (container, limits) = (options.container, &options.limits);
                Some(VideoInfo::within(address, container, ffmpeg, limits, stop)?)
            }
            _ => None,
        };
        if let Some(info) = &info {
            check_size(info.width, info.height, &options.limits)?;
        }
        let mut command = ffmpeg.command();
        command.args(["-nostdin", "-hide_banner", "-v", "error"]);
        if let Some(name) = &options.hardware {
            command.args(["-hwaccel", name]);
        }
        let threads = options.threads.map(|threads| threads.to_string());
        if let Some(threads) = &threads {
            command.args(["-filter_threads", threads, "-threads", threads]);
        }
        if address.is_playlist() {
            // Segments come at once; their frames are to come as they were taken.
            command.arg("-re");
        } else if address.is_live() {
            command.args(["-use_wallclock_as_timestamps", "1"]);
        }
        let input = address.input(options.container);
        command.arg("-copyts").args(max_pixels(&options.limits));
        if let Some(start) = start {
            command.args(["-ss", &format!("{:.6}", start.as_secs_f64())]);
        }
        command.args(input.words);
        command.args(["-map", "0:V:0", "-an", "-sn", "-dn"]);
        if let Some(filters) = filters(options) {
            command.args(["-vf", &filters]);
        }
        let format = match options.format {
            PixelFormat::Nv12 => "nv12",
            _ => "rgb24",
        };
        command.args(["-pix_fmt", format, "-fps_mode", "passthrough"]);
        if threads.is_some() {
            // Raw frames are only copied.
            command.args(["-threads", "1"]);
        }
        command.args([
            "-enc_time_base",
            "1:90000",
            "-c:v",
            "rawvideo",
            "-f",
            "nut",
            "pipe:1",
        ]);
        let (process, output) =
            Process::start(command, input.script.as_deref(), address.redactor(), stop)?;
        Ok(Self {
            process,
            reader: None,
            output: Some(output),
            info,
            options: options.clone(),
            is_live: address.is_live(),
            frames: 0,
            last_pts: None,
            stop: stop.clone(),
        })
    }

    /// Takes the frames up to here as those before so many of the file, and what ffmpeg has said of them as of no
    /// interest: of some that it began with it had not all that they refer to.
    pub(super) fn found(&mut self, frames: u64) {
        // Its words take another way than its frames.
        std::thread::sleep(Duration::from_millis(20));
        self.process.forget_words();
        self.frames = frames;
    }

    /// Reads the headers, which come with the first frame.
    fn start(&mut self, mut output: Output) -> Result<(), NutError> {
        output.set_deadline(Instant::now() + self.options.start_timeout);
        // Small, since frames are read past it.
        let input = std::io::BufReader::with_capacity(4096, output);
        self.reader = Some(NutReader::new(input)?);
        Ok(())
    }

    fn read(&mut self, mut pixels: Vec<u8>) -> Result<Option<VideoFrame>, VideoError> {
        if let Some(output) = self.output.take() {
            self.start(output)
                .map_err(|error| self.failure(error, self.options.start_timeout))?;
        }
        let timeout = match self.frames {
            0 => self.options.start_timeout,
            _ => self.options.frame_timeout,
        };
        let Some(reader) = &mut self.reader else {
            return Ok(None);
        };
        reader
            .get_mut()
            .get_mut()
            .set_deadline(Instant::now() + timeout);
        let video = reader.video();
        let NutVideo { width, height, .. } = video;
        check_size(width, height, &self.options.limits)?;
        let bytes = frame_bytes(&video, self.options.format);
        let frames = self.frames;
        let bytes = bytes.map_err(|source| VideoError::Stream { frames, source })?;
        pixels.clear();
        pixels.reserve_exact(bytes as usize);
        let read = reader.read_frame(bytes, &mut pixels);
        let Some(pts) = read.map_err(|error| self.failure(error, timeout))? else {
            return self.end();
        };
        let seconds = video.time_base.seconds(pts);
        let frame = VideoFrame {
            width: width as usize,
            height: height as usize,
            format: self.options.format,
            pixels,
            number: self.frames,
            time: self.time(pts, seconds),
            arrived: Instant::now(),
        };
        self.last_pts = Some(pts);
        self.frames += 1;
        Ok(Some(frame))
    }

    /// Since the start of the file; for a live stream since 1970.
    fn time(&self, pts: i64, seconds: f64) -> Option<Duration> {
        if self.is_live {
            let now = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default();
            let is_close = (seconds - now.as_secs_f64()).abs() < MAX_CLOCK_DIFFERENCE;
            return Some(match is_close {
                true => Duration::from_secs_f64(seconds),
                false => now,
            });
        }
        let step = self.last_pts.map(|last| pts.saturating_sub(last));
        if step.is_some_and(|step| step <= BACKWARD_STEP_TICKS) {
            return None;
        }
        let start = self.info.as_ref().map_or(0.0, |info| info.start);
        // To the tick, so that what is written with it is again what was read.
        let ticks = (seconds * TICKS_PER_SECOND).round() - (start * TICKS_PER_SECOND).round();
        Duration::try_from_secs_f64(ticks.max(0.0) / TICKS_PER_SECOND).ok()
    }

    /// The output has ended between frames: was that right?
    fn end(&mut self) -> Result<Option<VideoFrame>, VideoError> {
        let status = self.process.wait();
        if self.stop.is_stopped() {
            return Err(VideoError::Stopped);
        }
        if self.is_live {
            return Err(VideoError::Ended {
                frames: self.frames,
                reason: self.process.last_words(),
            });
        }
        let ignored = match &self.options.hardware {
            Some(_) => ABSENT_DEVICES,
            None => &[],
        };
        let reason = self.process.first_words(ignored);
        match status {
            Some(status) if status.success() && reason.is_empty() => Ok(None),
            _ => Err(self.damaged(reason)),
        }
    }

    fn damaged(&self, reason: String) -> VideoError {
        let stride = u64::from(self.options.stride.max(1));
        let expected = self.info.as_ref().and_then(|info| info.frames);
        VideoError::Damaged {
            frames: self.frames,
            expected: expected.map(|frames| frames.div_ceil(stride)),
            reason,
        }
    }

    fn stream_error(&self, source: NutError) -> VideoError {
        VideoError::Stream {
            frames: self.frames,
            source,
        }
    }

    /// What a failure to read comes from.
    fn failure(&mut self, error: NutError, waited: Duration) -> VideoError {
        let frames = self.frames;
        if error == NutError::TimedOut {
            self.process.kill();
            return VideoError::Frozen {
                seconds: waited.as_secs(),
                frames,
            };
        }
        if error != NutError::BrokenOff {
            self.process.kill();
            return self.stream_error(error);
        }
        let status = self.process.wait();
        let reason = self.process.last_words();
        if self.stop.is_stopped() {
            return VideoError::Stopped;
        }
        if frames > 0 {
            let status = status.map_or("no status".to_owned(), |status| status.to_string());
            return VideoError::Died {
                status,
                frames,
                reason,
            };
        }
        // Options are read before anything is opened: what a camera answers comes later.
        let first = self.process.first_words(&[]);
        if first == "Unrecognized option 'fps_mode'." {
            return VideoError::OldFfmpeg { said: first };
        }
        if let Some(error) = too_many_pixels(&self.process, &self.options.limits) {
            return error;
        }
        let is_unmatched = |line: &str| {
            (line.starts_with("Stream map '") && line.ends_with("matches no streams."))
                .then_some(())
        };
        match self.process.find_line(is_unmatched) {
            Some(()) => VideoError::NoVideo,
            None if reason.is_empty() => VideoError::Refused {
                reason: match status {
                    Some(status) => format!("ffmpeg gave no frame and said nothing ({status})"),
                    None => "ffmpeg gave no frame and did not end".to_owned(),
                },
            },
            None => VideoError::Refused { reason },
        }
    }
}

impl Decoder for FfmpegDecoder {
    fn next_frame(&mut self, buffer: Vec<u8>) -> Result<Option<VideoFrame>, VideoError> {
        self.read(buffer)
    }

    fn info(&self) -> Option<&VideoInfo> {
        self.info.as_ref()
    }
}

fn filters(options: &DecodeOptions) -> Option<String> {
    let mut filters = Vec::new();
    if options.stride > 1 {
        filters.push(format!("select=not(mod(n\\,{}))", options.stride));
    }
    let is_nv12 = options.format == PixelFormat::Nv12;
    if let (None, Some(most)) = (options.size, options.longest_side) {
        // ffmpeg computes a side of -2 from the other one, to an even number.
        let side = |own, other| {
            format!("if(gt(max(iw,ih),{most}),if(gte({own},{other}),{most},-2),{own})")
        };
        let (width, height) = (side("iw", "ih"), side("ih", "iw"));
        filters.push(format!("scale=w='{width}':h='{height}':flags=bilinear"));
    }
    match options.size {
        Some([width, height]) => filters.push(format!("scale={width}:{height}")),
        None if is_nv12 => filters.push("scale=trunc(iw/2)*2:trunc(ih/2)*2".to_owned()),
        None => {}
    }
    (!filters.is_empty()).then(|| filters.join(","))
}

/// Bytes of a frame; an error if ffmpeg writes another layout than was asked for.
fn frame_bytes(video: &NutVideo, format: PixelFormat) -> Result<u64, NutError> {
    let (width, height) = (u64::from(video.width), u64::from(video.height));
    match (format, &video.fourcc) {
        (PixelFormat::Rgb, b"RGB\x18") => Ok(width * height * 3),
        (PixelFormat::Nv12, b"NV12") => Ok(width * height * 3 / 2),
        _ => Err(NutError::NotOneVideo),
    }
}
