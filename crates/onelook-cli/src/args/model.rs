//! Which model, and where it runs.

use std::path::{Path, PathBuf};

use clap::Args;
use onelook::graph::family::has_random_weights;
use onelook::types::{Metadata, Precision, Task};
use onelook::{Device, LoadOptions, Model, registry};

use super::{boolean, byte_size};
use crate::console::Console;
use crate::failure::Failure;

/// Taken when no model is named.
const DEFAULT: &str = "yolo11n";

/// Taken instead when the default cannot be fetched.
const FALLBACK: &str = "yolo26n";

/// Which model, and where it runs.
#[derive(Args, Clone, Default)]
pub struct ModelArgs {
    /// Model: a .pt, .onnx or .safetensors file, or a name of `onelook models list`. Without it
    /// yolo11n, or yolo26n where only a package mirror can be reached. A name such as yolo11x.yaml
    /// is that architecture with random weights.
    #[arg(long, short, value_name = "FILE|NAME")]
    pub model: Option<String>,
    /// Where it runs, and how.
    #[command(flatten)]
    pub engine: EngineArgs,
    /// What the model must be for; also accepted as a word before the command.
    #[arg(long, hide = true)]
    pub task: Option<Task>,
}

/// Where models run, and how.
#[derive(Args, Clone, Default)]
pub struct EngineArgs {
    /// Device: auto, cpu, reference (plain and slow), or a GPU as 0, 0,1, cuda:0, -1.
    #[arg(
        long,
        default_value = "auto",
        allow_hyphen_values = true,
        value_name = "DEVICE"
    )]
    pub device: String,
    /// Threads of the CPU engine [default: all cores]
    #[arg(long, alias = "workers", value_name = "N")]
    pub threads: Option<usize>,
    /// Most memory of a GPU to take, such as 4GiB or 800MB [default: all of it]
    #[arg(long, value_parser = byte_size, value_name = "BYTES")]
    pub gpu_memory: Option<u64>,
    /// Number format in bits: 32, 16 or 8 [default: 32]
    #[arg(long, alias = "precision", value_name = "BITS")]
    pub quantize: Option<Precision>,
    /// For models with two heads (YOLO26): the one without NMS (true) or with it (false)
    /// [default: with NMS where the file has both]
    #[arg(long, alias = "end2end", num_args = 0..=1, default_missing_value = "true",
          value_parser = boolean, value_name = "BOOL")]
    pub end_to_end: Option<bool>,
}

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
        self.engine.options()
    }

    /// Finds the model, fetching it if need be, and loads it.
    pub fn load(&self, console: &Console) -> Result<Model, Failure> {
        let options = self.options()?;
        let model = Model::load(self.locate(console)?, &options)?;
        warn_of_random_weights(model.name(), model.metadata(), console);
        if let Some(warning) = model.warning() {
            console.warn(warning);
        }
        let task = model.metadata().task;
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

/// Nobody may take the boxes of an architecture for those of a model.
pub fn warn_of_random_weights(name: &str, metadata: &Metadata, console: &Console) {
    if has_random_weights(metadata) {
        console.warn(format!(
            "the weights of '{name}' are random, it is an architecture only: time and memory are \
             real, boxes mean nothing"
        ));
    }
}
