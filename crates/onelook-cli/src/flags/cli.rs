//! The command line as a whole: the commands, and what holds for all of them.

use clap::{Args, Parser, Subcommand};

use super::bench::BenchArgs;
use super::completions::CompletionsArgs;
use super::convert::ConvertArgs;
use super::doctor::DoctorArgs;
use super::explain::ExplainArgs;
use super::gpu_check::GpuCheckArgs;
use super::models::ModelsArgs;
use super::predict::PredictArgs;
use super::serve::ServeArgs;
use super::val::ValArgs;
use super::value::boolean;
use super::verify::VerifyArgs;

/// Finds objects on pictures with YOLO models. One binary, no Python.
///
/// Flags can be written both ways: `--conf 0.25` or `conf=0.25`. Exit codes: 0 ok, 1 failed,
/// 2 usage.
#[derive(Parser)]
#[command(
    name = "onelook",
    version,
    max_term_width = 100,
    args_override_self = true
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// What holds for every command.
    #[command(flatten)]
    pub global: GlobalArgs,
}

/// What holds for every command.
#[derive(Args)]
pub struct GlobalArgs {
    /// Write results as JSON to standard output, errors as JSON to standard error.
    #[arg(long, global = true, num_args = 0..=1, require_equals = true, value_name = "BOOL",
          default_value = "false", default_missing_value = "true", value_parser = boolean,
          hide_default_value = true, hide_possible_values = true, display_order = 900)]
    pub json: bool,
    /// Say only what was asked for.
    #[arg(long, short, global = true, num_args = 0..=1, require_equals = true,
          value_name = "BOOL", default_value = "false", default_missing_value = "true",
          value_parser = boolean, hide_default_value = true, display_order = 901)]
    pub quiet: bool,
}

/// The commands, a file each.
#[derive(Subcommand)]
pub enum Command {
    /// Finds objects on pictures.
    Predict(Box<PredictArgs>),
    /// Answers over HTTP and gRPC, with a page for people.
    Serve(Box<ServeArgs>),
    /// Measures how well a model finds what a data set says is there.
    Val(Box<ValArgs>),
    /// Compares two routes from the same pictures to boxes.
    Verify(Box<VerifyArgs>),
    /// Writes a model in the native form, which loads fastest.
    Convert(ConvertArgs),
    /// Lists, fetches and shows models.
    Models(ModelsArgs),
    /// Shows what runs and why: graph, plan, memory, kernels.
    Explain(ExplainArgs),
    /// Measures the time per node and in total.
    Bench(BenchArgs),
    /// Shows which devices were found, what was chosen and why, and tries it out.
    Doctor(DoctorArgs),
    /// Checks an NVIDIA GPU: every kernel, whole networks, times.
    GpuCheck(GpuCheckArgs),
    /// Prints completions for a shell.
    Completions(CompletionsArgs),
    /// Prints the manual page.
    Man,
}
