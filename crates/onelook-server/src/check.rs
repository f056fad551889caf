//! What would keep a server from starting, found without starting it.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use onelook::registry::{self, Registry};

use crate::config::Config;
use crate::model_repository::ModelRepository;
use crate::streams::read_file;
use crate::streams::snapshots::SnapshotStore;
use crate::tls::Tls;
use crate::videos;

/// What was found.
#[derive(Debug, Default)]
pub struct Findings {
    /// What keeps the server from starting, or from being ready.
    pub errors: Vec<String>,
    /// What may be meant otherwise.
    pub warnings: Vec<String>,
}

/// Reads the files that the configuration names and looks whether its directories can be written, but loads no
/// model, opens no port and makes no file that stays.
pub fn check(config: &Config) -> Findings {
    let sources = &config.secrets;
    let tls = sources.tls.as_ref().map(Tls::load).transpose();
    let models = ModelRepository::new(config, Arc::default());
    let mut warnings = sources.warnings();
    let errors = [
        sources.read_tokens().err(),
        tls.err(),
        config.delivery.check().err(),
        SnapshotStore::check(&config.event_snapshots).err(),
        videos::check(&config.videos).err(),
    ];
    let streams = config.stream_file.as_deref().map(read_file).transpose();
    let mut errors: Vec<String> = errors.into_iter().flatten().collect();
    errors.extend(streams.err());
    errors.extend(config.delivery.unusable_spools());
    match models {
        Ok(models) => warnings.extend(models.warnings()),
        Err(error) => errors.push(error),
    }
    for model in &config.models {
        if let Err(reason) = find(&model.source) {
            let list = if config.keep_trying {
                &mut warnings
            } else {
                &mut errors
            };
            list.push(format!("model '{}': {reason}", model.name));
        }
    }
    Findings { errors, warnings }
}

/// Whether there is such a file, or such a name in the registry of models.
fn find(source: &Path) -> Result<(), String> {
    if source.is_file() {
        let opened = File::open(source);
        return opened
            .map(drop)
            .map_err(|error| format!("'{}': {error}", source.display()));
    }
    let name = source.to_string_lossy();
    if name.ends_with(".yaml") {
        // An architecture: nothing is fetched for it.
        let found = registry::resolve(source, &mut |_| {});
        return found.map(drop).map_err(|error| error.to_string());
    }
    let is_bare = source.components().count() == 1;
    let is_known = || Registry::load().is_ok_and(|registry| registry.find(&name).is_some());
    match is_bare && is_known() {
        true => Ok(()),
        false => Err(format!("there is no file '{}'", source.display())),
    }
}
