//! The CUDA engine: kernels written in a small language of Rust, run by the driver as PTX or by an
//! interpreter on the CPU.
//!
//! Comes in: an optimised graph. Goes out: launches of kernels over one arena. Needs nothing but
//! the NVIDIA driver at run time and nothing of CUDA to build. Never knows pictures' formats or
//! files of models.

pub mod boxes;
pub mod check;
pub mod conformance;
pub mod driver;
pub mod engine;
pub mod interpret;
pub mod kernels;
pub mod lower;
pub mod pictures;
pub mod plan;
pub mod settings;
