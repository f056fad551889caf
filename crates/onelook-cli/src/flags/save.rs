//! Flags that say what to keep of a run.

use std::path::PathBuf;

use clap::Args;

use super::value::{byte_size, minutes, seconds};

/// What to keep of a run, and where.
#[derive(Args, Clone)]
#[command(next_help_heading = "Output")]
pub struct SaveArgs {
    /// Save annotated images and videos; with save=False and no other save flag, no files are written.
    #[arg(long, default_value_t = true)]
    pub save: bool,
    /// Save the annotated frames of videos as images, in NAME_frames/.
    #[arg(long)]
    pub save_frames: bool,
    /// Save labels/NAME.txt (NAME_FRAME.txt for videos): class, centre and size as fractions of the
    /// image; the track's id behind them where objects are tracked.
    #[arg(long)]
    pub save_txt: bool,
    /// Add the confidence to the labels.
    #[arg(long)]
    pub save_conf: bool,
    /// Save the content of each box to crops/CLASS/.
    #[arg(long)]
    pub save_crop: bool,
    /// Save all boxes to predictions.csv.
    #[arg(long)]
    pub save_csv: bool,
    /// Save the lines of --json to predictions.jsonl.
    #[arg(long)]
    pub save_json: bool,
    /// Write class names at boxes.
    #[arg(long, default_value_t = true)]
    pub show_labels: bool,
    /// Write confidences at boxes.
    #[arg(long, default_value_t = true)]
    pub show_conf: bool,
    /// Draw boxes.
    #[arg(long, default_value_t = true)]
    pub show_boxes: bool,
    /// Line width of boxes in pixels [default: by the size of the image]
    #[arg(long, value_name = "PIXELS")]
    pub line_width: Option<usize>,
    /// Directory of the runs [default: runs/TASK]
    #[arg(long, value_name = "DIR")]
    pub project: Option<PathBuf>,
    /// Name of the run's directory; a number is added if it exists [default: the command's name]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Write into the directory even if it exists.
    #[arg(long)]
    pub exist_ok: bool,
    /// Keep the saved images, labels, crops and videos of a run below this size, such as 20GiB: the oldest go
    /// first. Not counted are videos that are not finished, and files of lines, which grow by little.
    #[arg(long, value_name = "SIZE", value_parser = byte_size)]
    pub save_quota: Option<u64>,
    /// Cut the annotated video of a live stream into files of so many minutes [default: one file; 10 with
    /// --save-quota]
    #[arg(long, value_name = "MINUTES", value_parser = minutes)]
    pub video_minutes: Option<f64>,
    /// Go on where the same command was ended by a crash, a signal or a full disk. Give it from the first
    /// run on. For manifests, and for video files that run one after the other: what they take is kept
    /// with the results until the end; what is printed or sent to receivers behind the last checkpoint
    /// comes again.
    #[arg(long)]
    pub resume: bool,
    /// Seconds between checkpoints with --resume.
    #[arg(long, default_value_t = 10.0, value_name = "SECONDS", value_parser = seconds)]
    pub checkpoint_every: f64,
}
