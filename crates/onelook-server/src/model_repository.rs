//! The models of a server: which exist, what state they are in, and how a new version replaces one.
//!
//! A replaced model goes on serving the requests that it has admitted. A model that fails to load is
//! reported and affects no other. Names never become paths: only files that the server was started
//! with, or that are in its model directory, can be loaded.

mod directory;
mod loaded_model;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, RwLock};
use std::time::Duration;

use onelook::{Engine, LoadOptions};
use serde::Serialize;
use utoipa::ToSchema;

use crate::config::{Config, ModelSource};
use crate::locks::{lock, read, write};
use crate::metrics::Metrics;
use crate::problem::{Problem, ProblemKind, shown};
use crate::statistics::Statistics;
use directory::ModelDirectory;
pub use loaded_model::{LoadedModel, ServingOptions};

/// The state of a model.
#[derive(Clone)]
pub enum ModelState {
    /// Known, not loaded.
    Unloaded,
    /// Being loaded for the first time.
    Loading,
    /// Serving.
    Ready(Arc<LoadedModel>),
    /// Could not be loaded, and why.
    Failed(String),
}

impl ModelState {
    /// The state's name.
    pub fn name(&self) -> ModelStateName {
        match self {
            Self::Unloaded => ModelStateName::Unloaded,
            Self::Loading => ModelStateName::Loading,
            Self::Ready(_) => ModelStateName::Ready,
            Self::Failed(_) => ModelStateName::Failed,
        }
    }

    /// The model, if it serves.
    pub fn loaded(&self) -> Option<&Arc<LoadedModel>> {
        match self {
            Self::Ready(loaded) => Some(loaded),
            _ => None,
        }
    }
}

/// The state of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = ModelState)]
pub enum ModelStateName {
    /// It serves requests.
    Ready,
    /// It is being loaded for the first time.
    Loading,
    /// It could not be loaded.
    Failed,
    /// It is known and not loaded.
    Unloaded,
}

/// A model by its name.
pub struct ModelEntry {
    /// The name in requests.
    pub name: String,
    /// The file that it is loaded from.
    pub source: PathBuf,
    /// Whether it was found in the model directory, and not named.
    is_found: bool,
    /// What it has done, over all its versions.
    pub statistics: Arc<Statistics>,
    state: RwLock<ModelState>,
    /// Why the last load failed, if an older version goes on serving.
    warning: Mutex<Option<String>>,
    /// Counts versions. Held while the model is loaded or unloaded, so that only one of these
    /// happens at a time.
    versions: tokio::sync::Mutex<u64>,
}

impl ModelEntry {
    fn new(source: ModelSource, is_found: bool) -> Arc<Self> {
        Arc::new(Self {
            name: source.name,
            source: source.source,
            is_found,
            statistics: Arc::default(),
            state: RwLock::new(ModelState::Unloaded),
            warning: Mutex::new(None),
            versions: tokio::sync::Mutex::new(0),
        })
    }

    /// Its state now.
    pub fn state(&self) -> ModelState {
        let state = read(&self.state);
        state.clone()
    }

    /// Why the last load failed, if it did.
    pub fn error(&self) -> Option<String> {
        match self.state() {
            ModelState::Failed(reason) => Some(reason),
            _ => self.warning().clone(),
        }
    }

    fn warning(&self) -> MutexGuard<'_, Option<String>> {
        lock(&self.warning)
    }

    /// The model, if it serves.
    pub fn loaded(&self) -> Result<Arc<LoadedModel>, Problem> {
        let not_ready = |reason: &str| {
            let detail = format!("model '{}' {reason}", self.name);
            Problem::new(ProblemKind::NotReady, detail)
        };
        match self.state() {
            ModelState::Ready(loaded) => Ok(loaded),
            ModelState::Loading => {
                Err(not_ready("is being loaded").retry_after(Duration::from_secs(1)))
            }
            ModelState::Unloaded => Err(not_ready("is not loaded")),
            ModelState::Failed(reason) => Err(not_ready(&format!("could not be loaded: {reason}"))),
        }
    }

    fn set_state(&self, new: ModelState) -> ModelState {
        let mut state = write(&self.state);
        std::mem::replace(&mut *state, new)
    }
}

/// The models of one server.
pub struct ModelRepository {
    entries: RwLock<BTreeMap<String, Arc<ModelEntry>>>,
    /// Names in the order of the command line.
    order: Vec<String>,
    directory: Option<ModelDirectory>,
    /// Warnings about the model directory that were given already.
    warned: Mutex<BTreeSet<String>>,
    /// Whether models of the start have not been tried yet.
    is_starting: AtomicBool,
    /// Whether the server is about to stop.
    is_stopping: AtomicBool,
    load: LoadOptions,
    serving: ServingOptions,
    engine: OnceLock<Arc<Engine>>,
    opening: Mutex<()>,
    metrics: Arc<Metrics>,
}

impl ModelRepository {
    /// The models that the configuration names, none of them loaded.
    pub fn new(config: &Config, metrics: Arc<Metrics>) -> Result<Self, String> {
        let mut entries = BTreeMap::new();
        let mut order = Vec::new();
        for source in config.models.clone() {
            check_name(&source.name)?;
            if entries.contains_key(&source.name) {
                return Err(format!(
                    "two models are called '{}': give one another name with --model NAME=PATH",
                    source.name
                ));
            }
            order.push(source.name.clone());
            entries.insert(source.name.clone(), ModelEntry::new(source, false));
        }
        let root = config.model_root.as_deref();
        let directory = config.model_dir.as_deref();
        let directory = directory.map(|path| ModelDirectory::new(path, root));
        let directory = directory.transpose()?;
        let found = directory.as_ref().map(ModelDirectory::models);
        let found = found.unwrap_or_default();
        let mut warned: BTreeSet<String> = found.warnings.into_iter().collect();
        for source in found.models {
            if let Some(named) = entries.get(&source.name) {
                if !is_same_file(&named.source, &source.source) {
                    warned.insert(format!(
                        "'{}' is not served: --model gives its name to another file",
                        source.source.display()
                    ));
                }
                continue;
            }
            order.push(source.name.clone());
            entries.insert(source.name.clone(), ModelEntry::new(source, true));
        }
        Ok(Self {
            entries: RwLock::new(entries),
            order,
            directory,
            warned: Mutex::new(warned),
            is_starting: AtomicBool::new(false),
            is_stopping: AtomicBool::new(false),
            load: config.load.clone(),
            serving: ServingOptions {
                max_batch: config.max_batch,
                max_delay: config.max_delay,
                queue: config.queue,
            },
            engine: OnceLock::new(),
            opening: Mutex::new(()),
            metrics,
        })
    }

    /// All models: the default first, then in the order of the command line, then by name.
    pub fn all(&self) -> Vec<Arc<ModelEntry>> {
        let entries = read(&self.entries);
        let named = self.order.iter().filter_map(|name| entries.get(name));
        let others = entries
            .values()
            .filter(|entry| !self.order.contains(&entry.name));
        named.chain(others).map(Arc::clone).collect()
    }

    /// The model of this name, or the default.
    pub fn find(&self, name: Option<&str>) -> Result<Arc<ModelEntry>, Problem> {
        let entries = read(&self.entries);
        let wanted = name.or(self.order.first().map(String::as_str));
        let Some(wanted) = wanted else {
            let detail = "the server has no model: start it with --model or --model-dir";
            return Err(Problem::new(ProblemKind::NotFound, detail));
        };
        let found = entries.get(wanted).or_else(|| entries.get(stem(wanted)));
        found.map(Arc::clone).ok_or_else(|| {
            let known: Vec<&str> = entries.keys().map(String::as_str).collect();
            let detail = format!(
                "there is no model {} here; known are: {}",
                shown(wanted),
                known.join(", ")
            );
            Problem::new(ProblemKind::NotFound, detail)
        })
    }

    /// Whether this is the model of requests that name none.
    pub fn is_default(&self, name: &str) -> bool {
        self.order.first().is_some_and(|first| first == name)
    }

    /// Whether every model of the start has been tried and the default serves, which most requests
    /// use. Where there is no default, because none was named and none was found, any other will do.
    pub fn is_ready(&self) -> bool {
        let serves = |entry: &ModelEntry| entry.state().loaded().is_some();
        let all = self.all();
        let needed = match self.order.is_empty() {
            true => all.iter().any(|entry| serves(entry)),
            false => all.first().is_some_and(|default| serves(default)),
        };
        let is_set = |flag: &AtomicBool| flag.load(Ordering::SeqCst);
        needed && !is_set(&self.is_starting) && !is_set(&self.is_stopping)
    }

    /// Says that the server is about to stop: it is not ready from now on, though models serve.
    pub fn announce_stop(&self) {
        self.is_stopping.store(true, Ordering::SeqCst);
    }

    /// What is odd about the model directory, in words.
    pub fn warnings(&self) -> Vec<String> {
        let warned = lock(&self.warned);
        warned.iter().cloned().collect()
    }

    /// Looks for new files in the model directory.
    pub fn rescan(&self) {
        let Some(found) = self.directory.as_ref().map(ModelDirectory::models) else {
            return;
        };
        let mut warned = lock(&self.warned);
        for warning in found.warnings {
            if !warned.contains(&warning) {
                tracing::warn!("{warning}");
                warned.insert(warning);
            }
        }
        drop(warned);
        let mut entries = write(&self.entries);
        for source in found.models {
            entries
                .entry(source.name.clone())
                .or_insert_with(|| ModelEntry::new(source, true));
        }
    }

    /// Marks every model as loading: the server is not ready before [`Self::announced_were_tried`].
    pub fn announce(&self) -> Vec<Arc<ModelEntry>> {
        self.is_starting.store(true, Ordering::SeqCst);
        let all = self.all();
        for entry in &all {
            entry.set_state(ModelState::Loading);
        }
        all
    }

    /// Says that every model of the start has been tried.
    pub fn announced_were_tried(&self) {
        self.is_starting.store(false, Ordering::SeqCst);
    }

    /// Loads a model; a version that serves already goes on until the new one is ready. Returns when
    /// the model is ready.
    pub async fn load(&self, entry: &Arc<ModelEntry>) -> Result<Arc<LoadedModel>, Problem> {
        let mut versions = entry.versions.lock().await;
        if entry.state().loaded().is_none() {
            entry.set_state(ModelState::Loading);
        }
        let version = *versions + 1;
        match self.open(entry, version).await {
            Ok(loaded) => {
                if let Some(old) = entry.state().loaded() {
                    loaded.admission.take_pace_of(&old.admission);
                }
                *versions = version;
                *entry.warning() = None;
                self.metrics.set_ready(&entry.name, true);
                retire(entry.set_state(ModelState::Ready(Arc::clone(&loaded))));
                Ok(loaded)
            }
            Err(reason) => {
                tracing::error!(model = entry.name, %reason, "a model could not be loaded");
                match entry.state() {
                    ModelState::Ready(_) => *entry.warning() = Some(reason.clone()),
                    _ => {
                        self.metrics.set_ready(&entry.name, false);
                        entry.set_state(ModelState::Failed(reason.clone()));
                    }
                }
                let detail = format!("model '{}' could not be loaded: {reason}", entry.name);
                Err(Problem::new(ProblemKind::Unprocessable, detail))
            }
        }
    }

    /// Unloads a model. Returns when the requests that it has admitted are answered.
    pub async fn unload(&self, entry: &Arc<ModelEntry>) {
        let _versions = entry.versions.lock().await;
        self.metrics.set_ready(&entry.name, false);
        *entry.warning() = None;
        if let ModelState::Ready(loaded) = entry.set_state(ModelState::Unloaded) {
            loaded.admission.close();
            loaded.admission.drained().await;
        }
    }

    async fn open(
        &self,
        entry: &Arc<ModelEntry>,
        version: u64,
    ) -> Result<Arc<LoadedModel>, String> {
        if let Some(directory) = self.directory.as_ref().filter(|_| entry.is_found) {
            directory.check_link(&entry.source)?;
        }
        let engine = self.engine()?;
        let (options, serving) = (self.load.clone(), self.serving);
        let (name, source) = (entry.name.clone(), entry.source.clone());
        let (statistics, metrics) = (Arc::clone(&entry.statistics), Arc::clone(&self.metrics));
        let on_run = Box::new(move |images, time| {
            statistics.record_run(images, time);
            metrics.record_run(&name, images, time);
        });
        let opened = tokio::task::spawn_blocking(move || {
            LoadedModel::open(&engine, &source, version, &options, &serving, on_run)
        });
        opened
            .await
            .unwrap_or_else(|error| Err(format!("loading panicked: {error}")))
            .map(Arc::new)
    }

    /// One engine for all models, opened at first use.
    fn engine(&self) -> Result<Arc<Engine>, String> {
        // `OnceLock::get_or_try_init` is not stable: the lock keeps two from being opened.
        let _opening = lock(&self.opening);
        if let Some(engine) = self.engine.get() {
            return Ok(Arc::clone(engine));
        }
        let opened = self.load.device.open(&self.load.engine());
        let engine = Arc::new(opened.map_err(|error| error.to_string())?);
        if let Some(warning) = &engine.warning {
            tracing::warn!("{warning}");
        }
        Ok(Arc::clone(self.engine.get_or_init(|| engine)))
    }
}

/// Lets a replaced version finish what it has admitted. The task keeps it alive until then.
fn retire(old: ModelState) {
    if let ModelState::Ready(loaded) = old {
        loaded.admission.close();
        tokio::spawn(async move { loaded.admission.drained().await });
    }
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    one.canonicalize()
        .ok()
        .is_some_and(|one| other.canonicalize().ok() == Some(one))
}

/// The name without a model file's extension: people write `yolo11n.pt` for the model `yolo11n`.
fn stem(name: &str) -> &str {
    let extensions = [".pt", ".onnx", ".safetensors"];
    let found = extensions.iter().find_map(|end| name.strip_suffix(end));
    found.unwrap_or(name)
}

/// Names appear in URLs and in labels of metrics: letters, digits and `._-`, at most 128.
fn check_name(name: &str) -> Result<(), String> {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    if name.is_empty() || name.len() > 128 || name.starts_with('.') || !name.chars().all(allowed) {
        return Err(format!(
            "{name:?} cannot be a model's name: use letters, digits and ._- (--model NAME=PATH)"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_never_a_path() {
        for wrong in [
            "",
            ".",
            "..",
            "../x",
            "a/b",
            "a\\b",
            "a%2fb",
            "a b",
            "/etc/passwd",
        ] {
            assert!(check_name(wrong).is_err(), "{wrong}");
        }
        assert!(check_name("yolo11n-recon_2.1").is_ok());
    }

    #[test]
    fn two_models_of_one_name_are_refused() {
        let source = ModelSource {
            name: "a".to_owned(),
            source: "a.pt".into(),
        };
        let config = Config {
            models: vec![source.clone(), source],
            ..Config::default()
        };
        let refused = ModelRepository::new(&config, Arc::default()).err();
        assert!(refused.is_some_and(|reason| reason.contains("--model NAME=PATH")));
    }

    #[tokio::test]
    async fn a_model_that_cannot_be_loaded_is_reported_and_nothing_else() {
        let config = Config {
            models: vec![ModelSource {
                name: "gone".to_owned(),
                source: "/nowhere/gone.pt".into(),
            }],
            ..Config::default()
        };
        let models =
            ModelRepository::new(&config, Arc::default()).unwrap_or_else(|e| panic!("{e}"));
        let entry = models.find(None).unwrap();
        assert!(models.load(&entry).await.is_err());
        assert_eq!(entry.state().name(), ModelStateName::Failed);
        assert_eq!(
            entry.loaded().err().map(|problem| problem.kind),
            Some(ProblemKind::NotReady)
        );
        assert!(!models.is_ready());
    }
}
