//! What a client sends to `serve --zmq`: the first byte says whether a sound handshake stands before the rest.
//! Reading takes no more memory than a small multiple of what has come, whatever lengths it declares.
#![no_main]

use libfuzzer_sys::fuzz_target;
use onelook_fuzz::peak_bytes;
use onelook_server::count_messages;

/// Largest frame.
const LIMIT: usize = 1 << 20;

const READY: &[u8] = b"\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x03REQ";

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, rest)) = bytes.split_first() else {
        return;
    };
    let mut sent = Vec::new();
    if kind % 4 > 0 {
        let mut greeting = [0; 64];
        (greeting[0], greeting[9], greeting[10]) = (0xff, 0x7f, 3);
        greeting[12..16].copy_from_slice(b"NULL");
        sent.extend(greeting);
        sent.extend(READY);
    }
    sent.extend(rest);
    let bound = 4 * sent.len() + (1 << 19);
    let mut messages = 0;
    let peak = peak_bytes(|| messages = count_messages(&sent, LIMIT));
    assert!(peak <= bound, "{peak} of {bound} bytes");
    // The shortest one has flags and a length.
    assert!(messages <= rest.len() / 2);
});
