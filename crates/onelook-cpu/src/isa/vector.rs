//! The one vector type that kernels are written against: 16 f32 lanes, one channel block of one pixel.
//!
//! Every level implements it; a kernel's generic body is inlined into a function with the level's features.
//! Values are made only by the unsafe constructors, so that a value in hand proves that the level may be used
//! and the arithmetic can be safe.

/// Sixteen f32 lanes.
pub(crate) trait Vector16: Copy {
    /// All lanes `value`.
    ///
    /// # Safety
    /// The CPU offers this level (true of every constructor).
    unsafe fn splat(value: f32) -> Self;

    /// Sixteen lanes from `source`, at any alignment.
    ///
    /// # Safety
    /// As [`Vector16::splat`], and 16 floats can be read.
    unsafe fn load(source: *const f32) -> Self;

    /// Sixteen lanes to `target`, at any alignment.
    ///
    /// # Safety
    /// 16 floats can be written.
    unsafe fn store(self, target: *mut f32);

    /// Sixteen lanes from as many upper halves of floats.
    ///
    /// # Safety
    /// As [`Vector16::splat`], and 16 halves can be read.
    unsafe fn load_bf16(source: *const u16) -> Self;

    /// The upper halves of sixteen lanes, rounded to the nearest, ties to even, to `target`; the same bits at every
    /// level. NaN stays NaN.
    ///
    /// # Safety
    /// 16 halves can be written.
    unsafe fn store_bf16(self, target: *mut u16);

    /// `self * factor + addend`, fused where the level has it.
    fn mul_add(self, factor: Self, addend: Self) -> Self;
    /// `self * factor - subtrahend`, fused where the level has it.
    fn mul_sub(self, factor: Self, subtrahend: Self) -> Self;
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    fn div(self, other: Self) -> Self;
    /// The larger; `other` where either is NaN.
    fn max(self, other: Self) -> Self;
    /// The smaller; `other` where either is NaN.
    fn min(self, other: Self) -> Self;
    /// To the nearest whole number, ties to even; lanes within ±2²².
    fn round(self) -> Self;
    /// `self * 2^exponent` for whole `exponent` within ±126.
    fn scale(self, exponent: Self) -> Self;
    /// `1 / self` for lanes within 1 to 2¹²⁷, to 2 ulp.
    fn reciprocal(self) -> Self;
    /// The largest lane.
    fn horizontal_max(self) -> f32;
    /// The sum of all lanes in a fixed order.
    fn horizontal_sum(self) -> f32;
}

/// The upper half of a float, rounded to the nearest, ties to even; NaN stays NaN.
#[inline(always)]
pub(crate) fn narrow(value: f32) -> u16 {
    let bits = value.to_bits();
    if value.is_nan() {
        return (bits >> 16) as u16 | QUIET;
    }
    ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16) as u16
}

/// The bit that keeps a NaN from becoming infinity when its lower half goes.
pub(super) const QUIET: u16 = 0x40;

/// The float whose upper half this is.
#[inline(always)]
pub(crate) fn widen(half: u16) -> f32 {
    f32::from_bits(u32::from(half) << 16)
}
