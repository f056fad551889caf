//! The body of `/v1/detect`: a byte for its type and its encoding, then JSON, a form or an image, compressed or
//! not. Parsing takes no more memory than a small multiple of it, decompressing no more than its limit allows.
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

const ENCODINGS: [&str; 4] = ["", "gzip", "deflate", "zstd"];

/// Most bytes that a body becomes, and largest window.
const LIMIT: usize = 1 << 20;

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, body)) = bytes.split_first() else {
        return;
    };
    let (kind, encoding) = (usize::from(kind % 4), usize::from(kind / 4 % 4));
    let body = Bytes::copy_from_slice(body);
    let bound = match encoding {
        0 => 4 * body.len() + (1 << 19),
        _ => 8 * LIMIT,
    };
    let peak = peak_bytes(|| {
        parse_detect_body(TYPES[kind], ENCODINGS[encoding], body, LIMIT);
    });
    assert!(peak <= bound, "{peak} of {bound} bytes");
});
