//! Flags of commands that run a model over images and videos.

use clap::Args;

use super::fit::FitArgs;
use super::limit::LimitArgs;
use super::live::LiveArgs;
use super::model::ModelArgs;
use super::save::SaveArgs;
use super::tile::TileArgs;
use super::video::VideoArgs;

/// A model, what it is run over, and what is kept.
#[derive(Args)]
pub struct InferenceArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// Images and videos: files, directories, globs, lists (.txt, .streams), URLs (http, rtsp and
    /// others), the number of a camera, or - for standard input; several by repeating the flag. Several
    /// live streams, and the videos of a .streams list, run at once, all others one after the other.
    #[arg(long, short, allow_hyphen_values = true, value_name = "SOURCE")]
    pub source: Vec<String>,
    #[command(flatten)]
    pub fit: FitArgs,
    #[command(flatten)]
    pub tile: TileArgs,
    #[command(flatten)]
    pub limits: LimitArgs,
    #[command(flatten)]
    pub video: VideoArgs,
    #[command(flatten)]
    pub live: LiveArgs,
    #[command(flatten)]
    pub save: SaveArgs,
    /// Print a line per image or frame; for count per event.
    #[arg(long, default_value_t = true)]
    pub verbose: bool,
}
