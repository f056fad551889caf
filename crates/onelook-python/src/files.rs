//! Names of the files of a run, as the command line gives them.

use onelook::file_name;
use pyo3::prelude::*;

/// A class name that is safe as the name of a directory.
#[pyfunction]
pub fn safe_name(name: &str) -> String {
    file_name::safe(name)
}

/// The name of an image without directory and ending.
#[pyfunction]
pub fn file_stem(source: &str) -> String {
    file_name::stem(source)
}
