//! What the flags mean: what was typed in, what the library takes out.

mod fit;
mod model;
mod save;
mod serve;

pub use model::warn_of_random_weights;
