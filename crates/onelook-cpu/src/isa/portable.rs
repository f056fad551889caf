//! Sixteen lanes in an array, left to the compiler.

use super::Vector16;

/// A vector of the portable level.
#[derive(Clone, Copy)]
pub(crate) struct Portable([f32; 16]);

impl Portable {
    #[inline(always)]
    fn zip(self, other: Self, combine: impl Fn(f32, f32) -> f32) -> Self {
        let mut lanes = self.0;
        for (lane, other) in lanes.iter_mut().zip(other.0) {
            *lane = combine(*lane, other);
        }
        Portable(lanes)
    }
}

impl Vector16 for Portable {
    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Portable([value; 16])
    }

    #[inline(always)]
    unsafe fn load(source: *const f32) -> Self {
        // SAFETY: the caller guarantees 16 readable floats.
        Portable(unsafe { source.cast::<[f32; 16]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn store(self, target: *mut f32) {
        // SAFETY: the caller guarantees 16 writable floats.
        unsafe { target.cast::<[f32; 16]>().write_unaligned(self.0) }
    }

    /// Fused only where the target's baseline has the instruction; elsewhere it would be a library call.
    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        let mut lanes = addend.0;
        for (lane, (a, b)) in lanes.iter_mut().zip(self.0.iter().zip(factor.0)) {
            *lane = if cfg!(any(target_arch = "aarch64", target_feature = "fma")) {
                a.mul_add(b, *lane)
            } else {
                a * b + *lane
            };
        }
        Portable(lanes)
    }

    #[inline(always)]
    fn mul_sub(self, factor: Self, subtrahend: Self) -> Self {
        self.mul_add(factor, subtrahend.zip(subtrahend, |a, _| -a))
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.zip(other, |a, b| a - b)
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.zip(other, |a, b| a * b)
    }

    #[inline(always)]
    fn div(self, other: Self) -> Self {
        self.zip(other, |a, b| a / b)
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        self.zip(other, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        self.zip(other, |a, b| if a < b { a } else { b })
    }

    #[inline(always)]
    fn round(self) -> Self {
        // Adding 1.5 · 2²³ leaves no room for a fraction.
        const SHIFT: f32 = 12_582_912.0;
        self.zip(self, |a, _| (a + SHIFT) - SHIFT)
    }

    #[inline(always)]
    fn scale(self, exponent: Self) -> Self {
        self.zip(exponent, |a, exponent| {
            a * f32::from_bits(((exponent as i32 + 127) as u32) << 23)
        })
    }

    #[inline(always)]
    fn reciprocal(self) -> Self {
        self.zip(self, |a, _| 1.0 / a)
    }

    #[inline(always)]
    fn horizontal_max(self) -> f32 {
        self.0.into_iter().fold(f32::NEG_INFINITY, f32::max)
    }

    #[inline(always)]
    fn horizontal_sum(self) -> f32 {
        self.0.into_iter().sum()
    }
}
