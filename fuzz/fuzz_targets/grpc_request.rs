//! A request for inference over gRPC. Decoding takes no more memory than a small multiple of it.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use onelook_fuzz::peak_bytes;
use onelook_server::decode_infer_request;

fuzz_target!(|bytes: &[u8]| {
    let message = Bytes::copy_from_slice(bytes);
    let peak = peak_bytes(|| {
        decode_infer_request(message);
    });
    assert!(
        peak <= 4 * bytes.len() + (1 << 19),
        "{peak} for {} bytes",
        bytes.len()
    );
});
