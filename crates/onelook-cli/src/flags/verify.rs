//! Flags of `onelook verify`.

use std::path::PathBuf;

use clap::Args;

use super::fit::FitArgs;
use super::model::ModelArgs;

/// Compares two routes from the same pictures to boxes.
#[derive(Args)]
pub struct VerifyArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// The other route: a recorded file (.json of a reference, .jsonl of predict --json), another
    /// model file such as an ONNX export, a device (reference, cpu), or a precision (f16, int8).
    #[arg(long, default_value = "reference", value_name = "ROUTE")]
    pub against: String,
    /// Pictures: files, directories, globs, lists, addresses.
    #[arg(long, short, required = true, value_name = "SOURCE")]
    pub source: Vec<String>,
    #[command(flatten)]
    pub fit: FitArgs,
    /// Most pixels that a box side may differ by.
    #[arg(long, default_value_t = 0.5, value_name = "PIXELS")]
    pub max_pixels: f32,
    /// Most that a confidence may differ by.
    #[arg(long, default_value_t = 0.002, value_name = "SCORE")]
    pub max_score: f32,
    /// Write a page that shows the pictures that differ most.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}
