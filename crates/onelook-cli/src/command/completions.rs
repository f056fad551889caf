//! `onelook completions`: a completion script for a shell.

use clap::CommandFactory;

use crate::console::write_result;
use crate::failure::Failure;
use crate::flags::Cli;
use crate::flags::CompletionsArgs;

pub fn run(args: &CompletionsArgs) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "onelook", &mut script);
    write_result(&String::from_utf8_lossy(&script));
    Ok(())
}
