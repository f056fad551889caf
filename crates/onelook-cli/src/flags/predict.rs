//! Flags of `onelook predict`.

use clap::Args;

use super::fit::FitArgs;
use super::model::ModelArgs;
use super::save::SaveArgs;
use super::value::boolean;

/// Finds objects on pictures.
#[derive(Args)]
pub struct PredictArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// Pictures: files, directories, globs, lists (.txt), addresses, or - for standard input;
    /// several by repeating the flag.
    #[arg(
        long,
        short,
        required = true,
        allow_hyphen_values = true,
        value_name = "SOURCE"
    )]
    pub source: Vec<String>,
    #[command(flatten)]
    pub fit: FitArgs,
    #[command(flatten)]
    pub save: SaveArgs,
    /// Print a line per picture.
    #[arg(long, num_args = 0..=1, default_value = "true", default_missing_value = "true",
          value_parser = boolean, value_name = "BOOL", hide_default_value = true)]
    pub verbose: bool,
}
