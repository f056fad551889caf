//! Which uploads are videos: the answer is a format that names no other file, and the first bytes settle it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use onelook_server::videos::container::{NEEDED, container};

const CONTAINERS: [&str; 6] = ["mov", "matroska", "avi", "flv", "mpeg", "mpegts"];

fuzz_target!(|bytes: &[u8]| {
    let found = container(bytes);
    assert_eq!(found, container(&bytes[..bytes.len().min(NEEDED)]));
    assert!(found.is_none_or(|name| CONTAINERS.contains(&name)));
});
