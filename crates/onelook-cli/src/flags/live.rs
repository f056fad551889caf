//! Flags that give frames out as a live stream.

use std::path::PathBuf;

use clap::Args;

/// A live stream of what is seen.
#[derive(Args, Clone, Default)]
#[command(next_help_heading = "Live stream")]
pub struct LiveArgs {
    /// Show frames with boxes in a window, which ffplay opens. Closing it ends the run as Ctrl-C does; after
    /// images the last one stays until then. Frames are left out rather than waited for.
    #[arg(long)]
    pub show: bool,
    /// Push frames with boxes to an RTSP server that takes streams, such as rtsp://127.0.0.1:8554/name of
    /// MediaMTX. Frames are left out rather than waited for. A password in the address can be seen in the list
    /// of processes.
    #[arg(long, value_name = "URL")]
    pub publish: Option<String>,
    /// Write frames with boxes to this directory as HLS: index.m3u8 and segments of two seconds.
    #[arg(long, value_name = "DIR")]
    pub hls: Option<PathBuf>,
    /// How many segments of --hls are kept.
    #[arg(long, default_value_t = 6, value_name = "N", value_parser = clap::value_parser!(u16).range(2..=1000))]
    pub hls_segments: u16,
}
