//! `onelook completions`: a completion script for a shell.

use crate::console::Console;
use crate::failure::Failure;
use crate::flags::{CompletionsArgs, declarations};

pub fn run(args: &CompletionsArgs, console: &Console) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut declarations(), "onelook", &mut script);
    console.print(&String::from_utf8_lossy(&script))
}
