//! Sixteen lanes in two 256-bit registers.

use super::{QUIET, Vector16};
use std::arch::x86_64::*;

/// A vector of the AVX2 level: lanes 0 to 7 and 8 to 15.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(__m256, __m256);

/// Applies one intrinsic to both halves.
macro_rules! both {
    ($intrinsic:ident($($argument:expr),+)) => {
        // SAFETY: a value of this type exists only where the level was detected.
        unsafe { Avx2($intrinsic($($argument.0),+), $intrinsic($($argument.1),+)) }
    };
}

impl Avx2 {
    /// All lanes `value`, where `self` proves the level.
    #[inline(always)]
    fn same(self, value: f32) -> Self {
        // SAFETY: `self` proves the level.
        unsafe { Avx2::splat(value) }
    }

    #[inline(always)]
    fn lanes(self) -> [f32; 16] {
        let mut lanes = [0.0; 16];
        // SAFETY: the array holds 16 floats.
        unsafe { self.store(lanes.as_mut_ptr()) };
        lanes
    }
}

impl Vector16 for Avx2 {
    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: the caller guarantees the level.
        let half = unsafe { _mm256_set1_ps(value) };
        Avx2(half, half)
    }

    #[inline(always)]
    unsafe fn load(source: *const f32) -> Self {
        // SAFETY: the caller guarantees the level and 16 readable floats.
        unsafe { Avx2(_mm256_loadu_ps(source), _mm256_loadu_ps(source.add(8))) }
    }

    #[inline(always)]
    unsafe fn store(self, target: *mut f32) {
        // SAFETY: the caller guarantees 16 writable floats; `self` proves the level.
        unsafe {
            _mm256_storeu_ps(target, self.0);
            _mm256_storeu_ps(target.add(8), self.1);
        }
    }

    #[inline(always)]
    unsafe fn load_bf16(source: *const u16) -> Self {
        // SAFETY: the caller guarantees the level and 16 readable halves.
        let eight = |source: *const u16| unsafe {
            let halves = _mm256_cvtepu16_epi32(_mm_loadu_si128(source.cast()));
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(halves))
        };
        Avx2(eight(source), eight(source.wrapping_add(8)))
    }

    #[inline(always)]
    unsafe fn store_bf16(self, target: *mut u16) {
        // SAFETY: `self` proves the level.
        let round = |lanes: __m256| unsafe {
            let bits = _mm256_castps_si256(lanes);
            let upper = _mm256_srli_epi32::<16>(bits);
            let odd = _mm256_and_si256(upper, _mm256_set1_epi32(1));
            let half = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7FFF));
            let rounded = _mm256_srli_epi32::<16>(_mm256_add_epi32(bits, half));
            let quiet = _mm256_or_si256(upper, _mm256_set1_epi32(i32::from(QUIET)));
            let nan = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_UNORD_Q>(lanes, lanes));
            _mm256_blendv_epi8(rounded, quiet, nan)
        };
        // SAFETY: the caller guarantees 16 writable halves. Packing works within 128 bits, so the quarters are put in order.
        unsafe {
            let halves = _mm256_packus_epi32(round(self.0), round(self.1));
            let halves = _mm256_permute4x64_epi64::<0b11_01_10_00>(halves);
            _mm256_storeu_si256(target.cast(), halves);
        }
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        both!(_mm256_fmadd_ps(self, factor, addend))
    }

    #[inline(always)]
    fn mul_sub(self, factor: Self, subtrahend: Self) -> Self {
        both!(_mm256_fmsub_ps(self, factor, subtrahend))
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        both!(_mm256_add_ps(self, other))
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        both!(_mm256_sub_ps(self, other))
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        both!(_mm256_mul_ps(self, other))
    }

    #[inline(always)]
    fn div(self, other: Self) -> Self {
        both!(_mm256_div_ps(self, other))
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        both!(_mm256_max_ps(self, other))
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        both!(_mm256_min_ps(self, other))
    }

    #[inline(always)]
    fn round(self) -> Self {
        const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
        // SAFETY: `self` proves the level.
        unsafe {
            Avx2(
                _mm256_round_ps::<NEAREST>(self.0),
                _mm256_round_ps::<NEAREST>(self.1),
            )
        }
    }

    #[inline(always)]
    fn scale(self, exponent: Self) -> Self {
        // SAFETY: `self` proves the level. The biased exponent alone, in its field, is the power of two.
        let power = |exponent: __m256| unsafe {
            let biased = _mm256_add_epi32(_mm256_cvtps_epi32(exponent), _mm256_set1_epi32(127));
            _mm256_castsi256_ps(_mm256_slli_epi32::<23>(biased))
        };
        self.mul(Avx2(power(exponent.0), power(exponent.1)))
    }

    #[inline(always)]
    fn reciprocal(self) -> Self {
        self.same(1.0).div(self)
    }

    #[inline(always)]
    fn horizontal_max(self) -> f32 {
        self.lanes().into_iter().fold(f32::NEG_INFINITY, f32::max)
    }

    #[inline(always)]
    fn horizontal_sum(self) -> f32 {
        self.lanes().into_iter().sum()
    }
}
