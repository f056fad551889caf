//! What a model says of itself.

use std::fmt;
use std::str::FromStr;

use crate::Head;

/// What a model was trained for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Task {
    /// Boxes around objects.
    Detect,
    /// Boxes and masks.
    Segment,
    /// Boxes and key points.
    Pose,
    /// One class for the whole image.
    Classify,
    /// Rotated boxes.
    Obb,
}

/// A word that names no [`Task`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownTask(pub String);

impl fmt::Display for UnknownTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "unknown task '{}': expected detect, segment, pose, classify or obb",
            self.0
        )
    }
}

impl std::error::Error for UnknownTask {}

impl Task {
    /// `detect`, `segment`, `pose`, `classify` or `obb`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Detect => "detect",
            Self::Segment => "segment",
            Self::Pose => "pose",
            Self::Classify => "classify",
            Self::Obb => "obb",
        }
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Task {
    type Err = UnknownTask;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "detect" => Ok(Self::Detect),
            "segment" => Ok(Self::Segment),
            "pose" => Ok(Self::Pose),
            "classify" => Ok(Self::Classify),
            "obb" => Ok(Self::Obb),
            _ => Err(UnknownTask(word.to_owned())),
        }
    }
}

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
