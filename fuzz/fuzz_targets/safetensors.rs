//! The input is a safetensors header; its length is put before it and some data behind it.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|header: &[u8]| {
    let mut file = (header.len() as u64 + 1).to_le_bytes().to_vec();
    file.push(b'{');
    file.extend_from_slice(header.strip_prefix(b"{").unwrap_or(header));
    file.resize(file.len() + 1024, 0);
    onelook_fuzz::read_model(&file);
});
