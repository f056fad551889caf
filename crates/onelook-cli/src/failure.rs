//! How a command fails: what to say, a word for machines, and the exit code.

use std::process::ExitCode;

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
        }
    }

    /// What to say.
    pub fn message(&self) -> &str {
        match self {
            Self::Usage(message)
            | Self::Failed { message, .. }
            | Self::Interrupted { message, .. } => message,
        }
    }

    /// 2 for usage, 128 and its number for a signal, else 1.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage(_) => ExitCode::from(2),
            Self::Failed { .. } => ExitCode::FAILURE,
            Self::Interrupted { signal, .. } => ExitCode::from(signal.saturating_add(128)),
        }
    }
}

impl From<onelook::Error> for Failure {
    fn from(error: onelook::Error) -> Self {
        match error {
            onelook::Error::Setting { .. } => Self::Usage(error.to_string()),
            error => Self::failed(error.kind(), error.to_string()),
        }
    }
}

/// The system's refusal to write or read `path`.
pub fn refused(path: &std::path::Path) -> impl Fn(std::io::Error) -> Failure {
    move |error| Failure::failed("file", format!("'{}': {error}", path.display()))
}
