//! The command line: what was typed becomes what it means, then a command does it.
//!
//! Exit codes: 0 ok, 1 failed, 2 usage, 130 and 143 ended by Ctrl-C and SIGTERM.

mod batch_job;
mod command;
mod console;
mod delivery;
mod durable_file;
mod failure;
mod flags;
mod options;
mod output;
mod plot;
mod signals;
mod source_run;

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Instant;

use console::Console;

fn main() -> ExitCode {
    let started = Instant::now();
    let words: Vec<OsString> = std::env::args_os().collect();
    let cli = match flags::parse(&words) {
        Ok(cli) => cli,
        Err(error) => return Console::new(flags::wants_json(&words), false).answer(&error),
    };
    let console = Console::new(cli.global.json, cli.global.quiet);
    match command::run(cli.command, &console, started) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => console.fail(&failure),
    }
}
