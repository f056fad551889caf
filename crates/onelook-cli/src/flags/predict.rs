//! Flags of `onelook predict`.

use clap::Args;

use super::fit::FitArgs;
use super::limit::LimitArgs;
use super::model::ModelArgs;
use super::save::SaveArgs;
use super::tile::TileArgs;
use super::video::VideoArgs;

/// Finds objects in images and videos.
#[derive(Args)]
pub struct PredictArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// Images and videos: files, directories, globs, lists (.txt, .streams), URLs (http, rtsp and
    /// others), the number of a camera, or - for standard input; several by repeating the flag.
    #[arg(
        long,
        short,
        required = true,
        allow_hyphen_values = true,
        value_name = "SOURCE"
    )]
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
    pub save: SaveArgs,
    /// Print a line per image or frame.
    #[arg(long, default_value_t = true)]
    pub verbose: bool,
}
