//! Where one image of a source is to be had, and what is read from there.

use std::path::PathBuf;

use super::error::SourceError;

/// One encoded image.
#[derive(Debug)]
pub struct SourceItem {
    /// Path or address as the user knows it; `-` for standard input.
    pub name: String,
    /// Where it lies, for files.
    pub path: Option<PathBuf>,
    /// The file's bytes, or why there are none.
    pub bytes: Result<Vec<u8>, SourceError>,
}

/// Where one image is to be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    File { name: String, path: PathBuf },
    Address(String),
    StandardInput,
}
