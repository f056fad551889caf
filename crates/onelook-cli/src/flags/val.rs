//! Flags of `onelook val`.

use std::path::PathBuf;

use clap::Args;
use onelook::dataset::Split;

use super::fit::FitArgs;
use super::limit::LimitArgs;
use super::model::ModelArgs;
use super::tile::TileArgs;

/// Measures a model's accuracy on a data set.
#[derive(Args)]
pub struct ValArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// Data set: COCO annotations (.json) or a YOLO data set (.yaml).
    #[arg(long, value_name = "FILE")]
    pub data: PathBuf,
    /// Directory of the images [default: as the data set says]
    #[arg(long, value_name = "DIR")]
    pub images: Option<PathBuf>,
    /// Part of a YOLO data set: train, val or test [default: val]
    #[arg(long, value_name = "SPLIT")]
    pub split: Option<Split>,
    #[command(flatten)]
    pub fit: FitArgs,
    #[command(flatten)]
    pub tile: TileArgs,
    #[command(flatten)]
    pub limits: LimitArgs,
    /// Print a line per class.
    #[arg(long, default_value_t = true)]
    pub verbose: bool,
    /// Pad every image to a square; the same as --no-rect.
    #[arg(long)]
    pub square: bool,
    /// Save all predictions to predictions.json in COCO's format.
    #[arg(long)]
    pub save_json: bool,
    /// Save plots: precision over recall, and the confusion matrix.
    #[arg(long, default_value_t = true)]
    pub plots: bool,
    /// Save files; --no-save writes none.
    #[arg(long, default_value_t = true)]
    pub save: bool,
    /// Directory of the runs [default: runs/TASK]
    #[arg(long, value_name = "DIR")]
    pub project: Option<PathBuf>,
    /// Name of the run's directory; a number is added if it exists.
    #[arg(long, default_value = "val", value_name = "NAME")]
    pub name: String,
    /// Write into the directory even if it exists.
    #[arg(long)]
    pub exist_ok: bool,
}
