//! What the flags mean: the structs of `flags` in, what the library takes out.

mod count;
mod delivery;
mod fit;
mod limit;
mod live;
mod model;
mod run;
mod serve;
mod source;
mod tile;
mod tracker;

pub use model::warn_of_random_weights;
pub use run::run_directory;
pub use source::source_options;
