//! Where the real test data is.

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
