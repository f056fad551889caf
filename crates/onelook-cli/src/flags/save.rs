//! Flags that say what to keep of a run.

use std::path::PathBuf;

use clap::Args;

use super::value::boolean;

/// What to keep of a run, and where.
#[derive(Args, Clone)]
#[command(next_help_heading = "Output")]
pub struct SaveArgs {
    /// Save annotated pictures; --no-save writes no files.
    #[arg(long, num_args = 0..=1, default_value = "true", default_missing_value = "true",
          value_parser = boolean, value_name = "BOOL")]
    pub save: bool,
    /// Save labels/NAME.txt: class, centre and size as fractions of the picture.
    #[arg(long, num_args = 0..=1, default_value = "false", default_missing_value = "true",
          value_parser = boolean, value_name = "BOOL", hide_default_value = true)]
    pub save_txt: bool,
    /// Add the confidence to the labels.
    #[arg(long, num_args = 0..=1, default_value = "false", default_missing_value = "true",
          value_parser = boolean, value_name = "BOOL", hide_default_value = true)]
    pub save_conf: bool,
    /// Save what is inside each box to crops/CLASS/.
    #[arg(long, num_args = 0..=1, default_value = "false", default_missing_value = "true",
          value_parser = boolean, value_name = "BOOL", hide_default_value = true)]
    pub save_crop: bool,
    /// Save all boxes to predictions.csv.
    #[arg(long, num_args = 0..=1, default_value = "false", default_missing_value = "true",
          value_parser = boolean, value_name = "BOOL", hide_default_value = true)]
    pub save_csv: bool,
    /// Save the lines of --json to predictions.jsonl.
    #[arg(long, num_args = 0..=1, default_value = "false", default_missing_value = "true",
          value_parser = boolean, value_name = "BOOL", hide_default_value = true)]
    pub save_json: bool,
    /// Write class names on boxes.
    #[arg(long, num_args = 0..=1, default_value = "true", default_missing_value = "true",
          value_parser = boolean, value_name = "BOOL")]
    pub show_labels: bool,
    /// Write confidences on boxes.
    #[arg(long, num_args = 0..=1, default_value = "true", default_missing_value = "true",
          value_parser = boolean, value_name = "BOOL")]
    pub show_conf: bool,
    /// Draw boxes.
    #[arg(long, num_args = 0..=1, default_value = "true", default_missing_value = "true",
          value_parser = boolean, value_name = "BOOL")]
    pub show_boxes: bool,
    /// Width of the boxes' lines in pixels [default: by the size of the picture]
    #[arg(long, value_name = "PIXELS")]
    pub line_width: Option<usize>,
    /// Directory of the runs [default: runs/TASK]
    #[arg(long, value_name = "DIR")]
    pub project: Option<PathBuf>,
    /// Name of the run's directory; a number is added when it is there already.
    #[arg(long, default_value = "predict", value_name = "NAME")]
    pub name: String,
    /// Write into the directory even if it is there.
    #[arg(long, num_args = 0..=1, default_value = "false", default_missing_value = "true",
          value_parser = boolean, value_name = "BOOL", hide_default_value = true)]
    pub exist_ok: bool,
}
