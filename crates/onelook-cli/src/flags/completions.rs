//! Flags of `onelook completions`.

use clap::Args;
use clap_complete::Shell;

/// Prints completions for a shell.
#[derive(Args)]
pub struct CompletionsArgs {
    /// Which shell.
    #[arg(value_enum)]
    pub shell: Shell,
}
