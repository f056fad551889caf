//! Plots: SVG files that open in any browser.

mod confusion;
mod precision_recall;
mod undrawn;

pub use confusion::confusion;
pub use precision_recall::precision_recall;
