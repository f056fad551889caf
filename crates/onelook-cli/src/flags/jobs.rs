//! Flags of `onelook jobs`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Shows and ends batch jobs (`predict --manifest`).
#[derive(Args)]
pub struct JobsArgs {
    #[command(subcommand)]
    pub command: JobsCommand,
}

/// What to do with jobs.
#[derive(Subcommand)]
pub enum JobsCommand {
    /// Lists the shards of jobs, and how far each is.
    List(JobPlaces),
    /// Shows how far jobs are until nobody is at them any more; fails if they are not complete then.
    Follow(JobPlaces),
    /// Ends the programs that are at jobs on this machine. What is done is kept: --resume goes on.
    Cancel(JobPlaces),
}

/// Where jobs write their results.
#[derive(Args)]
pub struct JobPlaces {
    /// What was given as --out.
    #[arg(required = true, value_name = "OUT")]
    pub out: Vec<PathBuf>,
}
