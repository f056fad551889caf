//! What can be wrong with a network's outputs.

use onelook_types::Shape;

/// Outputs that do not fit the description of the model's head.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VisionError {
    /// Another number of tensors than the head announces.
    #[error(
        "the head describes {expected} output tensors, the network gave {actual}: check the model's head description"
    )]
    OutputCount {
        /// Tensors that the head announces.
        expected: usize,
        /// Tensors that came.
        actual: usize,
    },
    /// A tensor of another shape than the head announces.
    #[error(
        "output {output} has shape {actual}, expected {expected}: check the model's head description"
    )]
    OutputShape {
        /// Index of the tensor.
        output: usize,
        /// The expected shape in words.
        expected: String,
        /// The shape that came.
        actual: Shape,
    },
    /// An image that is not in the batch.
    #[error("image {index} was asked for, the batch holds {batch}")]
    BatchIndex {
        /// The image asked for, from 0.
        index: usize,
        /// Images in the batch.
        batch: usize,
    },
    /// Masks at the image's size that would take too much memory.
    #[error(
        "its masks would have {megapixels} megapixels together, {limit} are allowed: leave retina_masks \
         out, or take fewer objects (conf, max_det) or a smaller image"
    )]
    Masks {
        /// Pixels of all boxes, in millions.
        megapixels: u64,
        /// How many millions may be.
        limit: u64,
    },
    /// A head that cannot be read at all.
    #[error("the head description is impossible: {reason}")]
    Head {
        /// What is impossible about it.
        reason: String,
    },
}
