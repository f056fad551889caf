//! Where one image of a source is to be had.

use std::path::PathBuf;

/// Where one image is to be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    File { name: String, path: PathBuf },
    Address(String),
    StandardInput,
}

impl Entry {
    /// Path or address as the user knows it.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::File { name, .. } | Self::Address(name) => name,
            Self::StandardInput => "-",
        }
    }

    /// Where it lies, for files.
    pub(super) fn path(&self) -> Option<PathBuf> {
        match self {
            Self::File { path, .. } => Some(path.clone()),
            Self::Address(_) | Self::StandardInput => None,
        }
    }
}
