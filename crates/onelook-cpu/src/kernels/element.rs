//! The types of a map's values: how many share a 32-bit word, and how sixteen are loaded and stored.
//!
//! Kernels compute in f32 whatever the type: values are widened when they are loaded and rounded when they are
//! stored. In a word the lower half is the even channel, as memory has it on the little-endian CPUs that are supported.

use crate::isa::Vector16;

/// Channels in a block: one vector.
pub const BLOCK: usize = 16;

/// The type of a map's values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Element {
    /// 32-bit floats.
    #[default]
    F32,
    /// The upper halves of 32-bit floats.
    Bf16,
}

impl Element {
    /// The name in listings.
    pub fn name(self) -> &'static str {
        match self {
            Element::F32 => "f32",
            Element::Bf16 => "bf16",
        }
    }

    /// Channels in a 32-bit word.
    pub const fn per_word(self) -> usize {
        match self {
            Element::F32 => 1,
            Element::Bf16 => 2,
        }
    }

    /// Words of a block of 16 channels.
    pub const fn block_words(self) -> usize {
        BLOCK / self.per_word()
    }

    /// `count` values in bytes.
    pub fn bytes(self, count: usize) -> usize {
        count * size_of::<f32>() / self.per_word()
    }

    /// `value` as near as this type comes.
    pub fn rounded(self, value: f32) -> f32 {
        match self {
            Element::F32 => value,
            Element::Bf16 => widen(narrow(value)),
        }
    }
}

/// An [`Element`] that is known when the kernel is compiled.
///
/// Addresses are those of words: what a map consists of whatever its type.
pub(crate) trait Lanes {
    /// Words of a block.
    const WORDS: usize;

    /// A block as 16 floats.
    ///
    /// # Safety
    /// The block can be read; the CPU has the level of `V`.
    unsafe fn load<V: Vector16>(block: *const f32) -> V;

    /// Rounds 16 floats into a block.
    ///
    /// # Safety
    /// The block can be written.
    unsafe fn store<V: Vector16>(value: V, block: *mut f32);

    /// Channel `lane` of a block.
    ///
    /// # Safety
    /// The block can be read; `lane` is below 16.
    unsafe fn get(block: *const f32, lane: usize) -> f32;

    /// Rounds `value` into channel `lane` of a block.
    ///
    /// # Safety
    /// The block can be written; `lane` is below 16.
    unsafe fn set(block: *mut f32, lane: usize, value: f32);
}

/// [`Element::F32`].
pub(crate) struct F32;

impl Lanes for F32 {
    const WORDS: usize = Element::F32.block_words();

    #[inline(always)]
    unsafe fn load<V: Vector16>(block: *const f32) -> V {
        // SAFETY: the caller guarantees the block and the level.
        unsafe { V::load(block) }
    }

    #[inline(always)]
    unsafe fn store<V: Vector16>(value: V, block: *mut f32) {
        // SAFETY: the caller guarantees the block.
        unsafe { value.store(block) }
    }

    #[inline(always)]
    unsafe fn get(block: *const f32, lane: usize) -> f32 {
        // SAFETY: the caller guarantees the lane.
        unsafe { *block.add(lane) }
    }

    #[inline(always)]
    unsafe fn set(block: *mut f32, lane: usize, value: f32) {
        // SAFETY: the caller guarantees the lane.
        unsafe { *block.add(lane) = value }
    }
}

/// [`Element::Bf16`].
pub(crate) struct Bf16;

impl Lanes for Bf16 {
    const WORDS: usize = Element::Bf16.block_words();

    #[inline(always)]
    unsafe fn load<V: Vector16>(block: *const f32) -> V {
        // SAFETY: the caller guarantees the block and the level.
        unsafe { V::load_bf16(block.cast()) }
    }

    #[inline(always)]
    unsafe fn store<V: Vector16>(value: V, block: *mut f32) {
        // SAFETY: the caller guarantees the block.
        unsafe { value.store_bf16(block.cast()) }
    }

    #[inline(always)]
    unsafe fn get(block: *const f32, lane: usize) -> f32 {
        // SAFETY: the caller guarantees the lane.
        widen(unsafe { *block.cast::<u16>().add(lane) })
    }

    #[inline(always)]
    unsafe fn set(block: *mut f32, lane: usize, value: f32) {
        // SAFETY: the caller guarantees the lane.
        unsafe { *block.cast::<u16>().add(lane) = narrow(value) }
    }
}

/// Runs `$body` for the type that `$element` names, called `$lanes` in each copy, so that the choice is made outside
/// the loops in `$body`.
macro_rules! with_element {
    ($element:expr, |$lanes:ident| $body:expr) => {
        match $element {
            $crate::kernels::element::Element::F32 => {
                type $lanes = $crate::kernels::element::F32;
                $body
            }
            $crate::kernels::element::Element::Bf16 => {
                type $lanes = $crate::kernels::element::Bf16;
                $body
            }
        }
    };
}
pub(crate) use with_element;

/// Picks a name by type and level: `map_kernel_name!(isa, element, "add")` is one of `"add_f32_blocked_avx512"` …
macro_rules! map_kernel_name {
    ($isa:expr, $element:expr, $operator:literal) => {
        match $element {
            $crate::kernels::element::Element::F32 => {
                $crate::isa::kernel_name!($isa, concat!($operator, "_f32_blocked"))
            }
            $crate::kernels::element::Element::Bf16 => {
                $crate::isa::kernel_name!($isa, concat!($operator, "_bf16_blocked"))
            }
        }
    };
}
pub(crate) use map_kernel_name;

pub(crate) use crate::isa::{narrow, widen};

/// The word of an even and an odd channel.
pub(crate) fn pair(even: f32, odd: f32) -> f32 {
    f32::from_bits(u32::from(narrow(even)) | u32::from(narrow(odd)) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::{Isa, per_isa};

    per_isa! {
        /// Rounds a block and widens it again.
        fn there_and_back(values: &[f32; BLOCK], block: &mut [f32; 8], widened: &mut [f32; BLOCK]) = body
    }

    /// # Safety
    /// The CPU has the level of `V`.
    unsafe fn body<V: Vector16>(
        values: &[f32; BLOCK],
        block: &mut [f32; 8],
        widened: &mut [f32; BLOCK],
    ) {
        // SAFETY: the arrays are as long as blocks; the caller guarantees the level.
        unsafe {
            Bf16::store(V::load(values.as_ptr()), block.as_mut_ptr());
            Bf16::load::<V>(block.as_ptr()).store(widened.as_mut_ptr());
        }
    }

    #[test]
    fn every_level_rounds_to_the_nearest_ties_to_even() {
        let bits = [
            0x3F80_8000, // A tie: down to even.
            0x3F81_8000, // A tie: up to even.
            0x3F80_8001,
            0x3F80_7FFF,
            0xBF80_8001,
            0x7F7F_FFFF, // Beyond the largest: infinity.
            0x7F80_0000,
            0xFF80_0000,
            0x7FFF_FFFF, // NaN whose payload would carry over.
            0x7F80_0001, // NaN whose payload would vanish.
            0x0000_0000,
            0x8000_0000,
            0x0000_8001, // Subnormal.
            0x4049_0FDB,
            0xC2F6_E979,
            0x0080_0000,
        ];
        let expected = [
            0x3F80, 0x3F82, 0x3F81, 0x3F80, 0xBF81, 0x7F80, 0x7F80, 0xFF80, 0x7FFF, 0x7FC0, 0x0000,
            0x8000, 0x0001, 0x4049, 0xC2F7, 0x0080,
        ];
        let values = bits.map(f32::from_bits);
        assert_eq!(values.map(narrow), expected);
        for isa in Isa::available() {
            let (mut block, mut widened) = ([0.0; 8], [0.0; BLOCK]);
            // SAFETY: `isa` proves the level.
            unsafe { there_and_back(isa, &values, &mut block, &mut widened) };
            let halves = widened.map(|value| (value.to_bits() >> 16) as u16);
            assert_eq!(halves, expected, "{isa:?}");
            for (lane, half) in expected.into_iter().enumerate() {
                // SAFETY: the lane lies within the block.
                let value = unsafe { Bf16::get(block.as_ptr(), lane) };
                assert_eq!(value.to_bits(), widen(half).to_bits(), "{isa:?}");
            }
        }
    }
}
