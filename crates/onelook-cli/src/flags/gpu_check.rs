//! Flags of `onelook gpu-check`.

use std::path::PathBuf;

use clap::Args;

use super::limit::LimitArgs;
use super::model::ModelArgs;

/// Checks an NVIDIA GPU: every kernel against f64 and the interpreter, the network's maps and the
/// boxes in images against the CPU engine; measures launches, memory, and the time from images to
/// boxes, as a plain graph and with launches that start early. Needs only the driver.
#[derive(Args)]
pub struct GpuCheckArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// Images on which boxes are compared, 32 at most: files, directories, globs, lists (.txt),
    /// URLs, or - for standard input; several by repeating the flag [default: a built-in
    /// image]
    #[arg(long, short, allow_hyphen_values = true, value_name = "SOURCE")]
    pub source: Vec<String>,
    #[command(flatten)]
    pub limits: LimitArgs,
    /// Also write all findings to this file, as JSON; rewritten after each step.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Seed of the random operands, to repeat a check [default: from the clock]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
}
