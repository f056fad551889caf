//! Where one image or video of a source is to be had.

use std::path::PathBuf;

use crate::video::VideoAddress;

/// Where one image or video is to be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    File {
        name: String,
        path: PathBuf,
    },
    /// The name is the address without passwords.
    Address {
        name: String,
        url: String,
    },
    StandardInput,
    Video {
        name: String,
        address: VideoAddress,
    },
}

impl Entry {
    /// Path or address as the user knows it, without passwords.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::File { name, .. } | Self::Address { name, .. } | Self::Video { name, .. } => name,
            Self::StandardInput => "-",
        }
    }

    /// Where it lies, for files.
    pub(super) fn path(&self) -> Option<PathBuf> {
        match self {
            Self::File { path, .. } => Some(path.clone()),
            Self::Video { address, .. } => match address {
                VideoAddress::File(path) => Some(path.clone()),
                VideoAddress::Url(_) | VideoAddress::Camera(_) => None,
            },
            Self::Address { .. } | Self::StandardInput => None,
        }
    }

    /// The entry of a video; its name holds no password.
    pub(super) fn video(address: VideoAddress) -> Self {
        Self::Video {
            name: address.name(),
            address,
        }
    }
}
