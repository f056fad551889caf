//! The GPU generations that kernels are written for, and what each of them can do.

use std::fmt;
use std::str::FromStr;

/// A compute capability that code is generated for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// Turing: T4, RTX 20.
    Sm75,
    /// Ampere: A100.
    Sm80,
    /// Ampere: A10, RTX 30.
    Sm86,
    /// Ada: L4, RTX 40.
    Sm89,
    /// Hopper with its own instructions: H100, H200.
    Sm90a,
    /// Blackwell: B200.
    Sm100,
    /// Blackwell: RTX 50, RTX PRO.
    Sm120,
}

/// What not every target can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Feature {
    /// `cp.async`: copies from global to shared memory past the registers.
    AsyncCopy,
    /// Matrix products 16x8x16 of f16 values in one instruction.
    MmaK16,
    /// `mbarrier`, TMA, dependent launches.
    BulkCopy,
    /// `wgmma`.
    Wgmma,
    /// `ldmatrix` of one or two matrices ignores the addresses of the lanes that it does not need.
    /// Without, the addresses of all 32 lanes must be valid.
    PartialMatrixAddresses,
}

impl Target {
    /// All targets, oldest first.
    pub const ALL: [Self; 7] = [
        Self::Sm75,
        Self::Sm80,
        Self::Sm86,
        Self::Sm89,
        Self::Sm90a,
        Self::Sm100,
        Self::Sm120,
    ];

    /// As ptxas and `.target` name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sm75 => "sm_75",
            Self::Sm80 => "sm_80",
            Self::Sm86 => "sm_86",
            Self::Sm89 => "sm_89",
            Self::Sm90a => "sm_90a",
            Self::Sm100 => "sm_100",
            Self::Sm120 => "sm_120",
        }
    }

    /// The newest target whose code runs on a device of this compute capability.
    pub fn for_capability(major: u32, minor: u32) -> Option<Self> {
        match (major, minor) {
            (7, 5..) => Some(Self::Sm75),
            (8, 0..=5) => Some(Self::Sm80),
            (8, 6..=8) => Some(Self::Sm86),
            (8, 9..) => Some(Self::Sm89),
            (9, _) => Some(Self::Sm90a),
            (10 | 11, _) => Some(Self::Sm100),
            (12.., _) => Some(Self::Sm120),
            _ => None,
        }
    }

    /// Whether kernels for this target may use the feature.
    pub fn has(self, feature: Feature) -> bool {
        match feature {
            Feature::AsyncCopy | Feature::MmaK16 | Feature::PartialMatrixAddresses => {
                self >= Self::Sm80
            }
            Feature::BulkCopy => self >= Self::Sm90a,
            Feature::Wgmma => self == Self::Sm90a,
        }
    }

    /// Bytes of shared memory that one block may have.
    pub fn shared_bytes_per_block(self) -> usize {
        match self {
            Self::Sm75 => 64 << 10,
            Self::Sm80 => 163 << 10,
            Self::Sm86 | Self::Sm89 | Self::Sm120 => 99 << 10,
            Self::Sm90a | Self::Sm100 => 227 << 10,
        }
    }

    /// Bytes of shared memory of one multiprocessor.
    pub fn shared_bytes_per_multiprocessor(self) -> usize {
        match self {
            Self::Sm75 => 64 << 10,
            Self::Sm80 => 164 << 10,
            Self::Sm86 | Self::Sm89 | Self::Sm120 => 100 << 10,
            Self::Sm90a | Self::Sm100 => 228 << 10,
        }
    }

    /// Threads that one multiprocessor holds at a time.
    pub fn threads_per_multiprocessor(self) -> usize {
        match self {
            Self::Sm75 => 1024,
            Self::Sm80 | Self::Sm90a | Self::Sm100 => 2048,
            Self::Sm86 | Self::Sm89 | Self::Sm120 => 1536,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A word that names no target; the message lists those there are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no target '{0}': use sm_75, sm_80, sm_86, sm_89, sm_90a, sm_100 or sm_120")]
pub struct UnknownTarget(String);

impl FromStr for Target {
    type Err = UnknownTarget;

    /// `sm_90a`; also `sm_90` and `90`.
    fn from_str(word: &str) -> Result<Self, UnknownTarget> {
        let number = word.trim_start_matches("sm_").trim_end_matches('a');
        Self::ALL
            .into_iter()
            .find(|target| target.name()[3..].trim_end_matches('a') == number)
            .ok_or_else(|| UnknownTarget(word.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_found_by_name_and_by_capability() {
        for target in Target::ALL {
            assert_eq!(target.name().parse(), Ok(target));
        }
        assert_eq!("sm_90".parse(), Ok(Target::Sm90a));
        assert!("sm_50".parse::<Target>().is_err());
        assert_eq!(Target::for_capability(8, 9), Some(Target::Sm89));
        assert_eq!(Target::for_capability(8, 7), Some(Target::Sm86));
        assert_eq!(Target::for_capability(7, 0), None);
    }
}
