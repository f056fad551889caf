//! What a register tile does with a word of its input and sixteen of its weights: one product of floats, or two of bf16.
//!
//! ```text
//! for each of 16 outputs: sum[output] += Σ over the word's channels of word[channel] · weight[output][channel]
//! ```
//!
//! The instruction for pairs adds the upper product first, rounds, and adds the lower; a product of two bf16 is exact in
//! f32. The emulation does the same, so its bits are the instruction's but where a number is below 2⁻¹²⁶: the
//! instruction takes it for zero.

#[cfg(target_arch = "x86_64")]
use crate::isa::Avx512;
use crate::isa::{Vector16, widen};
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{
    __m512bh, __m512i, _mm512_dpbf16_ps, _mm512_loadu_si512, _mm512_set1_epi32,
};

/// Sums of sixteen outputs.
pub(crate) trait Dot: Copy {
    /// A word of the input, for all outputs.
    type Word: Copy;
    /// A word of weights for each output.
    type Weight: Copy;

    /// Starts with sixteen biases.
    ///
    /// # Safety
    /// The CPU offers the level (true of every constructor); 16 floats can be read.
    unsafe fn load(bias: *const f32) -> Self;

    /// # Safety
    /// As [`Dot::load`], and a word can be read.
    unsafe fn word(source: *const f32) -> Self::Word;

    /// # Safety
    /// As [`Dot::load`], and 16 words can be read.
    unsafe fn weight(source: *const f32) -> Self::Weight;

    /// Adds the products.
    fn dot(self, word: Self::Word, weight: Self::Weight) -> Self;

    /// The sums as 16 floats.
    ///
    /// # Safety
    /// 16 floats can be written.
    unsafe fn store(self, target: *mut f32);
}

/// A float times sixteen.
#[derive(Clone, Copy)]
pub(crate) struct Fma<V>(V);

impl<V: Vector16> Dot for Fma<V> {
    type Word = V;
    type Weight = V;

    #[inline(always)]
    unsafe fn load(bias: *const f32) -> Self {
        // SAFETY: the caller guarantees the level and the floats.
        Fma(unsafe { V::load(bias) })
    }

    #[inline(always)]
    unsafe fn word(source: *const f32) -> V {
        // SAFETY: the caller guarantees the level and the float.
        unsafe { V::splat(*source) }
    }

    #[inline(always)]
    unsafe fn weight(source: *const f32) -> V {
        // SAFETY: the caller guarantees the level and the floats.
        unsafe { V::load(source) }
    }

    #[inline(always)]
    fn dot(self, word: V, weight: V) -> Self {
        Fma(word.mul_add(weight, self.0))
    }

    #[inline(always)]
    unsafe fn store(self, target: *mut f32) {
        // SAFETY: the caller guarantees the floats.
        unsafe { self.0.store(target) }
    }
}

/// Two bf16 times sixteen pairs, by an instruction.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(crate) struct Bf16Pairs(Avx512);

/// The same bits.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn pairs(words: __m512i) -> __m512bh {
    // SAFETY: both are 512 bits, any of which are valid.
    unsafe { std::mem::transmute(words) }
}

#[cfg(target_arch = "x86_64")]
impl Dot for Bf16Pairs {
    type Word = __m512bh;
    type Weight = __m512bh;

    #[inline(always)]
    unsafe fn load(bias: *const f32) -> Self {
        // SAFETY: the caller guarantees the level and the floats.
        Bf16Pairs(unsafe { Avx512::load(bias) })
    }

    #[inline(always)]
    unsafe fn word(source: *const f32) -> __m512bh {
        // SAFETY: the caller guarantees the level and the word.
        pairs(unsafe { _mm512_set1_epi32(*source.cast()) })
    }

    #[inline(always)]
    unsafe fn weight(source: *const f32) -> __m512bh {
        // SAFETY: the caller guarantees the level and the words.
        pairs(unsafe { _mm512_loadu_si512(source.cast()) })
    }

    #[inline(always)]
    fn dot(self, word: __m512bh, weight: __m512bh) -> Self {
        // SAFETY: `self` proves the level.
        Bf16Pairs(Avx512::from_register(unsafe {
            _mm512_dpbf16_ps(self.0.register(), word, weight)
        }))
    }

    #[inline(always)]
    unsafe fn store(self, target: *mut f32) {
        // SAFETY: the caller guarantees the floats.
        unsafe { self.0.store(target) }
    }
}

/// Two bf16 times sixteen pairs, by the arithmetic of any level.
#[derive(Clone, Copy)]
pub(crate) struct EmulatedPairs<V>(V);

impl<V: Vector16> Dot for EmulatedPairs<V> {
    /// The lower and the upper value.
    type Word = [V; 2];
    /// The lower and the upper values.
    type Weight = [V; 2];

    #[inline(always)]
    unsafe fn load(bias: *const f32) -> Self {
        // SAFETY: the caller guarantees the level and the floats.
        EmulatedPairs(unsafe { V::load(bias) })
    }

    #[inline(always)]
    unsafe fn word(source: *const f32) -> [V; 2] {
        // SAFETY: the caller guarantees the level and the word.
        unsafe { (*source.cast::<[u16; 2]>()).map(|half| V::splat(widen(half))) }
    }

    #[inline(always)]
    unsafe fn weight(source: *const f32) -> [V; 2] {
        // SAFETY: the caller guarantees the level and the words; the arrays hold 16 floats.
        unsafe {
            let words = source.cast::<[[u16; 2]; 16]>().read();
            let half = |half: usize| V::load(words.map(|word| widen(word[half])).as_ptr());
            [half(0), half(1)]
        }
    }

    #[inline(always)]
    fn dot(self, word: [V; 2], weight: [V; 2]) -> Self {
        let upper = word[1].mul_add(weight[1], self.0);
        EmulatedPairs(word[0].mul_add(weight[0], upper))
    }

    #[inline(always)]
    unsafe fn store(self, target: *mut f32) {
        // SAFETY: the caller guarantees the floats.
        unsafe { self.0.store(target) }
    }
}
