//! `onelook jobs`: how far batch jobs are, and ending them. All that it knows stands beside their results.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::batch_job::{ShardStatus, shards};
use crate::console::Console;
use crate::failure::Failure;
use crate::flags::{JobPlaces, JobsArgs, JobsCommand};

const POLL: Duration = Duration::from_millis(500);

/// How long a program may take to end a part's images that it has in hand.
const CANCEL_POLLS: usize = 120;

pub fn run(args: &JobsArgs, console: &Console) -> Result<(), Failure> {
    match &args.command {
        JobsCommand::List(places) => list(places, console),
        JobsCommand::Follow(places) => follow(places, console),
        JobsCommand::Cancel(places) => cancel(places, console),
    }
}

fn all(places: &JobPlaces) -> Result<Vec<(PathBuf, Vec<ShardStatus>)>, Failure> {
    let found = places.out.iter().map(|out| Ok((out.clone(), shards(out)?)));
    found.collect()
}

fn list(places: &JobPlaces, console: &Console) -> Result<(), Failure> {
    let found = all(places)?;
    console.line(format!(
        "{:<9} {:<10} {:>12} {:>12} {:>8} {:>12}  out",
        "shard", "state", "done", "images", "failed", "objects"
    ))?;
    let mut values = Vec::new();
    for (out, shard) in found
        .iter()
        .flat_map(|(out, shards)| shards.iter().map(move |it| (out, it)))
    {
        console.line(format!(
            "{:<9} {:<10} {:>12} {:>12} {:>8} {:>12}  {}",
            format!("{}/{}", shard.shard.index, shard.shard.count),
            shard.state(),
            shard.done.images,
            shard.images,
            shard.done.failed,
            shard.done.objects,
            out.display()
        ))?;
        values.push(json!({
            "out": out.display().to_string(),
            "shard": shard.shard.index,
            "shards": shard.shard.count,
            "state": shard.state(),
            "images": shard.images,
            "done": shard.done.images,
            "failed": shard.done.failed,
            "objects": shard.done.objects,
            "process": shard.process,
        }));
    }
    console.value(&Value::Array(values))
}

fn follow(places: &JobPlaces, console: &Console) -> Result<(), Failure> {
    let mut bar = None;
    loop {
        let found = all(places)?;
        let shards = || found.iter().flat_map(|(_, shards)| shards);
        let images: u64 = shards().map(|it| it.images).sum();
        let done: u64 = shards().map(|it| it.done.images).sum();
        let bar = bar.get_or_insert_with(|| console.bar(images as usize, "predicting"));
        bar.set_position(done);
        if shards().any(|it| it.is_running) {
            thread::sleep(POLL);
            continue;
        }
        bar.finish_and_clear();
        console.value(&json!({"images": images, "done": done}))?;
        console.line(format!("{done} of {images} images are done"))?;
        return match done == images {
            true => Ok(()),
            false => Err(Failure::failed(
                "job",
                "nobody is at the job any more, and it is not complete: the same command with --resume goes on",
            )),
        };
    }
}

fn cancel(places: &JobPlaces, console: &Console) -> Result<(), Failure> {
    let mut told = false;
    for _ in 0..CANCEL_POLLS {
        let found = all(places)?;
        let running: Vec<&ShardStatus> = found
            .iter()
            .flat_map(|(_, shards)| shards)
            .filter(|it| it.is_running)
            .collect();
        if running.is_empty() {
            return console.line(match told {
                true => "ended; --resume goes on",
                false => "nobody is at it",
            });
        }
        if !told {
            for shard in running {
                shard.end()?;
            }
            told = true;
        }
        thread::sleep(POLL);
    }
    Err(Failure::failed(
        "job",
        "the programs were asked to end, and have not yet: see `onelook jobs list`",
    ))
}
