//! The data that all crates share: frames, tensors, predictions, and what a model file says of itself.
//!
//! Plain data with checked constructors. No algorithms, no files, no clocks, no dependencies.

mod bbox;
mod dtype;
mod frame;
mod head;
mod instances;
mod letterbox;
mod mask;
mod metadata;
mod precision;
mod prediction;
mod shape;
mod task;
mod tensor;
mod thresholds;

pub use bbox::BoxXyxy;
pub use dtype::DType;
pub use frame::{Frame, FrameError, FrameView, PixelFormat};
pub use head::{ClassifyHead, DetectHead, Head, OutputEncoding, OutputRole, PoseHead, SegmentHead};
pub use instances::{Instance, Instances, Keypoint, Rows};
pub use letterbox::{AxisTap, LetterboxMode, LetterboxPlacement, LetterboxRecipe};
pub use mask::{Mask, PixelRect};
pub use metadata::Metadata;
pub use precision::{Precision, UnknownPrecision};
pub use prediction::{Classification, Prediction};
pub use shape::Shape;
pub use task::{Task, UnknownTask};
pub use tensor::{Tensor, TensorError};
pub use thresholds::Thresholds;
