//! The models of a server: which there are, what state they are in, how one takes over from another.
//!
//! A model that is replaced goes on serving those who came to it, until the last has its answer; one
//! that fails to load is reported and takes nothing down with it. Names never become paths: only
//! files that the server was started with, or that lie in its model directory, can be loaded.

mod directory;
mod loaded_model;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use onelook::{Engine, LoadOptions};

use crate::config::{Config, ModelSource};
use crate::metrics::Metrics;
use crate::problem::{Kind, Problem};
use crate::statistics::Statistics;
pub use loaded_model::{BatchingWish, Served};

/// What a model is doing.
#[derive(Clone)]
pub enum State {
    /// Known, not loaded.
    Unloaded,
    /// Being loaded for the first time.
    Loading,
    /// Serving.
    Ready(Arc<Served>),
    /// Could not be loaded, and why.
    Failed(String),
}

impl State {
    /// The word for it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Unloaded => "unloaded",
            Self::Loading => "loading",
            Self::Ready(_) => "ready",
            Self::Failed(_) => "failed",
        }
    }
}

/// A name and what is behind it.
pub struct Slot {
    /// The name in requests.
    pub name: String,
    /// Where it is loaded from.
    pub source: PathBuf,
    /// What it has done.
    pub statistics: Statistics,
    state: RwLock<State>,
    /// The last load that failed while an older version went on serving.
    warning: Mutex<Option<String>>,
    /// Held while the model is loaded or unloaded; counts versions.
    versions: tokio::sync::Mutex<u64>,
}

impl Slot {
    fn new(source: ModelSource) -> Arc<Self> {
        Arc::new(Self {
            name: source.name,
            source: source.source,
            statistics: Statistics::default(),
            state: RwLock::new(State::Unloaded),
            warning: Mutex::new(None),
            versions: tokio::sync::Mutex::new(0),
        })
    }

    /// What it is doing now.
    pub fn state(&self) -> State {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.clone()
    }

    /// Why the last load failed, if it did.
    pub fn error(&self) -> Option<String> {
        match self.state() {
            State::Failed(reason) => Some(reason),
            _ => self.warning().clone(),
        }
    }

    fn warning(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.warning.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The model, if it serves.
    pub fn served(&self) -> Result<Arc<Served>, Problem> {
        let not_ready = |reason: &str| {
            let detail = format!("model '{}' {reason}", self.name);
            Problem::new(Kind::NotReady, detail)
        };
        match self.state() {
            State::Ready(served) => Ok(served),
            State::Loading => {
                Err(not_ready("is being loaded").retry_after(std::time::Duration::from_secs(1)))
            }
            State::Unloaded => Err(not_ready("is not loaded")),
            State::Failed(reason) => Err(not_ready(&format!("could not be loaded: {reason}"))),
        }
    }

    fn put(&self, state: State) -> State {
        let mut place = self.state.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *place, state)
    }
}

/// The models of one server.
pub struct Catalogue {
    slots: RwLock<BTreeMap<String, Arc<Slot>>>,
    /// Names in the order of the command line.
    order: Vec<String>,
    directory: Option<PathBuf>,
    load: LoadOptions,
    batching: BatchingWish,
    engine: OnceLock<Arc<Engine>>,
    opening: Mutex<()>,
    metrics: Arc<Metrics>,
}

impl Catalogue {
    /// The models that the configuration names; none is loaded yet.
    pub fn new(config: &Config, metrics: Arc<Metrics>) -> Result<Self, String> {
        let mut sources = config.models.clone();
        if let Some(path) = &config.model_dir {
            sources.extend(directory::models(path)?);
        }
        let mut slots = BTreeMap::new();
        let mut order = Vec::new();
        for source in sources {
            check_name(&source.name)?;
            if slots.contains_key(&source.name) {
                return Err(format!(
                    "two models are called '{}': give one another name with --model NAME=PATH",
                    source.name
                ));
            }
            order.push(source.name.clone());
            slots.insert(source.name.clone(), Slot::new(source));
        }
        Ok(Self {
            slots: RwLock::new(slots),
            order,
            directory: config.model_dir.clone(),
            load: config.load.clone(),
            batching: BatchingWish {
                max_batch: config.max_batch,
                max_delay: config.max_delay,
                queue: config.queue,
            },
            engine: OnceLock::new(),
            opening: Mutex::new(()),
            metrics,
        })
    }

    /// All models, the default first, then in the order of the command line, then by name.
    pub fn all(&self) -> Vec<Arc<Slot>> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        let named = self.order.iter().filter_map(|name| slots.get(name));
        let others = slots
            .values()
            .filter(|slot| !self.order.contains(&slot.name));
        named.chain(others).map(Arc::clone).collect()
    }

    /// The model of this name, or the default.
    pub fn slot(&self, name: Option<&str>) -> Result<Arc<Slot>, Problem> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        let wanted = name.or(self.order.first().map(String::as_str));
        let Some(wanted) = wanted else {
            let detail = "no model is known: start the server with --model or --model-dir";
            return Err(Problem::new(Kind::NotFound, detail));
        };
        slots
            .get(wanted)
            .or_else(|| slots.get(stem(wanted)))
            .map(Arc::clone)
            .ok_or_else(|| self.unknown(wanted, &slots))
    }

    /// Whether this is the model of requests that name none.
    pub fn is_default(&self, name: &str) -> bool {
        self.order.first().is_some_and(|first| first == name)
    }

    fn unknown(&self, name: &str, slots: &BTreeMap<String, Arc<Slot>>) -> Problem {
        let known: Vec<&str> = slots.keys().map(String::as_str).collect();
        let shown: String = name.chars().take(80).collect();
        let detail = format!(
            "there is no model {shown:?} here; known are: {}",
            known.join(", ")
        );
        Problem::new(Kind::NotFound, detail)
    }

    /// Whether at least one model serves and none is being loaded for the first time.
    pub fn is_ready(&self) -> bool {
        let states: Vec<State> = self.all().iter().map(|slot| slot.state()).collect();
        let loading = states.iter().any(|state| matches!(state, State::Loading));
        let ready = states.iter().any(|state| matches!(state, State::Ready(_)));
        ready && !loading
    }

    /// Looks for new files in the model directory.
    pub fn rescan(&self) {
        let Some(Ok(found)) = self.directory.as_deref().map(directory::models) else {
            return;
        };
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        for source in found {
            if check_name(&source.name).is_ok() {
                slots
                    .entry(source.name.clone())
                    .or_insert_with(|| Slot::new(source));
            }
        }
    }

    /// Marks every model as about to be loaded, so that nothing is ready before it is.
    pub fn announce(&self) -> Vec<Arc<Slot>> {
        let all = self.all();
        for slot in &all {
            slot.put(State::Loading);
        }
        all
    }

    /// Loads a model, or loads it anew while the old one serves; returns when it is ready.
    pub async fn load(&self, slot: &Arc<Slot>) -> Result<Arc<Served>, Problem> {
        let mut versions = slot.versions.lock().await;
        if !matches!(slot.state(), State::Ready(_)) {
            slot.put(State::Loading);
        }
        let version = *versions + 1;
        match self.open(slot, version).await {
            Ok(served) => {
                *versions = version;
                *slot.warning() = None;
                self.metrics
                    .model_ready
                    .with_label_values(&[&slot.name])
                    .set(1);
                retire(slot.put(State::Ready(Arc::clone(&served))));
                Ok(served)
            }
            Err(reason) => {
                tracing::error!(model = slot.name, %reason, "a model could not be loaded");
                match slot.state() {
                    State::Ready(_) => *slot.warning() = Some(reason.clone()),
                    _ => {
                        self.metrics
                            .model_ready
                            .with_label_values(&[&slot.name])
                            .set(0);
                        slot.put(State::Failed(reason.clone()));
                    }
                }
                let detail = format!("model '{}' could not be loaded: {reason}", slot.name);
                Err(Problem::new(Kind::Unprocessable, detail))
            }
        }
    }

    /// Stops a model; those who came to it still get their answers.
    pub async fn unload(&self, slot: &Arc<Slot>) {
        let _versions = slot.versions.lock().await;
        self.metrics
            .model_ready
            .with_label_values(&[&slot.name])
            .set(0);
        *slot.warning() = None;
        if let State::Ready(served) = slot.put(State::Unloaded) {
            served.gate.close();
            served.gate.drained().await;
        }
    }

    async fn open(&self, slot: &Arc<Slot>, version: u64) -> Result<Arc<Served>, String> {
        let engine = self.engine()?;
        let (options, wish) = (self.load.clone(), self.batching);
        let (owner, metrics) = (Arc::clone(slot), Arc::clone(&self.metrics));
        let opened = tokio::task::spawn_blocking(move || {
            Served::open(&engine, &owner, version, &options, &wish, &metrics)
        });
        opened
            .await
            .unwrap_or_else(|error| Err(format!("loading panicked: {error}")))
            .map(Arc::new)
    }

    /// One engine for all models, opened when first needed.
    fn engine(&self) -> Result<Arc<Engine>, String> {
        let _one = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
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

/// Lets a replaced model finish what it has.
fn retire(old: State) {
    if let State::Ready(served) = old {
        served.gate.close();
        tokio::spawn(async move { served.gate.drained().await });
    }
}

/// People write `yolo11n.pt` where the model is called `yolo11n`.
fn stem(name: &str) -> &str {
    let extensions = [".pt", ".onnx", ".safetensors"];
    let found = extensions.iter().find_map(|end| name.strip_suffix(end));
    found.unwrap_or(name)
}

/// Names stand in addresses and labels: letters, digits and `._-`, at most 128.
fn check_name(name: &str) -> Result<(), String> {
    let sound = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    if name.is_empty() || name.len() > 128 || name.starts_with('.') || !name.chars().all(sound) {
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
        let refused = Catalogue::new(&config, Arc::default()).err();
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
        let catalogue = Catalogue::new(&config, Arc::default()).unwrap_or_else(|e| panic!("{e}"));
        let slot = catalogue.slot(None).unwrap();
        assert!(catalogue.load(&slot).await.is_err());
        assert_eq!(slot.state().name(), "failed");
        assert_eq!(
            slot.served().err().map(|problem| problem.kind),
            Some(Kind::NotReady)
        );
        assert!(!catalogue.is_ready());
    }
}
