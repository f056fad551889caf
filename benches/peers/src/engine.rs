//! The engines under comparison behind one small trait.

mod onelook;
mod ort;
mod rten;
mod tract;

use std::error::Error;
use std::path::Path;
use std::time::Duration;

pub type Failure = Box<dyn Error + Send + Sync>;

/// What one forward pass gave.
pub struct Run {
    /// The first output, dense.
    pub output: Vec<f32>,
    /// Time of the forward pass alone, from the input in memory to the outputs in memory.
    pub time: Duration,
}

pub trait Engine {
    fn name(&self) -> String;
    /// One forward pass of a `[1, 3, size, size]` input.
    fn run(&mut self, input: &[f32]) -> Result<Run, Failure>;
}

/// Loads the model into every engine; ONNX Runtime takes part when a Python that has it is named.
pub fn all(
    model: &Path,
    size: usize,
    threads: usize,
    python: Option<&Path>,
) -> Result<Vec<Box<dyn Engine>>, Failure> {
    let mut engines: Vec<Box<dyn Engine>> = vec![
        Box::new(onelook::Onelook::load(model, size, threads)?),
        Box::new(rten::Rten::load(model, size, threads)?),
        Box::new(tract::Tract::load(model, size, threads)?),
    ];
    if let Some(python) = python {
        engines.push(Box::new(ort::Ort::load(python, model, size, threads)?));
    }
    Ok(engines)
}
