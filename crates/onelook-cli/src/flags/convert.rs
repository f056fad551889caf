//! Flags of `onelook convert`.

use std::path::PathBuf;

use clap::Args;

use super::model::ModelArgs;

/// Writes a model in the native format, which loads fastest.
#[derive(Args)]
pub struct ConvertArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// File to write [default: the model's name with .safetensors]
    #[arg(long, short, alias = "output", value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Replace the file if it exists.
    #[arg(long)]
    pub force: bool,
}
