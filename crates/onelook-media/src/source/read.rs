//! One entry in, its bytes out, never more than the limit.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::entry::Entry;
use super::error::SourceError;
use super::options::SourceOptions;
use crate::video::Redactor;

/// The bytes of an entry. `reserve` is told how many as soon as that is known; `false` from it ends
/// the reading.
pub(super) fn read(
    entry: &Entry,
    options: &SourceOptions,
    reserve: &dyn Fn(u64) -> bool,
) -> Result<Vec<u8>, SourceError> {
    let max_bytes = options.limits.max_bytes;
    let bytes = match entry {
        Entry::File { name, path } => return read_file(name, path, max_bytes, reserve),
        Entry::Address { name, url } => fetch(name, url, options),
        Entry::StandardInput => read_bounded(entry.name(), io::stdin().lock(), max_bytes),
        Entry::Video { .. } => unreachable!("videos are not read as images"),
    }?;
    match reserve(bytes.len() as u64) {
        true => Ok(bytes),
        false => Err(stopped(entry.name())),
    }
}

/// The bytes of a file; `name` is for messages.
pub(super) fn read_file(
    name: &str,
    path: &Path,
    max_bytes: u64,
    reserve: &dyn Fn(u64) -> bool,
) -> Result<Vec<u8>, SourceError> {
    let file = File::open(path).map_err(|error| refuse(name, &error))?;
    let metadata = file.metadata().map_err(|error| refuse(name, &error))?;
    if metadata.is_dir() {
        return Err(SourceError::Unreadable {
            name: name.to_owned(),
            reason: "it is a directory".to_owned(),
        });
    }
    if metadata.len() > max_bytes {
        return Err(too_large(name, max_bytes));
    }
    if !reserve(metadata.len()) {
        return Err(stopped(name));
    }
    read_bounded(name, file, max_bytes)
}

fn read_bounded(name: &str, reader: impl Read, max_bytes: u64) -> Result<Vec<u8>, SourceError> {
    let mut bytes = Vec::new();
    reader
        .take(max_bytes.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| refuse(name, &error))?;
    if bytes.len() as u64 > max_bytes {
        return Err(too_large(name, max_bytes));
    }
    Ok(bytes)
}

fn fetch(name: &str, url: &str, options: &SourceOptions) -> Result<Vec<u8>, SourceError> {
    let max_bytes = options.limits.max_bytes;
    let client = options.fetch.as_ref().ok_or_else(|| SourceError::NoFetch {
        name: name.to_owned(),
    })?;
    let bytes = client
        .fetch(url, max_bytes)
        .map_err(|reason| SourceError::Fetch {
            name: name.to_owned(),
            reason: Redactor::new(url).redact(&reason),
        })?;
    if bytes.len() as u64 > max_bytes {
        return Err(too_large(name, max_bytes));
    }
    Ok(bytes)
}

fn too_large(name: &str, max_bytes: u64) -> SourceError {
    SourceError::TooLarge {
        name: name.to_owned(),
        max_bytes,
    }
}

/// Seen by nobody: who stops a source takes no more from it.
fn stopped(name: &str) -> SourceError {
    SourceError::Unreadable {
        name: name.to_owned(),
        reason: "its reader has stopped".to_owned(),
    }
}

fn refuse(name: &str, error: &io::Error) -> SourceError {
    match error.kind() {
        io::ErrorKind::NotFound => SourceError::Missing {
            name: name.to_owned(),
        },
        _ => SourceError::Unreadable {
            name: name.to_owned(),
            reason: error.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endless_stream_is_cut_at_the_limit() {
        let refused = read_bounded("-", io::repeat(7), 1000);
        assert_eq!(
            refused,
            Err(SourceError::TooLarge {
                name: "-".to_owned(),
                max_bytes: 1000
            })
        );
        assert_eq!(
            read_bounded("-", io::repeat(7).take(1000), 1000).map(|b| b.len()),
            Ok(1000)
        );
    }
}
