//! Figures as pictures: SVG files that open in any browser.

mod confusion;
mod precision_recall;

pub use confusion::confusion;
pub use precision_recall::precision_recall;

use std::path::Path;

use crate::failure::Failure;

/// A plot that could not be drawn or written.
fn undrawn(path: &Path) -> impl Fn(String) -> Failure {
    move |reason| Failure::failed("file", format!("'{}': {reason}", path.display()))
}
