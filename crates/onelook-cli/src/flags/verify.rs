//! Flags of `onelook verify`.

use std::path::PathBuf;

use clap::Args;

use super::fit::FitArgs;
use super::model::ModelArgs;
use super::value::{byte_size, fraction, megapixels};

/// Compares the boxes of two models, devices or recordings on the same images.
#[derive(Args)]
pub struct VerifyArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// What to compare with: a recorded file (.json of a reference, .jsonl of predict --json), another
    /// model file such as an ONNX export, a device (reference, cpu), or a precision (f16, int8).
    #[arg(long, default_value = "reference", value_name = "WHAT")]
    pub against: String,
    /// Images: files, directories, globs, lists (.txt), URLs.
    #[arg(long, short, required = true, value_name = "SOURCE")]
    pub source: Vec<String>,
    #[command(flatten)]
    pub fit: FitArgs,
    /// Most pixels that a coordinate may differ by, such as an edge of a box.
    #[arg(long, default_value_t = 0.5, value_name = "PIXELS")]
    pub max_pixels: f32,
    /// Most that a confidence may differ by.
    #[arg(long, default_value_t = 0.002, value_name = "SCORE")]
    pub max_score: f32,
    /// Least overlap (IoU) of the masks of one object, where both routes have masks of one size.
    #[arg(long, default_value_t = 0.99, value_parser = fraction, value_name = "IOU")]
    pub min_mask_iou: f32,
    /// Most megapixels of one image [default: 179]
    #[arg(long, value_parser = megapixels, value_name = "MP")]
    pub max_image_pixels: Option<u64>,
    /// Most bytes of one image file, such as 512MiB [default: 256MiB]
    #[arg(long, value_parser = byte_size, value_name = "BYTES")]
    pub max_bytes: Option<u64>,
    /// Write an HTML page that shows the images that differ most.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}
