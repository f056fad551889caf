//! To be written.

#[doc(hidden)]
pub mod isa;
#[doc(hidden)]
pub mod kernels;
