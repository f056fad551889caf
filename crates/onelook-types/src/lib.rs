//! The nouns that flow along the quay: frames, tensors, boxes, and what a model says of itself.
//!
//! Plain data with checked constructors. No algorithms, no files, no clocks, no dependencies.

mod detection;
mod frame;
mod head;
mod letterbox;
mod metadata;
mod precision;
mod shape;
mod tensor;
mod thresholds;

pub use detection::{BoxXyxy, Detection, Detections};
pub use frame::{Frame, FrameError};
pub use head::{DetectHead, HeadOutputs};
pub use letterbox::{AxisTap, LetterboxMode, LetterboxPlacement, LetterboxRecipe};
pub use metadata::{Metadata, Task, UnknownTask};
pub use precision::{Precision, UnknownPrecision};
pub use shape::Shape;
pub use tensor::{Tensor, TensorError};
pub use thresholds::Thresholds;
