//! What can go wrong between a file name and boxes; each message names the thing and what to do.

use std::path::PathBuf;

use onelook_graph::read::ReadError;
use onelook_graph::{CompileError, GraphError, RunError};
use onelook_media::{DecodeError, EncodeError, SourceError};
use onelook_types::FrameError;
use onelook_vision::VisionError;

use crate::printable::{printable, printable_path};
use crate::registry::FetchError;

/// Why something of this library failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system refused a file.
    #[error("'{path}': {source}", path = printable_path(path))]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A model file was refused.
    #[error("'{name}': {source}", name = printable(name))]
    Model {
        /// Path or name of the model.
        name: String,
        /// Why.
        source: ReadError,
    },
    /// A model could not be had from the registry.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// There is no such device, or this build cannot use it.
    #[error("device '{device}': {reason}", device = printable(device))]
    Device {
        /// What was asked for.
        device: String,
        /// Why it cannot be had, and what can.
        reason: String,
    },
    /// A setting has a value that makes no sense.
    #[error("{name}: {reason}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// The engine cannot take the model.
    #[error("'{name}': {source}", name = printable(name))]
    Compile {
        /// Path or name of the model.
        name: String,
        /// Why.
        source: CompileError,
    },
    /// The network did not run.
    #[error("the network did not run: {0}")]
    Run(#[from] RunError),
    /// The graph is inconsistent for this input.
    #[error("the network does not take this input: {0}")]
    Graph(#[from] GraphError),
    /// The network's outputs do not fit its head.
    #[error("the network's outputs cannot be read: {0}")]
    Vision(#[from] VisionError),
    /// An image could not be decoded.
    #[error("'{name}': {source}", name = printable(name))]
    Image {
        /// Path or address of the image.
        name: String,
        /// Why.
        source: DecodeError,
    },
    /// Pixels that are no image.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A source of images could not be had.
    #[error(transparent)]
    Source(SourceError),
    /// An image could not be encoded.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// A data set description is wrong.
    #[error("data set '{path}': {reason}", path = printable_path(path))]
    Dataset {
        /// Which file.
        path: PathBuf,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// Recorded detections or a tracker's settings cannot be used.
    #[error("'{path}': {reason}", path = printable_path(path))]
    Tracking {
        /// Which file.
        path: PathBuf,
        /// What is wrong and what would be right.
        reason: String,
    },
}

impl From<SourceError> for Error {
    /// An image that was read but not decoded counts as that, wherever it came from.
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::Decode { name, source } => Self::Image { name, source },
            error => Self::Source(error),
        }
    }
}

impl Error {
    /// A word for machines: the same for the same kind of failure, whatever the message.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::File { .. } => "file",
            Self::Model { .. } => "model",
            Self::Fetch(_) => "fetch",
            Self::Device { .. } => "device",
            Self::Setting { .. } => "setting",
            Self::Compile { .. } => "compile",
            Self::Run(_) | Self::Graph(_) => "run",
            Self::Vision(_) => "head",
            Self::Image { .. } | Self::Frame(_) => "image",
            Self::Source(_) => "source",
            Self::Encode(_) => "encode",
            Self::Dataset { .. } => "dataset",
            Self::Tracking { .. } => "tracking",
        }
    }

    /// A system's refusal of `path`.
    pub fn file(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::File {
            path: path.into(),
            source,
        }
    }

    pub(crate) fn tracking(path: impl Into<PathBuf>, reason: impl Into<String>) -> Self {
        Self::Tracking {
            path: path.into(),
            reason: reason.into(),
        }
    }

    pub(crate) fn dataset(path: impl Into<PathBuf>, reason: impl Into<String>) -> Self {
        Self::Dataset {
            path: path.into(),
            reason: reason.into(),
        }
    }
}
