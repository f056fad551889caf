//! A model file's bytes, read into memory whole.
//!
//! Comes in: a path. Goes out: a copy that nothing outside this process can change, or an error where the file was
//! written to while it was read. Never maps a file: a mapping changes, or ends in a signal, with the file under it.

use std::fs::{File, Metadata};
use std::io::{Error as IoError, Read};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use onelook_graph::read::Format;

use crate::Error;

/// File systems stamp a change with the time of the last timer tick, up to 10 ms ago: two writes less than this apart
/// may have one stamp.
const STAMP_STEP: Duration = Duration::from_millis(20);

/// Bytes that are read before the rest, so that a large file of another kind is not taken into memory.
const START_BYTES: u64 = 1024;

/// All bytes of `path`. A file that is refused by its size or its start gives only so many as show that.
pub(crate) fn read_file(path: &Path, max_bytes: u64) -> Result<Vec<u8>, Error> {
    read_unchanged(path, max_bytes.saturating_add(1)).map_err(|error| Error::file(path, error))
}

fn read_unchanged(path: &Path, limit: u64) -> Result<Vec<u8>, IoError> {
    let mut file = File::open(path)?;
    let mut before = file.metadata()?;
    if before.is_dir() {
        return Err(IoError::other("it is a directory, expected a model file"));
    }
    // A pipe has neither size nor time, and nobody can change what was read of it.
    if before.is_file() {
        before = settled(&file, before)?;
    }
    let mut bytes = Vec::new();
    Read::take(&mut file, limit.min(START_BYTES)).read_to_end(&mut bytes)?;
    if Format::detect(&bytes).is_none() {
        return Ok(bytes);
    }
    let rest = before.len().min(limit).saturating_sub(START_BYTES);
    let rest = usize::try_from(rest).unwrap_or(usize::MAX);
    bytes.try_reserve_exact(rest).map_err(IoError::other)?;
    Read::take(&mut file, limit.saturating_sub(START_BYTES)).read_to_end(&mut bytes)?;
    if before.is_file() {
        let after = file.metadata()?;
        let same = after.len() == before.len() && after.modified()? == before.modified()?;
        if !same || bytes.len() as u64 != before.len().min(limit) {
            return Err(IoError::other(
                "it was changed while it was read; load it again when it is complete, and replace a model file by \
                 renaming a complete one over it",
            ));
        }
    }
    Ok(bytes)
}

/// Waits until a further write would get another time stamp than the last one has.
fn settled(file: &File, mut metadata: Metadata) -> Result<Metadata, IoError> {
    let is_fresh = |metadata: &Metadata| -> Result<bool, IoError> {
        let age = SystemTime::now().duration_since(metadata.modified()?);
        // A stamp from the future is of another machine's clock and says nothing of the age.
        Ok(age.is_ok_and(|age| age < STAMP_STEP))
    };
    if is_fresh(&metadata)? {
        sleep(STAMP_STEP);
        metadata = file.metadata()?;
    }
    match is_fresh(&metadata)? {
        true => Err(IoError::other(
            "it is being written; load it again when it is complete",
        )),
        false => Ok(metadata),
    }
}
