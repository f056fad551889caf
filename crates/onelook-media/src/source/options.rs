//! How sources are read, and who fetches addresses.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::available_parallelism;

use crate::Limits;
use crate::video::{ResumePoint, VideoError};

/// Gets what an HTTP address holds; the caller brings the client.
pub trait Fetch: Send + Sync {
    /// The body at `url`, an error if it has more than `max_bytes`.
    fn fetch(&self, url: &str, max_bytes: u64) -> Result<Vec<u8>, String>;
}

impl<F> Fetch for F
where
    F: Fn(&str, u64) -> Result<Vec<u8>, String> + Send + Sync,
{
    fn fetch(&self, url: &str, max_bytes: u64) -> Result<Vec<u8>, String> {
        self(url, max_bytes)
    }
}

/// How sources are read.
#[derive(Clone)]
pub struct SourceOptions {
    /// Bounds on each image.
    pub limits: Limits,
    /// Gets `http://` and `https://` addresses; without it they are refused.
    pub fetch: Option<Arc<dyn Fetch>>,
    /// Most threads that read and decode. One is started at first, and more while images are waited
    /// for: where decoding is faster than what comes after, they would only take its cores.
    pub threads: usize,
    /// Most images that wait or are being decoded.
    pub images_ahead: usize,
    /// Most bytes that they take, and most that the frames of a live stream take that wait. One image may
    /// take more, when its turn comes.
    pub bytes_ahead: u64,
    /// Where ffmpeg is, which reads videos; it is looked for if absent.
    pub ffmpeg: Option<PathBuf>,
    /// Every so-manieth frame of a video, from its first.
    pub video_stride: u32,
    /// Whether of a live stream every frame counts, even late, and not the newest only.
    pub buffer_streams: bool,
    /// Most pixels of the longer side of a video's frames: ffmpeg makes larger ones smaller.
    pub video_side: Option<u32>,
    /// What decodes videos instead of the CPU, as [`DecodeOptions::hardware`](crate::video::DecodeOptions).
    pub hardware_decoding: Option<String>,
    /// Begins with this video, behind a frame of it where one is given, in place of the first.
    pub resume: Option<SourcePosition>,
    /// Told when a live stream fails and is opened again: its name, and why.
    pub on_reconnect: Option<Arc<ReconnectListener>>,
}

/// Where in a source of video files to go on.
#[derive(Debug, Clone, PartialEq)]
pub struct SourcePosition {
    /// Position of the video, from 0.
    pub index: usize,
    /// Behind which of its frames; its first frame if absent.
    pub frame: Option<ResumePoint>,
}

/// Is told the name of a stream and why it failed.
pub type ReconnectListener = dyn Fn(&str, &VideoError) + Send + Sync;

/// More would read files faster than disks give them.
const MOST_THREADS: usize = 16;

impl Default for SourceOptions {
    fn default() -> Self {
        let threads = available_parallelism().map_or(1, |cores| cores.get().min(MOST_THREADS));
        Self {
            limits: Limits::default(),
            fetch: None,
            threads,
            images_ahead: threads + 1,
            bytes_ahead: 512 << 20,
            ffmpeg: None,
            video_stride: 1,
            buffer_streams: false,
            video_side: None,
            hardware_decoding: None,
            resume: None,
            on_reconnect: None,
        }
    }
}
