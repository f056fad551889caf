//! The engine's own file of threads, compiled alone.
//!
//! With `--cfg loom` on the primitives of the model checker (`cargo xtask loom`), without it for ThreadSanitizer, which
//! wants the standard library compiled along (`cargo xtask tsan`). Holds no code: what is checked is what runs.

#[path = "../../crates/onelook-cpu/src/threads.rs"]
pub mod threads;
