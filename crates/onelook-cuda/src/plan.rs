//! What is launched for inputs of one shape: kernels in order, each with its grid and its memory.
//! The interpreter and the driver run the same plan.

use std::sync::Arc;

use onelook_ptx::lang::Kernel;
use onelook_types::Shape;

use crate::kernels::KernelSpec;

/// Memory that launches share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Region {
    /// Values between launches; its content before the first is undefined.
    Arena,
    /// Constants: packed weights, biases, tables.
    Constants,
    /// Words that are zero before the first launch of every run.
    Counters,
    /// What the caller brings, by number.
    Input(usize),
    /// What the caller gets, by number.
    Output(usize),
}

/// Something of each region: its bytes, or where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Regions<T> {
    /// Of the arena.
    pub arena: T,
    /// Of the constants.
    pub constants: T,
    /// Of the counters.
    pub counters: T,
    /// Of each input.
    pub inputs: Vec<T>,
    /// Of each output.
    pub outputs: Vec<T>,
}

impl<T> Regions<T> {
    /// That of one region; nothing where the plan has none of this number.
    pub fn get(&self, region: Region) -> Option<&T> {
        match region {
            Region::Arena => Some(&self.arena),
            Region::Constants => Some(&self.constants),
            Region::Counters => Some(&self.counters),
            Region::Input(number) => self.inputs.get(number),
            Region::Output(number) => self.outputs.get(number),
        }
    }
}

/// What a launch gives a kernel for a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Argument {
    /// An address, and how many bytes from there on the kernel may access.
    Memory {
        /// Where.
        region: Region,
        /// First byte.
        offset: usize,
        /// Bytes.
        bytes: usize,
    },
    /// 32 bits.
    Word(u32),
}

impl Argument {
    /// Bytes of memory whose size the caller decides: up to its end.
    pub const WHOLE: usize = usize::MAX;
}

/// One launch.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The layers that it computes, for display.
    pub name: String,
    /// What it computes, if lowering made it.
    pub spec: Option<KernelSpec>,
    /// The kernel.
    pub kernel: Arc<Kernel>,
    /// Blocks along x, y and z.
    pub grid: [u32; 3],
    /// One per parameter.
    pub arguments: Vec<Argument>,
    /// The earlier launches whose results it reads or whose memory it takes over.
    pub after: Vec<usize>,
    /// Images, channels, height and width of the (first) map that it writes; empty where it writes
    /// none.
    pub output: Shape,
    /// The tiles in words, such as `64x32x32, 4 warps, 3 stages`.
    pub choice: String,
    /// Multiplications and additions of the layers.
    pub flops: u64,
    /// Bytes that must be read and written, each once.
    pub bytes: u64,
}

/// Everything that a run needs to know about inputs of one shape.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// In an order that respects [`Launch::after`].
    pub launches: Vec<Launch>,
    /// Bytes of the arena.
    pub arena_bytes: usize,
    /// Bytes of values if no two shared memory.
    pub unshared_bytes: usize,
    /// The constants' bytes.
    pub constants: Vec<u8>,
    /// Bytes of the counters.
    pub counter_bytes: usize,
    /// Bytes of each input; [`Argument::WHOLE`] where the caller decides.
    pub inputs: Vec<usize>,
    /// Bytes of each output.
    pub outputs: Vec<usize>,
}

impl Plan {
    /// Bytes of each region; [`Argument::WHOLE`] where the caller decides.
    pub fn bytes(&self) -> Regions<usize> {
        Regions {
            arena: self.arena_bytes,
            constants: self.constants.len(),
            counters: self.counter_bytes,
            inputs: self.inputs.clone(),
            outputs: self.outputs.clone(),
        }
    }
}
