//! A model as the flags say: found, fetched if need be, loaded.

use std::path::{Path, PathBuf};

use onelook::graph::family::has_random_weights;
use onelook::types::Metadata;
use onelook::{Device, LoadOptions, Model, registry};

use crate::console::Console;
use crate::failure::Failure;
use crate::flags::{EngineArgs, ModelArgs};

/// Taken when no model is named.
const DEFAULT: &str = "yolo11n";

/// Taken instead when the default cannot be fetched.
const FALLBACK: &str = "yolo26n";

impl EngineArgs {
    /// What the flags mean for loading.
    pub fn options(&self) -> Result<LoadOptions, Failure> {
        let device: Device = self
            .device
            .parse()
            .map_err(|error: onelook::Error| Failure::Usage(error.to_string()))?;
        if self.threads == Some(0) {
            return Err(Failure::Usage(
                "--threads: expected at least 1; leave it out to use all cores".to_owned(),
            ));
        }
        Ok(LoadOptions {
            device,
            threads: self.threads,
            gpu_memory: self.gpu_memory,
            precision: self.quantize.unwrap_or_default(),
            end_to_end: self.end_to_end,
            ..LoadOptions::default()
        })
    }
}

impl ModelArgs {
    /// What the flags mean for loading.
    pub fn options(&self) -> Result<LoadOptions, Failure> {
        let mut options = self.engine.options()?;
        if let Some(bytes) = self.max_model_bytes {
            let limits = &mut options.limits;
            limits.file_bytes = bytes;
            limits.tensor_bytes = bytes;
        }
        Ok(options)
    }

    /// Finds the model, fetching it if need be, and loads it.
    pub fn load(&self, console: &Console) -> Result<Model, Failure> {
        let options = self.options()?;
        let model = Model::load(self.locate(console)?, &options)?;
        warn_of_random_weights(model.name(), model.metadata(), console);
        if let Some(warning) = model.warning() {
            console.warn(warning);
        }
        let task = model.metadata().task();
        match self.task {
            Some(wanted) if wanted != task => Err(Failure::Usage(format!(
                "'{}' is a model for {task}, not for {wanted}",
                model.name()
            ))),
            _ => Ok(model),
        }
    }

    /// The model's file, fetched if need be.
    pub fn locate(&self, console: &Console) -> Result<PathBuf, Failure> {
        let find = |name: &str| {
            registry::resolve(Path::new(name), &mut console.fetching())
                .map_err(|error| Failure::from(onelook::Error::from(error)))
        };
        match &self.model {
            Some(name) => find(name),
            None => find(DEFAULT).or_else(|_| {
                console.warn(format!(
                    "{DEFAULT} could not be fetched, {FALLBACK} is used instead"
                ));
                find(FALLBACK)
            }),
        }
    }
}

/// Warns that the boxes of an architecture with random weights mean nothing.
pub fn warn_of_random_weights(name: &str, metadata: &Metadata, console: &Console) {
    if has_random_weights(metadata) {
        console.warn(format!(
            "the weights of '{name}' are random, it is an architecture only: time and memory are \
             real, boxes mean nothing"
        ));
    }
}
