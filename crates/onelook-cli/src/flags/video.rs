//! Flags that say how videos and live streams are read.

use std::path::PathBuf;

use clap::Args;

use super::value::{frame_rate, hardware_decoder, seconds};

/// How videos and live streams are read.
#[derive(Args, Clone, Default)]
pub struct VideoArgs {
    /// Take every N-th frame of a video.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub vid_stride: u32,
    /// Take every frame of a live stream, even late, instead of the newest only.
    #[arg(long)]
    pub stream_buffer: bool,
    /// Of several live streams at once, leave out frames that have waited for more seconds [default: none]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub max_age: Option<f64>,
    /// Of several live streams at once, run at most so many frames a second of each, evenly [default: all]
    #[arg(long, value_name = "FPS", value_parser = frame_rate)]
    pub max_fps: Option<f64>,
    /// Have ffmpeg make the frames of videos smaller, so that the longer side has N pixels: cheaper where frames are
    /// large. Everything is then of that size, boxes and saved videos too, and boxes differ a little [default: off]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(32..=16384))]
    pub decode_size: Option<u32>,
    /// Decode videos on a GPU: auto takes what ffmpeg finds, and the CPU where it finds nothing; a name, such
    /// as vaapi, cuda or videotoolbox, that one only. Pixels may differ a little [default: none]
    #[arg(long, value_name = "auto|none|NAME", value_parser = hardware_decoder)]
    pub hwaccel: Option<String>,
    /// ffmpeg, which reads videos, or the directory of it and ffprobe [default: ONELOOK_FFMPEG, or
    /// what is on the PATH]
    #[arg(long, value_name = "PATH")]
    pub ffmpeg: Option<PathBuf>,
}
