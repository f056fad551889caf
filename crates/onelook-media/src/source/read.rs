//! One entry in, its bytes out, never more than the limit.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::entry::{Entry, SourceItem};
use super::error::SourceError;
use super::options::SourceOptions;

const STANDARD_INPUT: &str = "-";

pub(super) fn read(entry: Entry, options: &SourceOptions) -> SourceItem {
    let max_bytes = options.max_bytes;
    match entry {
        Entry::File { name, path } => {
            let bytes = read_file(&name, &path, max_bytes);
            SourceItem {
                name,
                path: Some(path),
                bytes,
            }
        }
        Entry::Address(name) => {
            let bytes = fetch(&name, options);
            SourceItem {
                name,
                path: None,
                bytes,
            }
        }
        Entry::StandardInput => SourceItem {
            name: STANDARD_INPUT.to_owned(),
            path: None,
            bytes: read_bounded(STANDARD_INPUT, io::stdin().lock(), max_bytes),
        },
    }
}

/// The bytes of a file; `name` is for messages.
pub(super) fn read_file(name: &str, path: &Path, max_bytes: u64) -> Result<Vec<u8>, SourceError> {
    let file = File::open(path).map_err(|error| refuse(name, &error))?;
    let metadata = file.metadata().map_err(|error| refuse(name, &error))?;
    if metadata.is_dir() {
        return Err(SourceError::Unreadable {
            name: name.to_owned(),
            reason: "it is a directory".to_owned(),
        });
    }
    if metadata.len() > max_bytes {
        return Err(SourceError::TooLarge {
            name: name.to_owned(),
            max_bytes,
        });
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
        return Err(SourceError::TooLarge {
            name: name.to_owned(),
            max_bytes,
        });
    }
    Ok(bytes)
}

fn fetch(name: &str, options: &SourceOptions) -> Result<Vec<u8>, SourceError> {
    let client = options.fetch.as_ref().ok_or_else(|| SourceError::NoFetch {
        name: name.to_owned(),
    })?;
    let bytes = client
        .fetch(name, options.max_bytes)
        .map_err(|reason| SourceError::Fetch {
            name: name.to_owned(),
            reason,
        })?;
    if bytes.len() as u64 > options.max_bytes {
        return Err(SourceError::TooLarge {
            name: name.to_owned(),
            max_bytes: options.max_bytes,
        });
    }
    Ok(bytes)
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
