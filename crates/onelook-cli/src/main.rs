//! The command line: what was typed becomes what it means, then a command does it.
//!
//! Exit codes: 0 ok, 1 failed, 2 usage.

mod command;
mod console;
mod failure;
mod flags;
mod options;
mod output;
mod plot;

use std::ffi::OsStr;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;

use console::Console;
use failure::Failure;
use flags::Cli;

fn main() -> ExitCode {
    let started = Instant::now();
    let typed = flags::normalise(std::env::args_os());
    let wants_json = typed.iter().any(|word| is_json(word));
    let cli = match Cli::try_parse_from(&typed) {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() && wants_json => {
            return Console::new(true, false).fail(&Failure::typed(&error));
        }
        Err(error) => error.exit(),
    };
    let console = Console::new(cli.global.json, cli.global.quiet);
    match command::run(cli.command, &console, started) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => console.fail(&failure),
    }
}

/// Whether this word asks for JSON; needed where parsing failed.
fn is_json(word: &OsStr) -> bool {
    let value = word.to_str().and_then(|word| word.strip_prefix("--json"));
    value.is_some_and(|value| {
        value.is_empty() || value.strip_prefix('=').map(flags::boolean) == Some(Ok(true))
    })
}
