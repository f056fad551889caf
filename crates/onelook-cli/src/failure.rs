//! How a command fails: what to say, a word for machines, and the exit code.

use std::process::ExitCode;

use onelook::Error;
use onelook::graph::read::ReadError;
use onelook::media::video::VideoError;
use onelook::media::{DecodeError, SourceError};
use onelook::printable::printable_path;

/// Why a command did not do what was asked.
#[derive(Debug)]
pub enum Failure {
    /// The words on the command line make no sense; exit code 2.
    Usage(String),
    /// It did not work; exit code 1.
    Failed {
        /// The same word for the same kind of failure.
        kind: &'static str,
        /// What happened and what to do.
        message: String,
    },
    /// A signal ended it before everything was done; exit code 128 and the signal's number.
    Interrupted {
        /// The signal's number.
        signal: u8,
        /// How far it came.
        message: String,
    },
    /// Nobody reads standard output any more, and nothing else is being written: it ends in silence,
    /// with exit code 0.
    ReaderGone,
}

impl Failure {
    /// A failure of this kind.
    pub fn failed(kind: &'static str, message: impl Into<String>) -> Self {
        Self::Failed {
            kind,
            message: message.into(),
        }
    }

    /// What the argument parser said, without colours and usage lines.
    pub fn typed(error: &clap::Error) -> Self {
        let text = error.to_string();
        let message = text.split("\n\nUsage:").next().unwrap_or(&text);
        Self::Usage(message.trim().trim_start_matches("error: ").to_owned())
    }

    /// The word for machines.
    pub fn kind(&self) -> &str {
        match self {
            Self::Usage(_) => "usage",
            Self::Failed { kind, .. } => kind,
            Self::Interrupted { .. } => "interrupted",
            Self::ReaderGone => "reader",
        }
    }

    /// What to say.
    pub fn message(&self) -> &str {
        match self {
            Self::Usage(message)
            | Self::Failed { message, .. }
            | Self::Interrupted { message, .. } => message,
            Self::ReaderGone => "",
        }
    }

    /// 2 for usage, 128 and its number for a signal, 0 when the reader has gone, else 1.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage(_) => ExitCode::from(2),
            Self::Failed { .. } => ExitCode::FAILURE,
            Self::Interrupted { signal, .. } => ExitCode::from(signal.saturating_add(128)),
            Self::ReaderGone => ExitCode::SUCCESS,
        }
    }
}

impl From<onelook::Error> for Failure {
    fn from(error: onelook::Error) -> Self {
        Self::from(&error)
    }
}

impl From<&onelook::Error> for Failure {
    fn from(error: &onelook::Error) -> Self {
        match error {
            Error::Setting { .. } => Self::Usage(error.to_string()),
            error => Self::failed(error.kind(), format!("{error}{}", raise_limit(error))),
        }
    }
}

/// The flag that raises the limit which was exceeded.
fn raise_limit(error: &onelook::Error) -> &'static str {
    match error {
        Error::Image { source, .. } => match source {
            DecodeError::TooManyPixels { .. } => MAX_PIXELS,
            DecodeError::TooManyBytes { .. } => MAX_BYTES,
            _ => "",
        },
        Error::Source(SourceError::TooLarge { .. }) => MAX_BYTES,
        Error::Source(SourceError::Video {
            source: VideoError::TooManyPixels { .. },
            ..
        }) => MAX_PIXELS,
        Error::Model {
            source: ReadError::Limit { what, .. },
            ..
        } if what == "the file" || what.contains("tensor") => {
            ": if you trust it, raise the limit of bytes (--max-model-bytes 16GiB)"
        }
        _ => "",
    }
}

const MAX_PIXELS: &str = " (--max-pixels MEGAPIXELS)";
const MAX_BYTES: &str = " (--max-bytes BYTES)";

/// The system's refusal to write or read `path`.
pub fn refused(path: &std::path::Path) -> impl Fn(std::io::Error) -> Failure {
    move |error| Failure::failed("file", format!("'{}': {error}", printable_path(path)))
}
