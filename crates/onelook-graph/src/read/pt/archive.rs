//! The zip archive around a checkpoint: archive bytes in, slices of its members out.
//!
//! Stored members are slices of the input, never copies. Compressed members are inflated into no
//! more memory than they declare and the limits allow.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{Cursor, Read};

use zip::{CompressionMethod, ZipArchive};

use super::damaged;
use crate::read::{Limits, ReadError};

/// A pickle deflates to a tenth, weights hardly at all; more than this is a bomb.
const LARGEST_RATIO: u64 = 32;

/// Members by their path below the archive's top folder.
pub(super) struct Archive<'a> {
    members: HashMap<String, Cow<'a, [u8]>>,
}

impl<'a> Archive<'a> {
    pub(super) fn open(bytes: &'a [u8], limits: &Limits) -> Result<Self, ReadError> {
        let mut zip = ZipArchive::new(Cursor::new(bytes)).map_err(damaged)?;
        if zip.len() > limits.nodes {
            return Err(ReadError::Limit {
                what: "the number of members of the archive".to_owned(),
                actual: zip.len() as u64,
                limit: limits.nodes as u64,
            });
        }
        let mut members = HashMap::with_capacity(zip.len());
        let mut inflated = 0u64;
        for index in 0..zip.len() {
            let (name, content) = member(&mut zip, bytes, index, limits, &mut inflated)?;
            if members.insert(name.clone(), content).is_some() {
                return Err(damaged(format!("the archive has two members '{name}'")));
            }
        }
        Ok(Self { members })
    }

    /// The member at `path` below the top folder.
    pub(super) fn get(&self, path: &str) -> Option<&[u8]> {
        self.members.get(path).map(AsRef::as_ref)
    }

    /// Whether any member lies in `folder`.
    pub(super) fn has_folder(&self, folder: &str) -> bool {
        self.members.keys().any(|path| {
            path.strip_prefix(folder)
                .is_some_and(|rest| rest.starts_with('/'))
        })
    }
}

/// The path below the top folder, and the content.
fn member<'a>(
    zip: &mut ZipArchive<Cursor<&'a [u8]>>,
    bytes: &'a [u8],
    index: usize,
    limits: &Limits,
    inflated: &mut u64,
) -> Result<(String, Cow<'a, [u8]>), ReadError> {
    let file = zip.by_index_raw(index).map_err(damaged)?;
    let path = file.name().map_err(damaged)?.into_owned();
    let name = match path.split_once('/') {
        Some((_, rest)) => rest.to_owned(),
        None => path.clone(),
    };
    if file.encrypted() {
        return Err(damaged(format!("member '{path}' is encrypted")));
    }
    let (size, compressed) = (file.size(), file.compressed_size());
    if file.compression() == CompressionMethod::Stored {
        let start = file.data_start();
        return match start.and_then(|start| slice(bytes, start, compressed)) {
            Some(content) if size == compressed => Ok((name, Cow::Borrowed(content))),
            _ => Err(damaged(format!("member '{path}' lies outside the file"))),
        };
    }
    drop(file);
    *inflated = inflated.saturating_add(size);
    let ratio_limit = (bytes.len() as u64).saturating_mul(LARGEST_RATIO);
    let limit = limits.tensor_bytes.min(ratio_limit);
    if *inflated > limit {
        return Err(ReadError::Limit {
            what: format!("member '{path}' of the archive, inflated,"),
            actual: *inflated,
            limit,
        });
    }
    let file = zip.by_index(index).map_err(damaged)?;
    inflate(file, &path, size).map(|content| (name, Cow::Owned(content)))
}

/// Grows with what really comes, so that a declared size alone takes no memory.
fn inflate(file: impl Read, path: &str, size: u64) -> Result<Vec<u8>, ReadError> {
    let mut content = Vec::new();
    file.take(size.saturating_add(1))
        .read_to_end(&mut content)
        .map_err(|error| damaged(format!("member '{path}': {error}")))?;
    if content.len() as u64 > size {
        return Err(ReadError::Limit {
            what: format!("member '{path}' of the archive inflates to more than it declares and"),
            actual: content.len() as u64,
            limit: size,
        });
    }
    if (content.len() as u64) < size {
        return Err(damaged(format!("member '{path}' ends early")));
    }
    Ok(content)
}

fn slice(bytes: &[u8], start: u64, length: u64) -> Option<&[u8]> {
    let start = usize::try_from(start).ok()?;
    let end = start.checked_add(usize::try_from(length).ok()?)?;
    bytes.get(start..end)
}
