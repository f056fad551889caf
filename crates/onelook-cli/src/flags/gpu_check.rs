//! Flags of `onelook gpu-check`.

use std::path::PathBuf;

use clap::Args;

use super::model::ModelArgs;

/// Checks an NVIDIA GPU: every kernel against f64 and the interpreter, the network's maps and the
/// boxes on pictures against the CPU engine; measures launches, memory, and the way from pictures to
/// boxes as a plain graph and with launches that start early. Needs nothing but the driver.
#[derive(Args)]
pub struct GpuCheckArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// Pictures on which boxes are compared, 32 at most: files, directories, globs, lists (.txt),
    /// addresses, or - for standard input; several by repeating the flag [default: one that comes
    /// with the program]
    #[arg(long, short, allow_hyphen_values = true, value_name = "SOURCE")]
    pub source: Vec<String>,
    /// Also write everything that was found to this file, as JSON, after each step anew.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Where random operands start, to repeat a check [default: by the clock]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
}
