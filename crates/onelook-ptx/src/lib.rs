//! GPU kernels written in Rust: one program, printed as PTX for the NVIDIA driver or interpreted on
//! the CPU.
//!
//! Comes in: Rust functions that write kernels with [`lang`]. Goes out: PTX text ([`emit()`]), or
//! the results and faults of an interpreted launch ([`interpreter`]). Depends on nothing of CUDA,
//! and must never know networks or drivers.

pub mod emit;
pub mod interpreter;
pub mod lang;
pub mod occupancy;

pub use emit::{PtxError, emit};
