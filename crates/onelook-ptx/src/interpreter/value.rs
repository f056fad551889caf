//! Arguments of a launch.

use super::global::Buffer;
use super::tensor_map::TensorMap;

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
