//! Flags of `onelook explain`.

use clap::Args;

use super::model::ModelArgs;
use super::value::{ImageSize, image_size};

const PLANNED: &str = "\
With --device cuda:sm_90 (sm_75 to sm_120): what such a GPU would do, in half precision unless
--quantize says 32, with predicted times. It needs neither a GPU nor a driver.";

/// Shows what runs and why: graph, plan, memory, kernels.
#[derive(Args)]
#[command(after_help = PLANNED)]
pub struct ExplainArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// Size of the input: 640, or height and width as 480,640 [default: the model's]
    #[arg(long, value_parser = image_size, value_name = "PIXELS")]
    pub imgsz: Option<ImageSize>,
    /// Images in one run.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub batch: usize,
    /// Print the graph.
    #[arg(long, default_value_t = true)]
    pub graph: bool,
}
