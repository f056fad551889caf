//! An ONNX file, whatever its first byte.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    onelook_fuzz::read_model(&onelook_fuzz::onnx_file(bytes));
});
