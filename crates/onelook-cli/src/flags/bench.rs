//! Flags of `onelook bench`.

use clap::Args;

use super::model::ModelArgs;
use super::value::{ImageSize, image_size};

/// Measures the time per node and in total.
#[derive(Args)]
pub struct BenchArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// Size of the input: 640, or height and width as 480,640 [default: the model's]
    #[arg(long, value_parser = image_size, value_name = "PIXELS")]
    pub imgsz: Option<ImageSize>,
    /// Images in one run.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub batch: usize,
    /// Runs that are measured.
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub runs: usize,
    /// Runs before those that are measured.
    #[arg(long, default_value_t = 3, value_name = "N")]
    pub warmup: usize,
    /// Print the time per node.
    #[arg(long, default_value_t = true)]
    pub nodes: bool,
}
