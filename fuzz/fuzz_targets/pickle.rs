//! The input is the pickle itself, in a sound archive, so that mutations reach the machine.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|pickle: &[u8]| {
    onelook_fuzz::read_model(&onelook_fuzz::archive_with_pickle(pickle));
});
