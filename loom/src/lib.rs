//! The engine's own files, compiled on the primitives of the model checker loom: `cargo xtask loom`.
//!
//! Holds no code: what is checked is what runs.

#[cfg(loom)]
#[path = "../../crates/onelook-cpu/src/threads.rs"]
pub mod threads;
