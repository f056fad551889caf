//! Runs kernels on the CPU, exactly as written, on machines without a GPU.
//!
//! Comes in: a kernel, a grid, values for its parameters. Goes out: memory and a [`Report`] of what
//! was executed, or a [`Trap`]. Reading a value that was never written, an access outside of the
//! memory that was passed in, a race or a missing wait each end the launch, even if the results
//! would have been right this time.

mod access;
mod arithmetic;
mod block;
mod clocks;
mod code;
mod copies;
mod global;
mod lanes;
mod mbarrier;
mod mma;
mod races;
mod report;
mod shared_memory;
mod tensor;
mod traffic;
mod trap;
mod warp;
mod wgmma;

use global::{GrantedRange, GrantedRanges, Memory, address_of};
pub use report::Report;
pub use tensor::{CopyMode, TensorMap};
pub use trap::Trap;

use crate::lang::{Kernel, ParameterKind};

/// Device memory, and launches on it.
#[derive(Debug, Default)]
pub struct Machine {
    memory: Memory,
}

/// An allocation of a [`Machine`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Buffer(usize);

/// What a launch gives a kernel for a parameter.
#[derive(Debug, Clone)]
pub enum Value {
    /// An address, and how many bytes from there on the kernel may access.
    Memory {
        /// The allocation.
        buffer: Buffer,
        /// The byte.
        offset: usize,
        /// How many.
        bytes: usize,
    },
    /// 32 bits.
    Word(u32),
    /// A tensor in device memory, for TMA; it may be read whole.
    TensorMap(TensorMap),
}

/// In which order warps and blocks run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// 0: block after block, warp after warp. Otherwise warps and blocks take turns in random
    /// order, for random numbers of instructions, and copies arrive at random times, all from this
    /// seed.
    pub seed: u64,
}

impl Schedule {
    /// Block after block, each warp until it has to wait: the fastest.
    pub fn in_order() -> Self {
        Self { seed: 0 }
    }

    /// Everything in an order drawn from this seed.
    pub fn adversarial(seed: u64) -> Self {
        Self {
            seed: seed.wrapping_mul(2).wrapping_add(1),
        }
    }

    /// Returns a function that picks one of `count` candidates each time it is called: the first if
    /// the schedule is in order, else a random one.
    pub fn picks(self) -> impl FnMut(usize) -> usize {
        let mut random = Random(self.seed);
        move |count| match self.seed {
            0 => 0,
            _ => random.below(count),
        }
    }
}

/// A seeded random number generator (SplitMix64).
#[derive(Debug, Clone, Copy)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    fn coin(&mut self) -> bool {
        self.next() & 1 == 1
    }
}

impl Machine {
    /// A machine without memory.
    pub fn new() -> Self {
        Self::default()
    }

    /// Memory whose bytes have no value yet.
    pub fn allocate(&mut self, bytes: usize) -> Buffer {
        self.memory.allocate(bytes)
    }

    /// Writes bytes.
    ///
    /// # Panics
    /// When the buffer has no such bytes.
    pub fn write(&mut self, buffer: Buffer, offset: usize, bytes: &[u8]) {
        let inside = self.memory.check(buffer, offset, bytes.len());
        inside.unwrap_or_else(|trap| panic!("{trap}"));
        self.memory.store(address_of(buffer, offset), bytes);
    }

    /// Marks bytes as never written.
    ///
    /// # Panics
    /// When the buffer has no such bytes.
    pub fn poison(&mut self, buffer: Buffer, offset: usize, bytes: usize) {
        let inside = self.memory.check(buffer, offset, bytes);
        inside.unwrap_or_else(|trap| panic!("{trap}"));
        let own = self.memory.buffer(buffer.0);
        own.written[offset..offset + bytes].fill(0);
        own.bytes[offset..offset + bytes].fill(0xcd);
    }

    /// Reads bytes.
    ///
    /// # Errors
    /// A trap when one of them was never written or the buffer has no such bytes.
    pub fn read(&self, buffer: Buffer, offset: usize, bytes: usize) -> Result<Vec<u8>, Trap> {
        self.memory.check(buffer, offset, bytes)?;
        let own = self.memory.of(buffer);
        let written = &own.written[offset..offset + bytes];
        if let Some(at) = written.iter().position(|&written| written == 0) {
            let what = format!("poison: byte {} of what is read has no value", at + offset);
            return Err(Trap::outside(what));
        }
        Ok(own.bytes[offset..offset + bytes].to_vec())
    }

    /// Reads bytes, and which of them were ever written; the others are 0.
    ///
    /// # Errors
    /// A trap when the buffer has no such bytes.
    pub fn read_partly(
        &self,
        buffer: Buffer,
        offset: usize,
        bytes: usize,
    ) -> Result<(Vec<u8>, Vec<bool>), Trap> {
        self.memory.check(buffer, offset, bytes)?;
        let own = self.memory.of(buffer);
        let written: Vec<bool> = own.written[offset..offset + bytes]
            .iter()
            .map(|&written| written == 1)
            .collect();
        let values = own.bytes[offset..offset + bytes].iter().zip(&written);
        let values = values.map(|(&byte, &written)| if written { byte } else { 0 });
        Ok((values.collect(), written))
    }

    /// Declares that launches write this buffer, before the first one that does: a kernel that may
    /// start early must wait (`GridWait`) before it accesses such a buffer.
    pub fn expect_launches_to_write(&mut self, buffer: Buffer) {
        self.memory.mark(address_of(buffer, 0));
    }

    /// Runs a kernel over a grid of blocks.
    ///
    /// # Errors
    /// A trap for anything that a GPU does not define, and for values that do not fit the
    /// parameters.
    pub fn launch(
        &mut self,
        kernel: &Kernel,
        grid: [u32; 3],
        values: &[Value],
        schedule: &Schedule,
    ) -> Result<Report, Trap> {
        let ranges = self.ranges(kernel, values)?;
        let written: Vec<u64> = ranges
            .all
            .iter()
            .filter(|r| r.writable)
            .map(|r| r.first)
            .collect();
        let outcome = block::run(&mut self.memory, kernel, grid, values, ranges, *schedule);
        written
            .into_iter()
            .for_each(|first| self.memory.mark(first));
        outcome
    }

    fn ranges(&self, kernel: &Kernel, values: &[Value]) -> Result<GrantedRanges, Trap> {
        let wrong = |what: String| Trap::in_kernel(&kernel.name, what);
        if kernel.parameters.len() != values.len() {
            let (given, needed) = (values.len(), kernel.parameters.len());
            return Err(wrong(format!("{given} values for {needed} parameters")));
        }
        let mut ranges = Vec::new();
        for (parameter, value) in kernel.parameters.iter().zip(values) {
            match (parameter.kind, value) {
                (
                    kind @ (ParameterKind::Input | ParameterKind::Output),
                    &Value::Memory {
                        buffer,
                        offset,
                        bytes,
                    },
                ) => {
                    let inside = self.memory.check(buffer, offset, bytes);
                    inside.map_err(|trap| wrong(format!("'{}': {trap}", parameter.name)))?;
                    ranges.push(GrantedRange {
                        first: address_of(buffer, offset),
                        end: address_of(buffer, offset + bytes),
                        writable: kind == ParameterKind::Output,
                        tracked: false,
                    });
                }
                (ParameterKind::Word, Value::Word(_)) => {}
                (ParameterKind::TensorMap, Value::TensorMap(map)) => {
                    let name = &parameter.name;
                    let unsound = || wrong(format!("'{name}' is no tensor map: {map:?}"));
                    let reach = map.reach().ok_or_else(unsound)?;
                    let inside = self.memory.check(map.buffer, map.offset, reach);
                    inside.map_err(|trap| wrong(format!("'{name}': {trap}")))?;
                    ranges.push(GrantedRange {
                        first: address_of(map.buffer, map.offset),
                        end: address_of(map.buffer, map.offset + reach),
                        writable: false,
                        tracked: false,
                    });
                }
                _ => return Err(wrong(format!("'{}' gets {value:?}", parameter.name))),
            }
        }
        Ok(GrantedRanges::new(ranges))
    }
}

#[cfg(test)]
mod tests;
