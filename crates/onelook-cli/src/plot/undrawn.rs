//! The failure of a plot.

use std::path::Path;

use crate::failure::Failure;

/// A plot that could not be drawn or written.
pub fn undrawn(path: &Path) -> impl Fn(String) -> Failure {
    move |reason| Failure::failed("file", format!("'{}': {reason}", path.display()))
}
