//! The body of `/v1/detect`: a byte for its type, then JSON, a form or an image. Parsing takes no more memory
//! than a small multiple of it.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use onelook_fuzz::peak_bytes;
use onelook_server::parse_detect_body;

const TYPES: [&str; 4] = [
    "",
    "application/json",
    "multipart/form-data; boundary=X",
    "image/jpeg",
];

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, body)) = bytes.split_first() else {
        return;
    };
    let body = Bytes::copy_from_slice(body);
    let length = body.len();
    let peak = peak_bytes(|| {
        parse_detect_body(TYPES[usize::from(*kind) % TYPES.len()], body);
    });
    assert!(peak <= 4 * length + (1 << 19), "{peak} for {length} bytes");
});
