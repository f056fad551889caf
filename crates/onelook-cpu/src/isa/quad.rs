//! Four lanes of the target's baseline: SSE2 on x86-64, NEON on aarch64, an array elsewhere.
//!
//! The baseline needs no detection, so this is what the portable level is made of.

pub(super) use lanes::Quad;

#[cfg(target_arch = "x86_64")]
mod lanes {
    use std::arch::x86_64::*;

    /// Four lanes in an SSE register.
    #[derive(Clone, Copy)]
    pub(crate) struct Quad(__m128);

    impl Quad {
        #[inline(always)]
        pub(crate) fn splat(value: f32) -> Self {
            // SAFETY: SSE2 is the baseline of this target, here and below.
            Quad(unsafe { _mm_set1_ps(value) })
        }

        /// # Safety
        /// Four floats can be read.
        #[inline(always)]
        pub(crate) unsafe fn load(source: *const f32) -> Self {
            // SAFETY: the caller guarantees four readable floats at any alignment.
            Quad(unsafe { _mm_loadu_ps(source) })
        }

        /// # Safety
        /// Four floats can be written.
        #[inline(always)]
        pub(crate) unsafe fn store(self, target: *mut f32) {
            // SAFETY: the caller guarantees four writable floats at any alignment.
            unsafe { _mm_storeu_ps(target, self.0) }
        }

        /// Not fused: the baseline lacks the instruction.
        #[inline(always)]
        pub(crate) fn mul_add(self, factor: Self, addend: Self) -> Self {
            self.mul(factor).add(addend)
        }

        #[inline(always)]
        pub(crate) fn add(self, other: Self) -> Self {
            // SAFETY: the baseline.
            Quad(unsafe { _mm_add_ps(self.0, other.0) })
        }

        #[inline(always)]
        pub(crate) fn sub(self, other: Self) -> Self {
            // SAFETY: the baseline.
            Quad(unsafe { _mm_sub_ps(self.0, other.0) })
        }

        #[inline(always)]
        pub(crate) fn mul(self, other: Self) -> Self {
            // SAFETY: the baseline.
            Quad(unsafe { _mm_mul_ps(self.0, other.0) })
        }

        #[inline(always)]
        pub(crate) fn div(self, other: Self) -> Self {
            // SAFETY: the baseline.
            Quad(unsafe { _mm_div_ps(self.0, other.0) })
        }

        #[inline(always)]
        pub(crate) fn max(self, other: Self) -> Self {
            // SAFETY: the baseline.
            Quad(unsafe { _mm_max_ps(self.0, other.0) })
        }

        #[inline(always)]
        pub(crate) fn min(self, other: Self) -> Self {
            // SAFETY: the baseline.
            Quad(unsafe { _mm_min_ps(self.0, other.0) })
        }

        /// `2^self` for whole lanes within ±126.
        #[inline(always)]
        pub(crate) fn power_of_two(self) -> Self {
            // SAFETY: the baseline.
            unsafe {
                let biased = _mm_add_epi32(_mm_cvtps_epi32(self.0), _mm_set1_epi32(127));
                Quad(_mm_castsi128_ps(_mm_slli_epi32::<23>(biased)))
            }
        }
    }
}

#[cfg(target_arch = "aarch64")]
mod lanes {
    use std::arch::aarch64::*;

    /// Four lanes in a NEON register.
    #[derive(Clone, Copy)]
    pub(crate) struct Quad(float32x4_t);

    impl Quad {
        #[inline(always)]
        pub(crate) fn splat(value: f32) -> Self {
            // SAFETY: NEON is the baseline of this target, here and below.
            Quad(unsafe { vdupq_n_f32(value) })
        }

        /// # Safety
        /// Four floats can be read.
        #[inline(always)]
        pub(crate) unsafe fn load(source: *const f32) -> Self {
            // SAFETY: the caller guarantees four readable floats at any alignment.
            Quad(unsafe { vld1q_f32(source) })
        }

        /// # Safety
        /// Four floats can be written.
        #[inline(always)]
        pub(crate) unsafe fn store(self, target: *mut f32) {
            // SAFETY: the caller guarantees four writable floats at any alignment.
            unsafe { vst1q_f32(target, self.0) }
        }

        #[inline(always)]
        pub(crate) fn mul_add(self, factor: Self, addend: Self) -> Self {
            // SAFETY: the baseline.
            Quad(unsafe { vfmaq_f32(addend.0, self.0, factor.0) })
        }

        #[inline(always)]
        pub(crate) fn add(self, other: Self) -> Self {
            // SAFETY: the baseline.
            Quad(unsafe { vaddq_f32(self.0, other.0) })
        }

        #[inline(always)]
        pub(crate) fn sub(self, other: Self) -> Self {
            // SAFETY: the baseline.
            Quad(unsafe { vsubq_f32(self.0, other.0) })
        }

        #[inline(always)]
        pub(crate) fn mul(self, other: Self) -> Self {
            // SAFETY: the baseline.
            Quad(unsafe { vmulq_f32(self.0, other.0) })
        }

        #[inline(always)]
        pub(crate) fn div(self, other: Self) -> Self {
            // SAFETY: the baseline.
            Quad(unsafe { vdivq_f32(self.0, other.0) })
        }

        #[inline(always)]
        pub(crate) fn max(self, other: Self) -> Self {
            // SAFETY: the baseline.
            Quad(unsafe { vmaxq_f32(self.0, other.0) })
        }

        #[inline(always)]
        pub(crate) fn min(self, other: Self) -> Self {
            // SAFETY: the baseline.
            Quad(unsafe { vminq_f32(self.0, other.0) })
        }

        /// `2^self` for whole lanes within ±126.
        #[inline(always)]
        pub(crate) fn power_of_two(self) -> Self {
            // SAFETY: the baseline.
            unsafe {
                let biased = vaddq_s32(vcvtnq_s32_f32(self.0), vdupq_n_s32(127));
                Quad(vreinterpretq_f32_s32(vshlq_n_s32::<23>(biased)))
            }
        }
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod lanes {
    /// Four lanes in an array.
    #[derive(Clone, Copy)]
    pub(crate) struct Quad([f32; 4]);

    impl Quad {
        #[inline(always)]
        pub(crate) fn splat(value: f32) -> Self {
            Quad([value; 4])
        }

        /// # Safety
        /// Four floats can be read.
        #[inline(always)]
        pub(crate) unsafe fn load(source: *const f32) -> Self {
            // SAFETY: the caller guarantees four readable floats at any alignment.
            Quad(unsafe { source.cast::<[f32; 4]>().read_unaligned() })
        }

        /// # Safety
        /// Four floats can be written.
        #[inline(always)]
        pub(crate) unsafe fn store(self, target: *mut f32) {
            // SAFETY: the caller guarantees four writable floats at any alignment.
            unsafe { target.cast::<[f32; 4]>().write_unaligned(self.0) }
        }

        #[inline(always)]
        fn zip(self, other: Self, combine: impl Fn(f32, f32) -> f32) -> Self {
            Quad(std::array::from_fn(|lane| {
                combine(self.0[lane], other.0[lane])
            }))
        }

        /// Not fused: without the instruction that would be a library call.
        #[inline(always)]
        pub(crate) fn mul_add(self, factor: Self, addend: Self) -> Self {
            self.mul(factor).add(addend)
        }

        #[inline(always)]
        pub(crate) fn add(self, other: Self) -> Self {
            self.zip(other, |a, b| a + b)
        }

        #[inline(always)]
        pub(crate) fn sub(self, other: Self) -> Self {
            self.zip(other, |a, b| a - b)
        }

        #[inline(always)]
        pub(crate) fn mul(self, other: Self) -> Self {
            self.zip(other, |a, b| a * b)
        }

        #[inline(always)]
        pub(crate) fn div(self, other: Self) -> Self {
            self.zip(other, |a, b| a / b)
        }

        #[inline(always)]
        pub(crate) fn max(self, other: Self) -> Self {
            self.zip(other, |a, b| if a > b { a } else { b })
        }

        #[inline(always)]
        pub(crate) fn min(self, other: Self) -> Self {
            self.zip(other, |a, b| if a < b { a } else { b })
        }

        /// `2^self` for whole lanes within ±126.
        #[inline(always)]
        pub(crate) fn power_of_two(self) -> Self {
            self.zip(self, |x, _| f32::from_bits(((x as i32 + 127) as u32) << 23))
        }
    }
}
