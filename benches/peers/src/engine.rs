//! The engines that are Rust crates, behind one small trait.

mod onelook;
mod rten;
mod tract;

use std::error::Error;
use std::time::Duration;

pub type Failure = Box<dyn Error + Send + Sync>;

/// What to load, and how.
pub struct Request {
    pub model: String,
    pub size: usize,
    pub threads: usize,
    pub batch: usize,
    /// As onelook's `--precision` spells it; the others have `f32` alone.
    pub precision: String,
}

impl Request {
    pub fn shape(&self) -> [usize; 4] {
        [self.batch, 3, self.size, self.size]
    }

    fn expect_f32(&self) -> Result<(), Failure> {
        match self.precision.as_str() {
            "f32" => Ok(()),
            other => Err(format!("no {other} here").into()),
        }
    }
}

/// How long something took.
pub struct Time {
    /// On the clock.
    pub elapsed: Duration,
    /// Of all threads together, their waiting in loops included.
    pub cpu: Duration,
}

/// What one forward pass gave.
pub struct Run {
    /// The first output, dense.
    pub output: Vec<f32>,
    /// Time of the forward pass alone, from the input in memory to the outputs in memory.
    pub time: Time,
}

pub trait Engine {
    /// Name and version.
    fn name(&self) -> String;
    /// The instructions or types in use, as far as the engine tells.
    fn path(&self) -> String {
        "f32".into()
    }
    /// One forward pass of an input of [`Request::shape`].
    fn run(&mut self, input: &[f32]) -> Result<Run, Failure>;
}

pub fn load(engine: &str, request: Request) -> Result<Box<dyn Engine>, Failure> {
    Ok(match engine {
        "onelook" => Box::new(onelook::Onelook::load(request)?),
        "rten" => Box::new(rten::Rten::load(request)?),
        "tract" => Box::new(tract::Tract::load(request)?),
        _ => return Err(format!("unknown engine {engine}: onelook, rten or tract").into()),
    })
}
