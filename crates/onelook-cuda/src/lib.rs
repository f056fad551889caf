//! The CUDA engine: kernels, the lowering of graphs to launches, and the NVIDIA driver.
//!
//! Comes in: an optimised graph. Goes out: launches of kernels over one arena. Needs only the
//! NVIDIA driver at run time and nothing of CUDA to build. Must never know image formats or model
//! files.

pub mod boxes;
pub mod driver;
pub mod engine;
pub mod images;
pub mod kernels;
pub mod lower;
pub mod plan;
pub mod settings;
pub mod verify;
