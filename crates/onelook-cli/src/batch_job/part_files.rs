//! The part files of one shard of a job, and what is known of each.
//!
//! ```text
//! OUT/part-00000-of-00008-000000.parquet   rows of the shard's first part
//! OUT/_onelook/00000-of-00008.json         what the job is known by
//! OUT/_onelook/00000-of-00008.parts.jsonl  a line per part that was written
//! OUT/_onelook/00000-of-00008.lock         locked while a program is at the shard
//! ```
//!
//! A part is done when its file has its name and its line is there. The line is on the disk before the file is
//! renamed, so a program that is ended between the two leaves a part that is run again.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use onelook::printable::printable_path;
use serde::{Deserialize, Serialize};

use super::host::host_name;
use super::identity::JobIdentity;
use super::output::{JobOutput, part_name};
use super::parquet_file;
use super::row::{ImageRow, RowMetadata};
use crate::durable_file;
use crate::failure::{Failure, refused};
use crate::flags::{RowFormat, Shard};

/// Readers of data sets pass over names that begin with `_`.
pub const OWN_DIRECTORY: &str = "_onelook";

/// What one part, or several, came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartRecord {
    pub part: usize,
    pub images: u64,
    /// Images that could not be used.
    pub failed: u64,
    pub objects: u64,
    /// The files of its images, where a directory is watched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<WatchedFile>,
}

/// A file of a directory that is watched.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WatchedFile {
    pub name: String,
    pub bytes: u64,
    /// When it was changed last, in nanoseconds since 1970.
    pub modified_ns: u64,
}

impl PartRecord {
    /// Whether the part's file has its name in this directory.
    pub fn is_in(&self, directory: &Path, shard: Shard) -> bool {
        let part = |format| directory.join(part_name(shard, self.part, format));
        let formats = [RowFormat::Parquet, RowFormat::Jsonl];
        formats.into_iter().any(|format| part(format).is_file())
    }
}

/// What several parts came to together; of one that was written again, the last record counts.
pub fn total(records: impl IntoIterator<Item = PartRecord>) -> PartRecord {
    let parts: BTreeMap<usize, PartRecord> = records.into_iter().map(|it| (it.part, it)).collect();
    let add = |sum: PartRecord, record: PartRecord| PartRecord {
        part: 0,
        images: sum.images + record.images,
        failed: sum.failed + record.failed,
        objects: sum.objects + record.objects,
        files: Vec::new(),
    };
    parts.into_values().fold(PartRecord::default(), add)
}

/// The part files of one shard.
pub struct PartFiles<'a> {
    output: &'a JobOutput,
    directory: PathBuf,
    part_size: usize,
    /// Lines of the shard.
    lines: usize,
    journal: File,
    journal_path: PathBuf,
    done: BTreeMap<usize, PartRecord>,
    lock: File,
}

impl<'a> PartFiles<'a> {
    /// Begins a job of so many lines, or goes on with one if `resume` is set. Another program at the same shard, and another job in
    /// the same place, are failures.
    pub fn open(
        output: &'a JobOutput,
        lines: usize,
        identity: &JobIdentity,
        part_size: usize,
        resume: bool,
    ) -> Result<Self, Failure> {
        let directory = output.directory();
        let own = directory.join(OWN_DIRECTORY);
        fs::create_dir_all(&own).map_err(refused(&own))?;
        let named = |ending: &str| own.join(format!("{}.{ending}", output.shard_name()));
        let lock = lock(&named("lock"), &directory)?;
        check_identity(&named("json"), &directory, identity, resume)?;
        let journal_path = named("parts.jsonl");
        let (journal, records) = open_journal(&journal_path).map_err(refused(&journal_path))?;
        let is_there = |it: &PartRecord| it.is_in(&directory, output.shard());
        let done = records.into_iter().filter(is_there);
        Ok(Self {
            output,
            part_size,
            lines,
            journal,
            journal_path,
            done: done.map(|record| (record.part, record)).collect(),
            directory,
            lock,
        })
    }

    fn parts(&self) -> usize {
        self.lines.div_ceil(self.part_size)
    }

    /// Parts that are not done.
    pub fn missing(&self) -> Vec<usize> {
        let parts = 0..self.parts();
        parts.filter(|part| !self.done.contains_key(part)).collect()
    }

    /// The part behind all that are there.
    pub fn next(&self) -> usize {
        self.done.last_key_value().map_or(0, |(part, _)| part + 1)
    }

    /// The files of all parts, where a directory is watched.
    pub fn files(&self) -> impl Iterator<Item = &WatchedFile> {
        self.done.values().flat_map(|record| &record.files)
    }

    /// Which lines of the shard a part has.
    pub fn lines(&self, part: usize) -> Range<usize> {
        let begin = part * self.part_size;
        begin..self.lines.min(begin + self.part_size)
    }

    /// What the parts that are done came to together.
    pub fn totals(&self) -> PartRecord {
        total(self.done.values().cloned())
    }

    /// Writes a part. When this returns it outlives the machine.
    pub fn write(
        &mut self,
        part: usize,
        rows: &[ImageRow],
        files: Vec<WatchedFile>,
        metadata: &RowMetadata,
    ) -> Result<(), Failure> {
        let path = self.directory.join(self.output.part(part));
        let bytes = match self.output.format() {
            RowFormat::Parquet => parquet_file::encode(rows, metadata)
                .map_err(|error| Failure::failed("file", format!("parquet: {error}")))?,
            RowFormat::Jsonl => lines(rows),
        };
        let record = PartRecord {
            part,
            images: rows.len() as u64,
            failed: rows.iter().filter(|row| row.error.is_some()).count() as u64,
            objects: rows.iter().map(|row| row.detections.len() as u64).sum(),
            files,
        };
        let journal = &mut self.journal;
        let journal_path = &self.journal_path;
        write_synced(
            &path,
            |file| file.write_all(&bytes),
            || {
                let line = serde_json::to_string(&record).expect("numbers and texts are JSON");
                let written = journal.write_all(format!("{line}\n").as_bytes());
                written
                    .and_then(|()| journal.sync_data())
                    .map_err(refused(journal_path))
            },
        )?;
        self.done.insert(part, record);
        Ok(())
    }

    /// All parts are there: makes the one file of them, if there is to be one.
    pub fn finish(self) -> Result<PartRecord, Failure> {
        let totals = self.totals();
        let Some(path) = self.output.file() else {
            return Ok(totals);
        };
        let parts = (0..self.parts()).map(|part| self.directory.join(self.output.part(part)));
        let parts: Vec<PathBuf> = parts.collect();
        let format = self.output.format();
        write_synced(path, |file| put_together(&parts, format, file), || Ok(()))?;
        drop(self.lock);
        fs::remove_dir_all(&self.directory).map_err(refused(&self.directory))?;
        Ok(totals)
    }
}

/// Only one program is at a shard at a time. Not every file system has locks: who has this one is said in it, for
/// `onelook jobs`.
fn lock(path: &Path, directory: &Path) -> Result<File, Failure> {
    let mut lock = durable_file::lock(path, directory, "shard")?;
    let holder = format!("{} {}\n", std::process::id(), host_name());
    let written = lock
        .set_len(0)
        .and_then(|()| lock.write_all(holder.as_bytes()));
    written.map_err(refused(path))?;
    Ok(lock)
}

fn check_identity(
    path: &Path,
    directory: &Path,
    identity: &JobIdentity,
    resume: bool,
) -> Result<(), Failure> {
    let kept = match fs::read(path) {
        Ok(bytes) => serde_json::from_slice::<JobIdentity>(&bytes).map_err(|error| {
            let text = format!("'{}' cannot be read: {error}", printable_path(path));
            Failure::failed("file", text)
        })?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let bytes = serde_json::to_vec_pretty(identity).expect("texts are JSON");
            return write_synced(path, |file| file.write_all(&bytes), || Ok(()));
        }
        Err(error) => return Err(refused(path)(error)),
    };
    let directory = printable_path(directory);
    match identity.differences(&kept).as_slice() {
        [] if resume => Ok(()),
        [] => Err(Failure::Usage(format!(
            "'{directory}' has results of this job already: pass --resume to go on, or another --out"
        ))),
        names => Err(Failure::Usage(format!(
            "'{directory}' has results of another job (its {} differ): pass another --out",
            names.join(", ")
        ))),
    }
}

/// The journal, to be appended to, and what it says. A last line that was not written whole is cut off.
fn open_journal(path: &Path) -> io::Result<(File, Vec<PartRecord>)> {
    let (length, records) = read_journal(path)?;
    let journal = File::options().create(true).append(true).open(path)?;
    journal.set_len(length)?;
    Ok((journal, records))
}

/// The bytes of whole lines, and what they say.
pub fn read_journal(path: &Path) -> io::Result<(u64, Vec<PartRecord>)> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        read => read?,
    };
    let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
    let records = whole.lines().map(serde_json::from_str);
    let records = records
        .collect::<Result<_, _>>()
        .map_err(io::Error::other)?;
    Ok((whole.len() as u64, records))
}

/// Writes a file as a whole, under a name until then that no reader of data sets takes for a part.
fn write_synced(
    path: &Path,
    write: impl FnOnce(&mut File) -> io::Result<()>,
    before: impl FnOnce() -> Result<(), Failure>,
) -> Result<(), Failure> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let partial = path.with_file_name(format!("_{name}.partial"));
    durable_file::write_synced(path, &partial, write, before)
}

fn put_together(parts: &[PathBuf], format: RowFormat, file: &mut File) -> io::Result<()> {
    match format {
        RowFormat::Parquet => parquet_file::concatenate(parts, file).map_err(io::Error::other),
        RowFormat::Jsonl => parts.iter().try_for_each(|part| {
            io::copy(&mut File::open(part)?, file)?;
            Ok(())
        }),
    }
}

fn lines(rows: &[ImageRow]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for row in rows {
        serde_json::to_writer(&mut bytes, row).expect("rows are JSON, and memory takes them");
        bytes.push(b'\n');
    }
    bytes
}
