//! Videos and live streams, decoded by ffmpeg as a child process; and written by it.
//!
//! Comes in: a file, an address of a camera. Goes out: frames with their true times, or a video file. A
//! decoder that crashes or hangs is another process, so it harms nothing here; no process outlives its
//! reader. Never shows a password.

mod address;
mod backoff;
mod decoder;
mod error;
mod ffmpeg;
mod fragments;
mod frame;
mod input_pipe;
mod live_writer;
mod nut;
mod opener;
#[cfg(unix)]
mod pipe_wait;
mod pixel_limit;
mod probe;
mod process;
mod redact;
mod resume_point;
mod resumed;
mod stream;
mod window;
mod writer;

pub use address::VideoAddress;
pub(crate) use address::{STREAM_EXTENSIONS, VIDEO_EXTENSIONS};
pub use backoff::Backoff;
pub use decoder::{DecodeOptions, Decoder, OpenDecoder};
pub use error::VideoError;
pub use ffmpeg::{FFMPEG_VARIABLE, Ffmpeg};
pub use frame::VideoFrame;
pub use live_writer::{LiveReport, LiveTarget, LiveWriter};
pub use nut::{NutError, NutReader, NutVideo, NutWriter, TimeBase};
pub use opener::FfmpegOpener;
pub use probe::VideoInfo;
pub(crate) use redact::{Redactor, redact_url};
pub use resume_point::ResumePoint;
pub use stream::{
    Delivery, Next, RecentShortest, StreamObserver, StreamOptions, StreamState, StreamStatus,
    VideoStream,
};
pub use window::{Window, WindowEnd};
pub use writer::{Finished, VideoPart, VideoWriter, WriterOptions, WriterState};
