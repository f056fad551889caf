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
