//! An ONNX file through the CPU engine: what a stranger's graph may make unsafe code do.
//!
//! Worth running with AddressSanitizer, which takes a nightly compiler:
//! `cargo +nightly fuzz run engine`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    onelook_fuzz::run_on_cpu(&onelook_fuzz::onnx_file(bytes));
});
