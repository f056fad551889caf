//! Sixteen lanes in one 512-bit register.

use super::{QUIET, Vector16};
use std::arch::x86_64::*;

/// A vector of the AVX-512 level.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(__m512);

impl Avx512 {
    /// The register, which proves the level as its owner did.
    #[inline(always)]
    pub(crate) fn register(self) -> __m512 {
        self.0
    }

    /// Made of a register that instructions of the level left, which proves it.
    #[inline(always)]
    pub(crate) fn from_register(register: __m512) -> Self {
        Avx512(register)
    }
}

impl Vector16 for Avx512 {
    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: the caller guarantees the level.
        Avx512(unsafe { _mm512_set1_ps(value) })
    }

    #[inline(always)]
    unsafe fn load(source: *const f32) -> Self {
        // SAFETY: the caller guarantees the level and 16 readable floats.
        Avx512(unsafe { _mm512_loadu_ps(source) })
    }

    #[inline(always)]
    unsafe fn store(self, target: *mut f32) {
        // SAFETY: the caller guarantees 16 writable floats; `self` proves the level.
        unsafe { _mm512_storeu_ps(target, self.0) }
    }

    #[inline(always)]
    unsafe fn load_bf16(source: *const u16) -> Self {
        // SAFETY: the caller guarantees the level and 16 readable halves.
        unsafe {
            let halves = _mm512_cvtepu16_epi32(_mm256_loadu_si256(source.cast()));
            Avx512(_mm512_castsi512_ps(_mm512_slli_epi32::<16>(halves)))
        }
    }

    #[inline(always)]
    unsafe fn store_bf16(self, target: *mut u16) {
        // SAFETY: the caller guarantees 16 writable halves; `self` proves the level.
        unsafe {
            let bits = _mm512_castps_si512(self.0);
            let upper = _mm512_srli_epi32::<16>(bits);
            let odd = _mm512_and_si512(upper, _mm512_set1_epi32(1));
            let half = _mm512_add_epi32(odd, _mm512_set1_epi32(0x7FFF));
            let rounded = _mm512_srli_epi32::<16>(_mm512_add_epi32(bits, half));
            let nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(self.0, self.0);
            let quiet = _mm512_set1_epi32(i32::from(QUIET));
            let halves = _mm512_mask_or_epi32(rounded, nan, upper, quiet);
            _mm256_storeu_si256(target.cast(), _mm512_cvtepi32_epi16(halves));
        }
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        // SAFETY: `self` proves the level.
        Avx512(unsafe { _mm512_fmadd_ps(self.0, factor.0, addend.0) })
    }

    #[inline(always)]
    fn mul_sub(self, factor: Self, subtrahend: Self) -> Self {
        // SAFETY: `self` proves the level.
        Avx512(unsafe { _mm512_fmsub_ps(self.0, factor.0, subtrahend.0) })
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: `self` proves the level.
        Avx512(unsafe { _mm512_add_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        // SAFETY: `self` proves the level.
        Avx512(unsafe { _mm512_sub_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        // SAFETY: `self` proves the level.
        Avx512(unsafe { _mm512_mul_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn div(self, other: Self) -> Self {
        // SAFETY: `self` proves the level.
        Avx512(unsafe { _mm512_div_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        // SAFETY: `self` proves the level.
        Avx512(unsafe { _mm512_max_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn min(self, other: Self) -> Self {
        // SAFETY: `self` proves the level.
        Avx512(unsafe { _mm512_min_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn round(self) -> Self {
        // SAFETY: `self` proves the level.
        Avx512(unsafe { _mm512_roundscale_ps::<_MM_FROUND_TO_NEAREST_INT>(self.0) })
    }

    #[inline(always)]
    fn scale(self, exponent: Self) -> Self {
        // SAFETY: `self` proves the level.
        Avx512(unsafe { _mm512_scalef_ps(self.0, exponent.0) })
    }

    #[inline(always)]
    fn reciprocal(self) -> Self {
        // SAFETY: `self` proves the level. One Newton step takes the estimate from 14 to 23 bits and more.
        unsafe {
            let estimate = _mm512_rcp14_ps(self.0);
            let error = _mm512_fnmadd_ps(self.0, estimate, _mm512_set1_ps(1.0));
            Avx512(_mm512_fmadd_ps(estimate, error, estimate))
        }
    }

    #[inline(always)]
    fn horizontal_max(self) -> f32 {
        // SAFETY: `self` proves the level.
        unsafe { _mm512_reduce_max_ps(self.0) }
    }

    #[inline(always)]
    fn horizontal_sum(self) -> f32 {
        // SAFETY: `self` proves the level.
        unsafe { _mm512_reduce_add_ps(self.0) }
    }
}
