//! Test cases for kernels: random operands, and the expected results computed with plain loops in
//! f64. The interpreter and a device run the same cases.

pub(crate) mod candidates;
mod detections;
pub(crate) mod head;
mod maps;
pub(crate) mod nms;
mod products;
mod results;
mod rows;
mod smaller;
pub(crate) mod stem;
#[cfg(test)]
mod tests;

use onelook_graph::op::Activation;
use onelook_ptx::interpreter::{Buffer, Machine, Schedule, Trap, Value};
use onelook_ptx::lang::Target;

use crate::kernels::{Element, KernelSpec, Tiled};
use crate::settings::Settings;
pub use results::Results;
pub use rows::Expected;
pub(crate) use rows::worse;
pub use smaller::smaller;

/// The argument of a kernel's parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KernelArg {
    /// Memory with these bytes.
    Bytes(Vec<u8>),
    /// An output buffer of so many bytes, undefined before.
    Output(usize),
    /// An output buffer of so many bytes, zero before.
    ZeroedOutput(usize),
    /// A number.
    Word(u32),
}

/// A kernel's arguments and expected results.
#[derive(Debug, Clone, PartialEq)]
pub struct KernelTestCase {
    /// One per parameter.
    pub args: Vec<KernelArg>,
    /// What the outputs must contain.
    pub results: Results,
}

/// What is wrong with a kernel.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Failure {
    /// The interpreter found a fault.
    #[error(transparent)]
    Trap(#[from] Trap),
    /// Its results are different, not just less precise.
    #[error("{0}")]
    Results(String),
}

impl KernelTestCase {
    /// Fresh operands by this seed for a kernel, and its results.
    pub fn new(spec: &KernelSpec, target: Target, batch: u32, seed: u64) -> Self {
        let random = &mut Random(seed);
        match spec {
            KernelSpec::Conv { shape, tile } => products::conv(shape, tile, batch, random),
            KernelSpec::Depthwise { shape, tile } => {
                products::depthwise(shape, tile, batch, random)
            }
            KernelSpec::PoolChain(shape) => maps::pool_chain(shape, batch, random),
            KernelSpec::Pool(shape) => maps::pool(shape, batch, random),
            KernelSpec::Attention(shape) => maps::attention(shape, batch, random),
            KernelSpec::ToMap(planes) => maps::to_map(planes, batch, random),
            KernelSpec::FromMap(planes) => maps::from_map(planes, batch, random),
            KernelSpec::Stem(shape) => stem::any(shape, batch, random),
            KernelSpec::Head(shape) => head::any(shape, target, batch, random),
            KernelSpec::Nms(shape) => nms::any(shape, batch, random),
        }
    }

    /// Runs the kernel in the interpreter; the outputs' bytes.
    ///
    /// # Errors
    /// What the interpreter finds wrong, a value that was never written among it.
    pub fn interpret(&self, tiled: &Tiled, schedule: &Schedule) -> Result<Vec<Vec<u8>>, Trap> {
        let mut machine = Machine::new();
        let mut outputs: Vec<(Buffer, usize)> = Vec::new();
        let values: Vec<Value> = self
            .args
            .iter()
            .map(|arg| {
                let bytes = match arg {
                    KernelArg::Word(word) => return Value::Word(*word),
                    KernelArg::Bytes(bytes) => bytes.len(),
                    KernelArg::Output(bytes) | KernelArg::ZeroedOutput(bytes) => *bytes,
                };
                let buffer = machine.allocate(bytes);
                match arg {
                    KernelArg::Bytes(bytes) => machine.write(buffer, 0, bytes),
                    KernelArg::ZeroedOutput(bytes) => machine.write(buffer, 0, &vec![0; *bytes]),
                    KernelArg::Output(_) | KernelArg::Word(_) => {}
                }
                if arg.is_output() {
                    outputs.push((buffer, bytes));
                }
                Value::Memory {
                    buffer,
                    offset: 0,
                    bytes,
                }
            })
            .collect();
        machine.launch(&tiled.kernel, tiled.grid, &values, schedule)?;
        let contents: Vec<Vec<u8>> = outputs
            .iter()
            .map(|&(buffer, bytes)| Ok(machine.read_partly(buffer, 0, bytes)?.0))
            .collect::<Result<_, Trap>>()?;
        for run in self.results.runs(&contents) {
            machine.read(outputs[run.output].0, run.offset, run.bytes)?;
        }
        Ok(contents)
    }
}

impl KernelArg {
    /// Whether the kernel writes to it.
    pub fn is_output(&self) -> bool {
        matches!(self, Self::Output(_) | Self::ZeroedOutput(_))
    }
}

/// How far off results of this format may be.
pub fn tolerance(element: Element) -> f64 {
    match element {
        Element::F16 => 2e-3,
        Element::F32 => 1e-5,
    }
}

/// The worst deviation of a kernel of this spec under `schedules` adversarial schedules, or what is
/// wrong with it.
pub fn try_in_interpreter(
    spec: &KernelSpec,
    target: Target,
    batch: u32,
    schedules: u64,
) -> Result<f64, Failure> {
    let case = KernelTestCase::new(spec, target, batch, 1);
    case.under_adversarial_schedules(&spec.tiled(target, "case", batch), schedules)
}

impl KernelTestCase {
    /// The worst deviation of a kernel under so many adversarial schedules, or what is wrong with
    /// it.
    pub(crate) fn under_adversarial_schedules(
        &self,
        tiled: &Tiled,
        schedules: u64,
    ) -> Result<f64, Failure> {
        let mut worst = 0.0;
        for seed in 1..=schedules {
            let outputs = self.interpret(tiled, &Schedule::adversarial(seed))?;
            let off = self.results.deviation(&outputs).map_err(Failure::Results)?;
            worst = rows::worse(worst, off);
        }
        Ok(worst)
    }
}

/// Fails unless the kernel computes its spec correctly under five adversarial schedules.
#[cfg(test)]
pub(crate) fn assert_conforms(spec: &KernelSpec, target: Target, batch: u32) {
    let case = KernelTestCase::new(spec, target, batch, 1);
    assert_passes(&case, spec, target, batch);
}

/// Fails unless the kernel passes the case under five adversarial schedules.
#[cfg(test)]
pub(crate) fn assert_passes(case: &KernelTestCase, spec: &KernelSpec, target: Target, batch: u32) {
    let outcome = case.under_adversarial_schedules(&spec.tiled(target, "case", batch), 5);
    let off = outcome.unwrap_or_else(|failure| panic!("{spec:?}: {failure}"));
    assert!(off <= tolerance(spec.element()), "{spec:?}: off by {off:e}");
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
fn input_arg(element: Element, values: &[f32]) -> KernelArg {
    KernelArg::Bytes(element.encode(values.iter().copied()))
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

/// The settings of each image as a kernel gets them.
fn encoded(settings: &[Settings], classes: u32) -> KernelArg {
    let encode = |settings: &Settings| settings.encode(classes as usize);
    let bytes: Result<Vec<Vec<u8>>, _> = settings.iter().map(encode).collect();
    KernelArg::Bytes(bytes.expect("cases ask for few detections").concat())
}
