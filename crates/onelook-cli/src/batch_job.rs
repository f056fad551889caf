//! Images through a model, whose results are kept part by part: `predict --manifest` for a long list, `predict --watch`
//! for a directory to which images come.
//!
//! A manifest is cut into shards, a shard into parts of so many lines. The results of a part get their name
//! when they are whole and on the disk, so a job that was ended at any moment goes on with the parts that are
//! not there, and each line of the manifest has one row. An image that cannot be read has a row too, with the
//! reason.

mod detach;
mod host;
mod identity;
mod manifest;
mod output;
#[cfg(any(feature = "parquet", test))]
mod parquet_file;
#[cfg(not(any(feature = "parquet", test)))]
#[path = "batch_job/parquet_missing.rs"]
mod parquet_file;
mod part_files;
mod row;
mod runner;
mod status;
mod watch;

use std::path::Path;
use std::time::Duration;

use serde_json::json;

pub use status::{ShardStatus, shards};

use crate::console::Console;
use crate::failure::Failure;
use crate::flags::{PredictArgs, Shard};
use identity::JobIdentity;
use manifest::Manifest;
use output::JobOutput;
use part_files::{PartFiles, PartRecord};
use runner::Runner;

/// Runs the job that the flags name; `out` is where its results go.
pub fn run(out: &Path, args: &PredictArgs, console: &Console) -> Result<(), Failure> {
    let job = &args.job;
    if job.part_size == 0 {
        return Err(Failure::Usage(
            "--part-size: expected at least 1".to_owned(),
        ));
    }
    let shard = job.shard.unwrap_or_default();
    let output = JobOutput::new(out, job.out_format, shard)?;
    match (&job.manifest, &job.watch) {
        (Some(manifest), _) => run_manifest(manifest, &output, shard, args, console),
        (None, Some(directory)) => run_watch(directory, &output, args, console),
        (None, None) => unreachable!("the parser requires one of them beside --out"),
    }
}

fn run_watch(
    directory: &Path,
    output: &JobOutput,
    args: &PredictArgs,
    console: &Console,
) -> Result<(), Failure> {
    if output.file().is_some() {
        return Err(Failure::Usage(
            "--watch has no end at which a file would be whole: pass a directory as --out"
                .to_owned(),
        ));
    }
    let identity = JobIdentity::of_watch(directory, output, args, console)?;
    let part_size = args.job.part_size;
    let resume = args.inference.save.resume;
    let mut parts = PartFiles::open(output, usize::MAX, &identity, part_size, resume)?;
    let runner = Runner::new(args, console.bar(0, "predicting"), console)?;
    let every = Duration::from_secs_f64(args.job.watch_every);
    watch::watch(directory, every, part_size, &mut parts, &runner, console)
}

/// Runs what is not done of this shard of the manifest.
fn run_manifest(
    manifest: &Path,
    output: &JobOutput,
    shard: Shard,
    args: &PredictArgs,
    console: &Console,
) -> Result<(), Failure> {
    let (job, resume) = (&args.job, args.inference.save.resume);
    if output.is_finished() {
        return match resume {
            true => {
                console.note(format!("{output} is complete"));
                Ok(())
            }
            false => Err(Failure::Usage(format!(
                "{output} exists: remove it or choose another name"
            ))),
        };
    }
    if job.detach && !detach::is_detached() {
        return detach::start(output, console);
    }
    detach::leave_terminal();
    let manifest = Manifest::read(manifest, shard)?;
    let identity = JobIdentity::of_manifest(&manifest, shard, output, args, console)?;
    let images = manifest.lines.len();
    let mut parts = PartFiles::open(output, images, &identity, job.part_size, resume)?;
    let (before, missing) = (parts.totals(), parts.missing());
    if !missing.is_empty() {
        if before.images > 0 {
            console.note(format!(
                "going on behind {} of {images} images",
                before.images
            ));
        }
        let bar = console.bar(images, "predicting");
        let runner = Runner::new(args, bar, console)?;
        runner.bar.set_position(before.images);
        let metadata = runner.metadata();
        for part in missing {
            let lines = parts.lines(part);
            let first = manifest.first + lines.start;
            let rows = runner.run(first, &manifest.lines[lines], &manifest.home)?;
            if let Some(signal) = runner.interrupt.received() {
                runner.bar.finish_and_clear();
                let done = parts.totals().images;
                return Err(Failure::Interrupted {
                    signal,
                    message: format!(
                        "ended by a signal after {done} of {images} images; the same command with --resume goes on"
                    ),
                });
            }
            parts.write(part, &rows, Vec::new(), &metadata)?;
        }
        runner.bar.finish_and_clear();
    }
    let totals = parts.finish()?;
    tell(&totals, &before, output, console)
}

/// Says what the whole shard came to.
fn tell(
    totals: &PartRecord,
    before: &PartRecord,
    output: &JobOutput,
    console: &Console,
) -> Result<(), Failure> {
    console.value(&json!({
        "images": totals.images,
        "images_before": before.images,
        "failed": totals.failed,
        "objects": totals.objects,
        "out": output.path().display().to_string(),
    }))?;
    console.line(format!(
        "{} images, {} objects; results saved to {output}",
        totals.images, totals.objects
    ))?;
    match totals.failed {
        0 => Ok(()),
        failed => Err(Failure::failed(
            "image",
            format!(
                "{failed} of {} images could not be used: their rows say why",
                totals.images
            ),
        )),
    }
}
