//! Where the real test data is, and how its arrays are read.

use std::path::{Path, PathBuf};

/// The directory of the data; says loudly that a test is skipped when there is none.
pub fn data() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let root = std::env::var_os("ONELOOK_TEST_DATA").map_or(beside, PathBuf::from);
    if root.join("weights").is_dir() {
        return Some(root);
    }
    eprintln!(
        "SKIPPED: {} not found, set ONELOOK_TEST_DATA",
        root.display()
    );
    None
}

/// The values of a NumPy file of bytes or 32-bit floats.
#[allow(dead_code, reason = "not every test reads arrays")]
pub fn npy(path: &Path) -> Vec<f32> {
    let bytes = std::fs::read(path).unwrap();
    assert!(bytes.starts_with(b"\x93NUMPY\x01"), "{}", path.display());
    let header = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let description = std::str::from_utf8(&bytes[10..10 + header]).unwrap();
    let values = &bytes[10 + header..];
    match description.contains("'<f4'") {
        true => values
            .as_chunks::<4>()
            .0
            .iter()
            .map(|value| f32::from_le_bytes(*value))
            .collect(),
        false => values.iter().map(|&value| f32::from(value)).collect(),
    }
}
