//! How far the shards of a job are, read from what stands beside their results.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use onelook::printable::printable_path;

use super::host::host_name;
use super::identity::JobIdentity;
use super::manifest::range;
use super::part_files::{OWN_DIRECTORY, PartRecord, read_journal, total};
use crate::failure::{Failure, refused};
use crate::flags::Shard;

/// How far a shard is.
pub struct ShardStatus {
    pub shard: Shard,
    /// Images of the shard.
    pub images: u64,
    /// What is done of it.
    pub done: PartRecord,
    /// Whether a program is at it.
    pub is_running: bool,
    /// Its number on the machine where it runs.
    pub process: Option<i32>,
    host: String,
}

impl ShardStatus {
    /// A word for it.
    pub fn state(&self) -> &'static str {
        match (self.is_running, self.done.images == self.images) {
            (true, _) => "running",
            (false, true) => "complete",
            (false, false) => "stopped",
        }
    }

    /// Asks the program that is at the shard to end.
    pub fn end(&self) -> Result<(), Failure> {
        let process = self.process.and_then(rustix::process::Pid::from_raw);
        let (Some(process), true) = (process, self.host == host_name()) else {
            let text = format!("it runs on '{}': end it there", self.host);
            return Err(Failure::failed("job", text));
        };
        rustix::process::kill_process(process, rustix::process::Signal::TERM).map_err(|error| {
            let text = format!(
                "process {} cannot be ended: {error}",
                process.as_raw_nonzero()
            );
            Failure::failed("job", text)
        })
    }
}

/// The shards of the job that writes to `out`, a directory or a file, in their order.
pub fn shards(out: &Path) -> Result<Vec<ShardStatus>, Failure> {
    let mut found = Vec::new();
    for directory in directories(out)? {
        let own = directory.join(OWN_DIRECTORY);
        let Ok(entries) = fs::read_dir(&own) else {
            continue;
        };
        for entry in entries {
            let path = entry.map_err(refused(&own))?.path();
            if path.extension().is_some_and(|it| it == "json") {
                found.extend(status(&directory, &path)?);
            }
        }
    }
    found.sort_by_key(|it| (it.shard.count, it.shard.index));
    match found.is_empty() {
        true => Err(Failure::failed(
            "job",
            format!(
                "'{}' has nothing of a job that is not complete: pass what was given as --out",
                printable_path(out)
            ),
        )),
        false => Ok(found),
    }
}

/// Where the part files are: the directory itself, or those of one file, which may have one for each shard.
fn directories(out: &Path) -> Result<Vec<PathBuf>, Failure> {
    if out.join(OWN_DIRECTORY).is_dir() {
        return Ok(vec![out.to_owned()]);
    }
    let home = out.parent().filter(|it| !it.as_os_str().is_empty());
    let home = home.unwrap_or(Path::new("."));
    let stem = out.file_stem().unwrap_or_default().to_string_lossy();
    let ending = out.extension().unwrap_or_default().to_string_lossy();
    let mut found = Vec::new();
    for entry in fs::read_dir(home).map_err(refused(home))? {
        let entry = entry.map_err(refused(home))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let middle = name
            .strip_prefix(&*stem)
            .and_then(|name| name.strip_suffix(&format!(".{ending}.parts")));
        if middle.is_some_and(|it| it.is_empty() || it.contains("-of-")) {
            found.push(home.join(name));
        }
    }
    Ok(found)
}

fn status(directory: &Path, identity: &Path) -> Result<Option<ShardStatus>, Failure> {
    let bytes = fs::read(identity).map_err(refused(identity))?;
    let kept = serde_json::from_slice::<JobIdentity>(&bytes).ok();
    let Some((total_images, shard)) = kept.as_ref().and_then(JobIdentity::extent) else {
        return Ok(None);
    };
    let journal = identity.with_extension("parts.jsonl");
    let (_, records) = read_journal(&journal).map_err(refused(&journal))?;
    let (lock, host, process) = holder(&identity.with_extension("lock"));
    let done = records.into_iter().filter(|it| it.is_in(directory, shard));
    Ok(Some(ShardStatus {
        shard,
        images: range(total_images, shard).len() as u64,
        done: total(done),
        is_running: lock,
        process,
        host,
    }))
}

/// Whether a program holds the lock, and which one was the last.
fn holder(path: &Path) -> (bool, String, Option<i32>) {
    let text = fs::read_to_string(path).unwrap_or_default();
    let mut words = text.split_whitespace();
    let process = words.next().and_then(|word| word.parse().ok());
    let host = words.next().unwrap_or_default().to_owned();
    let is_held = File::open(path)
        .is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)));
    (is_held, host, process)
}
