//! The CPU engine: a graph becomes plans of kernels over blocked maps, run by all cores.
//!
//! Comes in: an optimised graph, then dense inputs of any size the network takes. Goes out: dense
//! outputs, the same to the bit for any batch and any number of threads. Never knows images,
//! files or other engines.

mod ceiling;
mod engine;
mod executable;
pub mod isa;
#[doc(hidden)]
pub mod kernels;
mod lower;
mod plan;
#[doc(hidden)]
pub mod threads;

pub use engine::{Cpu, CpuError};
pub use isa::{Isa, IsaError};
