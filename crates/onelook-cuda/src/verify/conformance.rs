//! Trials of kernels: random operands go in, what must come out is computed plainly in f64. The
//! interpreter and a device are held to the same trials.

pub(crate) mod head;
mod maps;
pub(crate) mod nms;
mod products;
mod results;
mod smaller;
pub(crate) mod stem;
#[cfg(test)]
mod tests;

use onelook_graph::op::Activation;
use onelook_ptx::interpreter::{Buffer, Machine, Schedule, Trap, Value};
use onelook_ptx::lang::Target;

use crate::kernels::{Element, Tiled, Work};
use crate::settings::Settings;
pub(crate) use results::worse;
pub use results::{Expected, Results};
pub use smaller::smaller;

/// What a launch gives a kernel for a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Given {
    /// Memory with these bytes.
    Bytes(Vec<u8>),
    /// A room: so many bytes to write to, undefined before.
    Room(usize),
    /// A room of so many bytes that are 0 before.
    Zeros(usize),
    /// A number.
    Word(u32),
}

/// A kernel's operands and results.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// One per parameter.
    pub given: Vec<Given>,
    /// What must come of it.
    pub results: Results,
}

/// What is wrong with a kernel.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Failure {
    /// It does what no kernel may do.
    #[error(transparent)]
    Trap(#[from] Trap),
    /// Its results are others, not just less precise.
    #[error("{0}")]
    Results(String),
}

impl Trial {
    /// Fresh operands by this seed for a kernel, and its results.
    pub fn new(work: &Work, target: Target, batch: u32, seed: u64) -> Self {
        let random = &mut Random(seed);
        match work {
            Work::Conv { shape, tile } => products::conv(shape, tile, batch, random),
            Work::Depthwise { shape, tile } => products::depthwise(shape, tile, batch, random),
            Work::PoolChain(shape) => maps::pool_chain(shape, batch, random),
            Work::Pool(shape) => maps::pool(shape, batch, random),
            Work::Attention(shape) => maps::attention(shape, batch, random),
            Work::ToMap(planes) => maps::to_map(planes, batch, random),
            Work::FromMap(planes) => maps::from_map(planes, batch, random),
            Work::Stem(shape) => stem::any(shape, batch, random),
            Work::Head(shape) => head::any(shape, target, batch, random),
            Work::Nms(shape) => nms::any(shape, batch, random),
        }
    }

    /// Runs the kernel in the interpreter; the rooms' bytes.
    ///
    /// # Errors
    /// What the interpreter finds wrong, a value that was never written among it.
    pub fn interpret(&self, tiled: &Tiled, schedule: &Schedule) -> Result<Vec<Vec<u8>>, Trap> {
        let mut machine = Machine::new();
        let mut rooms: Vec<(Buffer, usize)> = Vec::new();
        let values: Vec<Value> = self
            .given
            .iter()
            .map(|given| {
                let bytes = match given {
                    Given::Word(word) => return Value::Word(*word),
                    Given::Bytes(bytes) => bytes.len(),
                    Given::Room(bytes) | Given::Zeros(bytes) => *bytes,
                };
                let buffer = machine.allocate(bytes);
                match given {
                    Given::Bytes(bytes) => machine.write(buffer, 0, bytes),
                    Given::Zeros(bytes) => machine.write(buffer, 0, &vec![0; *bytes]),
                    Given::Room(_) | Given::Word(_) => {}
                }
                if given.is_room() {
                    rooms.push((buffer, bytes));
                }
                Value::Memory {
                    buffer,
                    offset: 0,
                    bytes,
                }
            })
            .collect();
        machine.launch(&tiled.kernel, tiled.grid, &values, schedule)?;
        let contents: Vec<Vec<u8>> = rooms
            .iter()
            .map(|&(buffer, bytes)| Ok(machine.read_partly(buffer, 0, bytes)?.0))
            .collect::<Result<_, Trap>>()?;
        for run in self.results.runs(&contents) {
            machine.read(rooms[run.room].0, run.offset, run.bytes)?;
        }
        Ok(contents)
    }
}

impl Given {
    /// Whether the kernel writes to it.
    pub fn is_room(&self) -> bool {
        matches!(self, Self::Room(_) | Self::Zeros(_))
    }
}

/// How far off results of this format may be.
pub fn tolerance(element: Element) -> f64 {
    match element {
        Element::F16 => 2e-3,
        Element::F32 => 1e-5,
    }
}

/// The worst deviation of a kernel for this work under `schedules` hostile schedules, or what is
/// wrong with it.
pub fn try_in_interpreter(
    work: &Work,
    target: Target,
    batch: u32,
    schedules: u64,
) -> Result<f64, Failure> {
    let trial = Trial::new(work, target, batch, 1);
    trial.under_hostile_schedules(&work.tiled(target, "trial", batch), schedules)
}

impl Trial {
    /// The worst deviation of a kernel under so many hostile schedules, or what is wrong with it.
    pub(crate) fn under_hostile_schedules(
        &self,
        tiled: &Tiled,
        schedules: u64,
    ) -> Result<f64, Failure> {
        let mut worst = 0.0;
        for seed in 1..=schedules {
            let rooms = self.interpret(tiled, &Schedule::adversarial(seed))?;
            let off = self.results.deviation(&rooms).map_err(Failure::Results)?;
            worst = results::worse(worst, off);
        }
        Ok(worst)
    }
}

/// Fails unless the kernel does the work right under five hostile schedules.
#[cfg(test)]
pub(crate) fn assert_conforms(work: &Work, target: Target, batch: u32) {
    let trial = Trial::new(work, target, batch, 1);
    assert_passes(&trial, work, target, batch);
}

/// Fails unless the kernel passes the trial under five hostile schedules.
#[cfg(test)]
pub(crate) fn assert_passes(trial: &Trial, work: &Work, target: Target, batch: u32) {
    let outcome = trial.under_hostile_schedules(&work.tiled(target, "trial", batch), 5);
    let off = outcome.unwrap_or_else(|failure| panic!("{work:?}: {failure}"));
    assert!(off <= tolerance(work.element()), "{work:?}: off by {off:e}");
}

/// Random values, repeatable.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// From -1 to 1.
    fn value(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed >> 40) as f32 / (1 << 23) as f32) - 1.0
    }

    fn values(&mut self, count: usize, scale: f32) -> Vec<f32> {
        (0..count).map(|_| self.value() * scale).collect()
    }

    /// Values that the format has.
    fn rounded(&mut self, count: usize, scale: f32, element: Element) -> Vec<f32> {
        element.decode(&element.encode(self.values(count, scale)))
    }
}

/// Values as a kernel gets them.
fn given(element: Element, values: &[f32]) -> Given {
    Given::Bytes(element.encode(values.iter().copied()))
}

/// The activation's value in f64.
fn apply(activation: Option<Activation>, x: f64) -> f64 {
    match activation {
        None => x,
        Some(Activation::Silu) => x / (1.0 + (-x).exp()),
        Some(Activation::Sigmoid) => 1.0 / (1.0 + (-x).exp()),
        Some(Activation::Relu) => x.max(0.0),
        Some(Activation::Exp) => x.exp(),
    }
}

/// Settings as a kernel gets them.
fn encoded(settings: &Settings, classes: u32) -> Given {
    let bytes = settings.encode(classes as usize);
    Given::Bytes(bytes.expect("trials ask for few detections"))
}
