//! Passes over the graph, one file each; every one keeps what the graph computes.

mod bind_shapes;
mod dead_code;
mod elide_views;
mod fold_affine;
mod fold_batch_norm;
mod fuse_activation;
mod fuse_residual;
mod map_shape;
mod place_maps;
mod simplify_concat;
#[cfg(test)]
mod tests;

pub use bind_shapes::bind_shapes;
pub use dead_code::dead_code;
pub use elide_views::elide_views;
pub use fold_affine::fold_affine;
pub use fold_batch_norm::fold_batch_norm;
pub use fuse_activation::fuse_activation;
pub use fuse_residual::fuse_residual;
pub use place_maps::{Placed, place_maps};
pub use simplify_concat::simplify_concat;

use crate::Graph;

/// All passes that hold for every engine, in order. Views come after, by
/// [`elide_views`], because their alignment is the engine's.
pub fn optimise(graph: &mut Graph) {
    fold_batch_norm(graph);
    fold_affine(graph);
    fuse_activation(graph);
    fuse_residual(graph);
    simplify_concat(graph);
    dead_code(graph);
}
