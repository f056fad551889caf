//! The command line as a whole: the commands, and what holds for all of them.

use std::ffi::{OsStr, OsString};

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use super::bench::BenchArgs;
use super::completions::CompletionsArgs;
use super::config_file::{self, Settings};
use super::convert::ConvertArgs;
use super::count::CountArgs;
use super::dialect::normalise;
use super::doctor::DoctorArgs;
use super::explain::ExplainArgs;
use super::gpu_check::GpuCheckArgs;
use super::health::HealthArgs;
use super::job;
use super::jobs::JobsArgs;
use super::models::ModelsArgs;
use super::predict::PredictArgs;
use super::serve::ServeArgs;
use super::switch::with_switches;
use super::track::TrackArgs;
use super::val::ValArgs;
use super::value::boolean;
use super::verify::VerifyArgs;

/// Finds objects in images with YOLO models. One binary, no Python.
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
    #[arg(long, global = true, display_order = 900)]
    pub json: bool,
    /// Print results only, without remarks and progress bars.
    #[arg(long, short, global = true, display_order = 901)]
    pub quiet: bool,
}

/// The commands, a file each.
#[derive(Subcommand)]
pub enum Command {
    /// Finds objects in images and videos.
    Predict(Box<PredictArgs>),
    /// Follows objects from frame to frame.
    Track(Box<TrackArgs>),
    /// Serves models over HTTP and gRPC, with a web page.
    Serve(Box<ServeArgs>),
    /// Measures a model's accuracy on a data set.
    Val(Box<ValArgs>),
    /// Compares the boxes of two models, devices or recordings on the same images.
    Verify(Box<VerifyArgs>),
    /// Counts crossings of lines and stays in zones, on videos and over recorded tracks.
    Count(Box<CountArgs>),
    /// Shows and ends batch jobs (predict --manifest).
    Jobs(JobsArgs),
    /// Writes a model in the native format, which loads fastest.
    Convert(ConvertArgs),
    /// Lists, fetches and shows models.
    Models(ModelsArgs),
    /// Shows what runs and why: graph, plan, memory, kernels.
    Explain(ExplainArgs),
    /// Measures the time per node and in total.
    Bench(BenchArgs),
    /// Shows the devices, which one is chosen and why, and runs a test.
    #[command(visible_alias = "self-check")]
    Doctor(DoctorArgs),
    /// Asks a running server whether it is ready.
    Health(HealthArgs),
    /// Checks an NVIDIA GPU: every kernel, whole networks, times.
    GpuCheck(GpuCheckArgs),
    /// Prints completions for a shell.
    Completions(CompletionsArgs),
    /// Prints the manual page.
    Man,
}

/// The declarations of all commands and flags: for the parser, the help, the completions, the
/// manual page and the dialect.
pub fn declarations() -> clap::Command {
    config_file::with_variables(with_switches(Cli::command()))
}

/// The command line, from words in either dialect.
///
/// # Errors
/// The words make no sense, or they ask for help or the version.
pub fn parse(words: &[OsString]) -> Result<Cli, clap::Error> {
    let mut declared = declarations();
    declared.build();
    let words = normalise(&declared, words)
        .map_err(|reason| declared.clone().error(ErrorKind::InvalidValue, reason))?;
    let parsed = declared.clone().try_get_matches_from(words.clone());
    let mut matches = parsed.map_err(|error| match config_file::variable_of(&error) {
        Some(name) => {
            let reason = format!("{name}: {}", reason(&error));
            declared.clone().error(error.kind(), reason)
        }
        None => error,
    })?;
    let mut settings = Settings::new();
    if let Some(path) = config_file::named(&matches) {
        let refused = |kind, reason| declared.clone().error(kind, reason);
        settings = config_file::read(&declared, path)
            .map_err(|reason| refused(ErrorKind::InvalidValue, reason))?;
        let words = config_file::with_settings(&declared, &matches, &words, &settings);
        // The words were understood without the file: what is wrong now is in the file.
        let parsed = declared.clone().try_get_matches_from(words);
        matches = parsed.map_err(|error| {
            let reason = format!("'{}': {}", path.display(), reason(&error));
            refused(error.kind(), reason)
        })?;
    }
    if let Some(("predict", predict)) = matches.subcommand() {
        job::check(predict).map_err(|reason| {
            let predict = declared.find_subcommand_mut("predict");
            let predict = predict.expect("it was matched");
            predict.error(ErrorKind::ArgumentConflict, reason)
        })?;
    }
    let cli = Cli::from_arg_matches_mut(&mut matches);
    let mut cli = cli.map_err(|error| error.format(&mut declared))?;
    if let Command::Serve(args) = &mut cli.command {
        args.settings = settings;
    }
    Ok(cli)
}

/// What is wrong, without advice on how to type it.
fn reason(error: &clap::Error) -> String {
    let text = error.to_string();
    let reason = text.split("\n\n").next().unwrap_or_default();
    reason.trim_start_matches("error: ").trim().to_owned()
}

/// Variables that begin as those of flags do, and belong to none.
pub fn unknown_variables() -> Vec<String> {
    config_file::unknown_variables(&declarations())
}

/// Whether the words ask for JSON; needed where they cannot be parsed.
pub fn wants_json(words: &[OsString]) -> bool {
    let asks = |word: &OsStr| {
        let word = word.to_str()?;
        let value = word
            .strip_prefix("--")
            .unwrap_or(word)
            .strip_prefix("json")?;
        match value.strip_prefix('=') {
            Some(value) => boolean(value).ok(),
            None => Some(value.is_empty()),
        }
    };
    words.iter().filter_map(|word| asks(word)).next_back() == Some(true)
}
