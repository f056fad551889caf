//! Which vector instructions this process may use: detected once, proved by a token.
//!
//! Comes in: the running CPU and the variable `ONELOOK_ISA`. Goes out: an [`Isa`], whose wide variants can be
//! built only here, after detection, so that holding one is the proof that its kernels may be called.
//! Never guesses: a forced level that the CPU lacks is an error, not a fallback.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;
mod quad;
mod vector;

#[cfg(target_arch = "x86_64")]
pub(crate) use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) use avx512::Avx512;
pub(crate) use portable::Portable;
use vector::QUIET;
pub(crate) use vector::{Vector16, narrow, widen};

/// The variable that forces a level: `avx512bf16`, `avx512`, `avx2` or `portable`.
pub const ISA_VARIABLE: &str = "ONELOOK_ISA";

/// Proof that the CPU and the operating system offer the instructions of one level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Detected(());

/// A level of vector instructions for which every kernel exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Isa {
    /// As `Avx512`, with products of pairs of bf16: AVX512-BF16.
    Avx512Bf16(Detected),
    /// 512-bit vectors: AVX-512 F, BW, DQ and VL, with FMA.
    Avx512(Detected),
    /// 256-bit vectors: AVX2 with FMA.
    Avx2(Detected),
    /// What every CPU of the target has: SSE2, NEON, or plain Rust.
    Portable,
}

/// Why a forced level cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IsaError {
    /// The variable names no known level.
    #[error(
        "{ISA_VARIABLE}={0}: unknown level; use avx512bf16, avx512, avx2 or portable, or unset it"
    )]
    Unknown(String),
    /// The CPU lacks the level.
    #[error(
        "{ISA_VARIABLE}={0}: this CPU lacks it; it offers {1}. Choose one of these or unset it"
    )]
    Missing(String, String),
}

impl Isa {
    /// The widest level of this CPU that pays, or the one that `ONELOOK_ISA` forces.
    pub fn detect() -> Result<Isa, IsaError> {
        match std::env::var(ISA_VARIABLE) {
            Ok(wanted) if !wanted.is_empty() => Isa::forced(&wanted),
            _ => Ok(Isa::widest()),
        }
    }

    /// The level called `wanted`, if this CPU has it.
    pub fn forced(wanted: &str) -> Result<Isa, IsaError> {
        if !["avx512bf16", "avx512", "avx2", "portable"].contains(&wanted) {
            return Err(IsaError::Unknown(wanted.to_owned()));
        }
        let offered = Isa::available();
        offered
            .iter()
            .copied()
            .find(|isa| isa.name() == wanted)
            .ok_or_else(|| {
                let names: Vec<_> = offered.iter().map(|isa| isa.name()).collect();
                IsaError::Missing(wanted.to_owned(), names.join(", "))
            })
    }

    /// Every level that this CPU offers, the widest first.
    pub fn available() -> Vec<Isa> {
        let mut levels = Vec::with_capacity(4);
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("fma")
            {
                if is_x86_feature_detected!("avx512bf16") {
                    levels.push(Isa::Avx512Bf16(Detected(())));
                }
                levels.push(Isa::Avx512(Detected(())));
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                levels.push(Isa::Avx2(Detected(())));
            }
        }
        levels.push(Isa::Portable);
        levels
    }

    /// The widest level that pays: Intel's instruction for pairs of bf16 takes four times as long as AMD's, so that f32 is
    /// faster there.
    fn widest() -> Isa {
        let mut levels = Isa::available().into_iter();
        let pays = |isa: &Isa| !isa.multiplies_bf16() || made_by_amd();
        levels.find(pays).unwrap_or(Isa::Portable)
    }

    /// The level's name, as `ONELOOK_ISA` and the kernels' names spell it.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Avx512Bf16(_) => "avx512bf16",
            Isa::Avx512(_) => "avx512",
            Isa::Avx2(_) => "avx2",
            Isa::Portable => "portable",
        }
    }

    /// Whether products of bf16 are an instruction of this level; elsewhere they are emulated with the level's own, bit
    /// for bit but for numbers so small that the instruction takes them for zero.
    pub fn multiplies_bf16(self) -> bool {
        matches!(self, Isa::Avx512Bf16(_))
    }

    /// Whether `ONELOOK_ISA` forces a level.
    pub fn is_forced() -> bool {
        std::env::var_os(ISA_VARIABLE).is_some_and(|wanted| !wanted.is_empty())
    }
}

/// What the CPU says of its maker.
#[cfg(target_arch = "x86_64")]
fn made_by_amd() -> bool {
    let maker = std::arch::x86_64::__cpuid(0);
    [maker.ebx, maker.edx, maker.ecx]
        .map(u32::to_le_bytes)
        .concat()
        == b"AuthenticAMD"
}
#[cfg(not(target_arch = "x86_64"))]
fn made_by_amd() -> bool {
    false
}

/// Defines `unsafe fn name(isa, args…)`, which runs the generic `body::<V>(args…)` compiled for the level `isa`.
macro_rules! per_isa {
    ($(#[$attribute:meta])* $visibility:vis fn $name:ident($($argument:ident: $kind:ty),* $(,)?) = $body:ident) => {
        $(#[$attribute])*
        ///
        /// # Safety
        /// The contract of the generic body, which the caller meets; that the CPU has the level is proved by the token in
        /// `isa`.
        #[allow(clippy::too_many_arguments)]
        $visibility unsafe fn $name(isa: $crate::isa::Isa, $($argument: $kind),*) {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
            #[allow(clippy::too_many_arguments)]
            unsafe fn avx512($($argument: $kind),*) {
                // SAFETY: the features of `Avx512` are enabled here and detected by whoever calls this; the arguments
                // are those for which the outer caller guarantees the body's contract.
                unsafe { $body::<$crate::isa::Avx512>($($argument),*) }
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            #[allow(clippy::too_many_arguments)]
            unsafe fn avx2($($argument: $kind),*) {
                // SAFETY: the features of `Avx2` are enabled here and detected by whoever calls this; the arguments are
                // those for which the outer caller guarantees the body's contract.
                unsafe { $body::<$crate::isa::Avx2>($($argument),*) }
            }
            // SAFETY: `Detected` is made only in this file after detection, so a variant that holds it proves that the
            // CPU has the features; the caller guarantees the body's contract for the arguments.
            unsafe {
                match isa {
                    #[cfg(target_arch = "x86_64")]
                    $crate::isa::Isa::Avx512Bf16(_) | $crate::isa::Isa::Avx512(_) => avx512($($argument),*),
                    #[cfg(target_arch = "x86_64")]
                    $crate::isa::Isa::Avx2(_) => avx2($($argument),*),
                    _ => $body::<$crate::isa::Portable>($($argument),*),
                }
            }
        }
    };
}
pub(crate) use per_isa;

/// Picks one of three names by level: `kernel_name!(isa, "conv_f32_blocked")` is `"conv_f32_blocked_avx512"`.
macro_rules! kernel_name {
    ($isa:expr, $stem:expr) => {
        match $isa {
            $crate::isa::Isa::Avx512Bf16(_) | $crate::isa::Isa::Avx512(_) => {
                concat!($stem, "_avx512")
            }
            $crate::isa::Isa::Avx2(_) => concat!($stem, "_avx2"),
            $crate::isa::Isa::Portable => concat!($stem, "_portable"),
        }
    };
}
pub(crate) use kernel_name;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_available_level_can_be_forced_by_name() {
        for isa in Isa::available() {
            assert_eq!(Isa::forced(isa.name()), Ok(isa));
        }
    }

    #[test]
    fn unknown_level_is_refused_with_advice() {
        let message = Isa::forced("neon9").unwrap_err().to_string();
        assert!(
            message.contains("neon9") && message.contains("portable"),
            "{message}"
        );
    }
}
