//! An ONNX file, whatever its first byte.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut file = vec![0x08, 0x08];
    file.extend_from_slice(bytes.strip_prefix(&[0x08, 0x08]).unwrap_or(bytes));
    onelook_fuzz::read_model(&file);
});
