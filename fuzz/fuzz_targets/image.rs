//! An image file of any format.
#![no_main]

use libfuzzer_sys::fuzz_target;
use onelook_media::{Limits, decode};

const LIMITS: Limits = Limits {
    max_pixels: 1 << 20,
    max_bytes: 1 << 20,
};

fuzz_target!(|bytes: &[u8]| {
    match decode(bytes, &LIMITS) {
        Ok(frame) => assert!(frame.width() * frame.height() <= 1 << 20),
        Err(error) => drop(error.to_string()),
    }
});
