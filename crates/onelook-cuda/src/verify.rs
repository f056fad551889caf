//! Proof that kernels compute what they should: in the interpreter on any machine, on a GPU where
//! there is one.
//!
//! `onelook gpu-check` and the tests use this; the engine never does, and nothing else in this
//! crate may import it outside of tests.

pub mod check;
pub mod conformance;
pub mod interpret;
