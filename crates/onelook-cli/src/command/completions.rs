//! `onelook completions`: a completion script for a shell.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::args::Cli;
use crate::console::write_result;
use crate::failure::Failure;

/// Prints completions for a shell.
#[derive(Args)]
pub struct CompletionsArgs {
    /// Which shell.
    #[arg(value_enum)]
    pub shell: Shell,
}

pub fn run(args: &CompletionsArgs) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "onelook", &mut script);
    write_result(&String::from_utf8_lossy(&script));
    Ok(())
}
