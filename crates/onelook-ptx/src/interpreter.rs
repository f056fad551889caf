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
mod context;
mod copies;
mod execute;
mod global;
mod lanes;
mod mbarrier;
mod mma;
mod pending;
mod races;
mod report;
mod schedule;
mod shared_memory;
mod tensor;
mod tensor_map;
mod traffic;
mod trap;
mod value;
mod warp;
mod wgmma;

pub use global::Buffer;
use global::{GrantedRange, GrantedRanges, Memory, address_of};
pub use report::Report;
pub use schedule::Schedule;
pub use tensor_map::{CopyMode, TensorMap};
pub use trap::Trap;
pub use value::Value;

use crate::lang::{Kernel, ParameterKind};

/// Device memory, and launches on it.
#[derive(Debug, Default)]
pub struct Machine {
    memory: Memory,
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
