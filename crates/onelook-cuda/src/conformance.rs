//! Trials of kernels: random operands go in, what must come out is computed plainly in f64. The
//! interpreter and a device are held to the same trials.

mod maps;
mod products;
mod smaller;

use onelook_graph::op::Activation;

use crate::interpreter::{Buffer, Machine, Schedule, Trap, Value};
use crate::kernels::{Element, Tiled, Work};
use crate::lang::Target;
pub use smaller::smaller;

/// What a launch gives a kernel for a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Given {
    /// Memory with these bytes.
    Bytes(Vec<u8>),
    /// So many bytes to write to, undefined before.
    Room(usize),
    /// A number.
    Word(u32),
}

/// What must lie in a room afterwards: rows of values.
#[derive(Debug, Clone, PartialEq)]
pub struct Expected {
    /// The room's number among the rooms.
    pub room: usize,
    /// The values' format.
    pub element: Element,
    /// Values from one row to the next.
    pub pitch: usize,
    /// Values of a row that count.
    pub columns: usize,
    /// The rows' values, one after the other.
    pub values: Vec<f64>,
}

/// A kernel's operands and results.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// One per parameter.
    pub given: Vec<Given>,
    /// What must come of it.
    pub expected: Vec<Expected>,
}

impl Trial {
    /// Fresh operands by this seed for a kernel, and its results; none for kinds of work that are
    /// held to other trials.
    pub fn new(work: &Work, batch: u32, seed: u64) -> Option<Self> {
        let mut random = Random(seed);
        match work {
            Work::Conv { shape, tile } => Some(products::conv(shape, tile, batch, &mut random)),
            Work::Depthwise { shape, tile } => {
                Some(products::depthwise(shape, tile, batch, &mut random))
            }
            Work::PoolChain(shape) => Some(maps::pool_chain(shape, batch, &mut random)),
            Work::Pool(shape) => Some(maps::pool(shape, batch, &mut random)),
            Work::Attention(shape) => Some(maps::attention(shape, batch, &mut random)),
            Work::ToMap(planes) => Some(maps::to_map(planes, batch, &mut random)),
            Work::FromMap(planes) => Some(maps::from_map(planes, batch, &mut random)),
            Work::Stem(_) | Work::Head(_) | Work::Nms(_) => None,
        }
    }

    /// Runs the kernel in the interpreter; the rooms' bytes.
    ///
    /// # Errors
    /// What the interpreter finds wrong, a value that was never written among it.
    pub fn interpret(&self, tiled: &Tiled, schedule: &Schedule) -> Result<Vec<Vec<u8>>, Trap> {
        let mut machine = Machine::new();
        let mut rooms: Vec<Buffer> = Vec::new();
        let values: Vec<Value> = self
            .given
            .iter()
            .map(|given| {
                let bytes = match given {
                    Given::Word(word) => return Value::Word(*word),
                    Given::Bytes(bytes) => bytes.len(),
                    Given::Room(bytes) => *bytes,
                };
                let buffer = machine.allocate(bytes);
                match given {
                    Given::Bytes(bytes) => machine.write(buffer, 0, bytes),
                    _ => rooms.push(buffer),
                }
                Value::Memory {
                    buffer,
                    offset: 0,
                    bytes,
                }
            })
            .collect();
        machine.launch(&tiled.kernel, tiled.grid, &values, schedule)?;
        let mut contents: Vec<Vec<u8>> = rooms
            .iter()
            .zip(self.given.iter().filter_map(Given::room))
            .map(|(&buffer, bytes)| Ok(machine.read_partly(buffer, 0, bytes)?.0))
            .collect::<Result<_, Trap>>()?;
        for expected in &self.expected {
            for (offset, bytes) in expected.rows() {
                let row = machine.read(rooms[expected.room], offset, bytes)?;
                contents[expected.room][offset..][..bytes].copy_from_slice(&row);
            }
        }
        Ok(contents)
    }

    /// How far the rooms' values are off: `‖actual - expected‖ / ‖expected‖` over all that counts;
    /// NaN if any is no number.
    pub fn deviation(&self, rooms: &[Vec<u8>]) -> f64 {
        let (mut off, mut all) = (0.0, 0.0);
        for expected in &self.expected {
            let rows = expected
                .rows()
                .zip(expected.values.chunks(expected.columns));
            for ((offset, bytes), wanted) in rows {
                let actual = &rooms[expected.room][offset..][..bytes];
                for (actual, &wanted) in expected.element.decode(actual).iter().zip(wanted) {
                    off += (f64::from(*actual) - wanted).powi(2);
                    all += wanted.powi(2);
                }
            }
        }
        (off / all).sqrt()
    }
}

impl Given {
    fn room(&self) -> Option<usize> {
        match self {
            Self::Room(bytes) => Some(*bytes),
            _ => None,
        }
    }
}

impl Expected {
    /// First byte and bytes of each row.
    fn rows(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let bytes = self.element.bytes() as usize;
        let (pitch, columns) = (self.pitch * bytes, self.columns * bytes);
        (0..self.values.len() / self.columns).map(move |row| (row * pitch, columns))
    }
}

/// How far off results of this format may be.
pub fn tolerance(element: Element) -> f64 {
    match element {
        Element::F16 => 2e-3,
        Element::F32 => 1e-5,
    }
}

/// The worst deviation of a kernel for this work under `schedules` hostile schedules, or what the
/// interpreter found wrong; none for work that is held to other trials.
pub fn try_in_interpreter(
    work: &Work,
    target: Target,
    batch: u32,
    schedules: u64,
) -> Option<Result<f64, Trap>> {
    let trial = Trial::new(work, batch, 1)?;
    let tiled = work.tiled(target, "trial", batch);
    let mut worst = 0.0f64;
    for seed in 1..=schedules {
        match trial.interpret(&tiled, &Schedule::adversarial(seed)) {
            // NaN must not get lost.
            Ok(rooms) => match trial.deviation(&rooms) {
                off if off >= worst || off.is_nan() => worst = off,
                _ => {}
            },
            Err(trap) => return Some(Err(trap)),
        }
    }
    Some(Ok(worst))
}

/// Fails unless the kernel does the work right under five hostile schedules.
#[cfg(test)]
pub(crate) fn assert_conforms(work: &Work, target: Target, batch: u32) {
    let outcome = try_in_interpreter(work, target, batch, 5).expect("there is a trial of it");
    let off = outcome.unwrap_or_else(|trap| panic!("{work:?}: {trap}"));
    assert!(off <= tolerance(work.element()), "{work:?}: off by {off:e}");
}

/// Random values, repeatable.
struct Random(u64);

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
