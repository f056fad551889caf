//! Which PTX version, and which target, each instruction asks for.
//!
//! Source: the "PTX ISA Notes" and "Target ISA Notes" under each instruction of NVIDIA's PTX ISA
//! document, and its table of releases for the version that introduced each target. A driver takes
//! PTX up to its own version, so the lowest that serves reaches the oldest drivers.

use std::fmt;

use crate::lang::{Feature, Target};

/// A version of PTX.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(u32, u32);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

impl Version {
    /// The version that introduced the target.
    pub(super) fn of(target: Target) -> Self {
        match target {
            Target::Sm75 => Self(6, 3),
            Target::Sm80 => Self(7, 0),
            Target::Sm86 => Self(7, 1),
            Target::Sm89 => Self(7, 8),
            Target::Sm90a => Self(8, 0),
            Target::Sm100 => Self(8, 6),
            Target::Sm120 => Self(8, 7),
        }
    }
}

/// What came to PTX after version 6.3, or that not every target has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// `ldmatrix`.
    LoadMatrix,
    /// `mma` m16n8k8 of f16 values.
    MmaK8,
    /// `mma` m16n8k16 of f16 values, m16n8k32 of bytes.
    MmaK16,
    /// `tanh.approx.f32`.
    Tanh,
    /// `max.f16x2`.
    HalfMax,
    /// `cvt.rn.f16x2.f32`.
    PackF16x2,
    /// `cp.async`.
    AsyncCopy,
    /// `mbarrier` with expected bytes and `try_wait`.
    Mbarrier,
    /// `fence.proxy.async`.
    ProxyFence,
    /// `cp.async.bulk.tensor`.
    TensorLoad,
    /// `wgmma`.
    Wgmma,
    /// `griddepcontrol`.
    DependentLaunch,
    /// Raw text, of which nothing is known: the version that every driver since CUDA 11 takes.
    Asm,
}

impl Need {
    /// Its name, the version that introduced it and what the target must have.
    fn facts(self) -> (&'static str, Version, Option<Feature>) {
        match self {
            Self::LoadMatrix => ("ldmatrix", Version(6, 5), None),
            Self::MmaK8 => ("mma m16n8k8", Version(6, 5), None),
            Self::MmaK16 => ("mma m16n8k16", Version(7, 0), Some(Feature::MmaK16)),
            Self::Tanh => ("tanh.approx", Version(7, 0), None),
            Self::HalfMax => ("max.f16x2", Version(7, 0), Some(Feature::MmaK16)),
            Self::PackF16x2 => ("cvt.rn.f16x2", Version(7, 0), Some(Feature::MmaK16)),
            Self::AsyncCopy => ("cp.async", Version(7, 0), Some(Feature::AsyncCopy)),
            Self::Mbarrier => ("mbarrier", Version(8, 0), Some(Feature::BulkCopy)),
            Self::ProxyFence => ("fence.proxy.async", Version(8, 0), Some(Feature::BulkCopy)),
            Self::TensorLoad => (
                "cp.async.bulk.tensor",
                Version(8, 0),
                Some(Feature::BulkCopy),
            ),
            Self::Wgmma => ("wgmma", Version(8, 0), Some(Feature::Wgmma)),
            Self::DependentLaunch => ("griddepcontrol", Version(7, 8), Some(Feature::BulkCopy)),
            Self::Asm => ("raw PTX", Version(7, 0), None),
        }
    }

    /// Its name in error messages.
    pub(super) fn name(self) -> &'static str {
        self.facts().0
    }

    /// The version that introduced it.
    pub(super) fn version(self) -> Version {
        self.facts().1
    }

    /// Whether the target has it.
    pub(super) fn on(self, target: Target) -> bool {
        let feature = self.facts().2;
        feature.is_none_or(|feature| target.has(feature))
    }
}
