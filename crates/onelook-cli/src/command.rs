//! The commands, a file each: its arguments as typed, what they mean, and how it is done.

pub mod bench;
pub mod completions;
pub mod convert;
pub mod count;
pub mod doctor;
pub mod explain;
pub mod gpu_check;
pub mod health;
pub mod jobs;
mod man;
pub mod models;
pub mod predict;
pub mod serve;
pub mod track;
pub mod val;
pub mod verify;

use std::time::Instant;

use crate::console::Console;
use crate::failure::Failure;
use crate::flags::Command;

/// Runs the command; `started` is when the process began.
pub fn run(command: Command, console: &Console, started: Instant) -> Result<(), Failure> {
    match command {
        Command::Predict(args) => predict::run(&args, console),
        Command::Track(args) => track::run(&args, console),
        Command::Serve(args) => serve::run(&args, console, started),
        Command::Val(args) => val::run(&args, console),
        Command::Verify(args) => verify::run(&args, console),
        Command::Count(args) => count::run(&args, console),
        Command::Jobs(args) => jobs::run(&args, console),
        Command::Convert(args) => convert::run(&args, console),
        Command::Models(args) => models::run(&args, console),
        Command::Explain(args) => explain::run(&args, console),
        Command::Bench(args) => bench::run(&args, console),
        Command::Doctor(args) => doctor::run(&args, console),
        Command::GpuCheck(args) => gpu_check::run(&args, console),
        Command::Health(args) => health::run(&args, console),
        Command::Completions(args) => completions::run(&args, console),
        Command::Man => man::run(console),
    }
}
