//! The number format that a network computes in.

use std::fmt;
use std::str::FromStr;

/// The number format of weights and activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    F32,
    /// 16-bit floats.
    F16,
    /// 8-bit integers with scales.
    Int8,
}

/// A word that names no [`Precision`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownPrecision(pub String);

impl fmt::Display for UnknownPrecision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown precision '{}': use f32, f16 or int8", self.0)
    }
}

impl std::error::Error for UnknownPrecision {}

impl Precision {
    /// `f32`, `f16` or `int8`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Int8 => "int8",
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Precision {
    type Err = UnknownPrecision;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word.to_ascii_lowercase().as_str() {
            "f32" | "fp32" | "32" => Ok(Self::F32),
            "f16" | "fp16" | "16" => Ok(Self::F16),
            "int8" | "i8" | "8" => Ok(Self::Int8),
            _ => Err(UnknownPrecision(word.to_owned())),
        }
    }
}
