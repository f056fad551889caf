//! What a model says of itself.

use crate::{Head, Task};

/// What a model file says of its model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// Family and scale where the file tells, such as `yolo11n`; else what kind of file it is.
    pub architecture: String,
    /// Class names by class index.
    pub names: Vec<String>,
    /// The input's sides must be multiples of this.
    pub stride: usize,
    /// Training size as height and width in pixels.
    pub image_size: [usize; 2],
    /// Whether the graph takes only inputs of exactly `image_size` (static exports).
    pub fixed_size: bool,
    /// How to read the outputs.
    pub head: Head,
    /// What else the file says: licence, author, date, version; in the file's order.
    pub notes: Vec<(String, String)>,
}

impl Metadata {
    /// What it was trained for.
    pub fn task(&self) -> Task {
        self.head.task()
    }
}
