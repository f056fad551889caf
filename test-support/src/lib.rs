//! What the tests of all crates share: where the real weights and images lie, what a test does without them, and
//! directories of its own.
//!
//! A test that lacks what it needs says SKIPPED and passes on a developer's machine; it fails where `CI` is set, so that
//! a gate which runs nothing is never green.

#![allow(clippy::unwrap_used, reason = "used by tests alone, which may panic")]

use std::ops::Deref;
use std::path::{Path, PathBuf};

/// The variable that names the folder of the data.
pub const DATA_VARIABLE: &str = "ONELOOK_TEST_DATA";

/// Says that a test cannot run, because `missing` is not there, and what would help.
///
/// # Panics
/// In CI.
pub fn skip(missing: &str, advice: &str) {
    assert!(
        !is_ci(std::env::var("CI").ok().as_deref()),
        "{missing} is missing, and in CI no test may be skipped: {advice}"
    );
    eprintln!("SKIPPED: {missing} is missing: {advice}");
}

fn is_ci(variable: Option<&str>) -> bool {
    variable.is_some_and(|value| !["", "0", "false"].contains(&value))
}

/// The folder with the real weights, images and references: `ONELOOK_TEST_DATA`, or `shared/data` beside the repository.
///
/// # Panics
/// It is not there, in CI.
pub fn data() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let folder = std::env::var_os(DATA_VARIABLE).map_or(beside, PathBuf::from);
    if folder.join("weights").is_dir() {
        return Some(folder);
    }
    let advice = format!("set {DATA_VARIABLE} to the folder of the test data");
    skip(&folder.display().to_string(), &advice);
    None
}

/// A file of the real data.
///
/// # Panics
/// It is not there, in CI.
pub fn data_file(path: &str) -> Option<PathBuf> {
    let file = data()?.join(path);
    if file.exists() {
        return Some(file);
    }
    skip(&file.display().to_string(), "fetch the test data again");
    None
}

/// The extents and the values, as f32, of a file of NumPy: version 1, little-endian, C order, f32 or u8.
///
/// # Panics
/// On anything else.
pub fn npy(path: &Path) -> (Vec<usize>, Vec<f32>) {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(bytes.starts_with(b"\x93NUMPY\x01"), "{}", path.display());
    let start = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = std::str::from_utf8(&bytes[10..start]).unwrap();
    assert!(header.contains("'fortran_order': False"), "{header}");
    let shape = header.split(['(', ')']).nth(1).unwrap().split(',');
    let shape: Vec<usize> = shape
        .filter_map(|extent| extent.trim().parse().ok())
        .collect();
    let content = &bytes[start..];
    let values: Vec<f32> = match header {
        header if header.contains("'<f4'") => {
            let values = content.as_chunks::<4>().0.iter();
            values.map(|&value| f32::from_le_bytes(value)).collect()
        }
        header if header.contains("'|u1'") => content.iter().map(|&byte| f32::from(byte)).collect(),
        _ => panic!("{}: neither f32 nor u8: {header}", path.display()),
    };
    assert_eq!(
        values.len(),
        shape.iter().product::<usize>(),
        "{}",
        path.display()
    );
    (shape, values)
}

/// A directory of its own for a test, which goes with all that is in it.
pub struct ScratchDir(tempfile::TempDir);

impl ScratchDir {
    /// An empty one, in whose name is `name`.
    ///
    /// # Panics
    /// It cannot be made.
    pub fn new(name: &str) -> Self {
        let prefix = format!("onelook-{name}-");
        Self(tempfile::Builder::new().prefix(&prefix).tempdir().unwrap())
    }
}

impl Deref for ScratchDir {
    type Target = Path;

    fn deref(&self) -> &Path {
        self.0.path()
    }
}

impl AsRef<Path> for ScratchDir {
    fn as_ref(&self) -> &Path {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_directories_of_a_name_are_two_and_go() {
        let [first, second] = [(); 2].map(|()| ScratchDir::new("a"));
        std::fs::write(first.join("b"), "c").unwrap();
        assert!(!second.join("b").exists());
        let path = first.to_owned();
        drop(first);
        assert!(!path.exists() && second.is_dir());
    }

    #[test]
    fn ci_is_what_the_services_set() {
        assert!(is_ci(Some("true")) && is_ci(Some("1")));
        assert!(!is_ci(None) && !is_ci(Some("")) && !is_ci(Some("false")));
    }

    #[test]
    fn arrays_keep_their_shape() {
        let path = std::env::temp_dir().join(format!("onelook-{}.npy", std::process::id()));
        let header = "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3), }\n";
        let length = (header.len() as u16).to_le_bytes();
        let bytes = [
            &b"\x93NUMPY\x01\x00"[..],
            &length,
            header.as_bytes(),
            &[1, 2, 3, 4, 5, 255],
        ];
        std::fs::write(&path, bytes.concat()).unwrap();
        let (shape, values) = npy(&path);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(
            (shape, values),
            (vec![2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 255.0])
        );
    }
}
