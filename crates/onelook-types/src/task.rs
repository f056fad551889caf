//! What a model is for, by the names that checkpoints and commands use.

use std::fmt;
use std::str::FromStr;

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
