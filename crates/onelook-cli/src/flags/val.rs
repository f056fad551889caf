//! Flags of `onelook val`.

use std::path::PathBuf;

use clap::Args;

use super::fit::FitArgs;
use super::model::ModelArgs;
use super::value::boolean;

/// Measures how well a model finds what a data set says is there.
#[derive(Args)]
pub struct ValArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// Data set: COCO annotations (.json) or a YOLO data set (.yaml).
    #[arg(long, value_name = "FILE")]
    pub data: PathBuf,
    /// Directory of the pictures [default: as the data set says]
    #[arg(long, value_name = "DIR")]
    pub images: Option<PathBuf>,
    #[command(flatten)]
    pub fit: FitArgs,
    /// Pad every picture to a square; the same as --no-rect.
    #[arg(long, num_args = 0..=1, default_value = "false", default_missing_value = "true",
          value_parser = boolean, value_name = "BOOL", hide_default_value = true)]
    pub square: bool,
    /// Save all predictions to predictions.json in COCO's form.
    #[arg(long, num_args = 0..=1, default_value = "false", default_missing_value = "true",
          value_parser = boolean, value_name = "BOOL", hide_default_value = true)]
    pub save_json: bool,
    /// Save plots of precision over recall and of confusions.
    #[arg(long, num_args = 0..=1, default_value = "true", default_missing_value = "true",
          value_parser = boolean, value_name = "BOOL")]
    pub plots: bool,
    /// Save anything at all; --no-save writes no files.
    #[arg(long, num_args = 0..=1, default_value = "true", default_missing_value = "true",
          value_parser = boolean, value_name = "BOOL")]
    pub save: bool,
    /// Directory of the runs [default: runs/TASK]
    #[arg(long, value_name = "DIR")]
    pub project: Option<PathBuf>,
    /// Name of the run's directory; a number is added when it is there already.
    #[arg(long, default_value = "val", value_name = "NAME")]
    pub name: String,
    /// Write into the directory even if it is there.
    #[arg(long, num_args = 0..=1, default_value = "false", default_missing_value = "true",
          value_parser = boolean, value_name = "BOOL", hide_default_value = true)]
    pub exist_ok: bool,
}
