//! Which register tile does which work: the sizes that fit a level's registers, and their functions.
//!
//! A tile's function is made for a level, a type, a size and the distance between pixels, all of them constants in it.

#[cfg(target_arch = "x86_64")]
use super::dot::Bf16Pairs;
use super::dot::{EmulatedPairs, Fma};
use super::tile::{TileFn, tiles_portable};
#[cfg(target_arch = "x86_64")]
use super::tile::{tiles_avx2, tiles_avx512, tiles_avx512bf16};
#[cfg(target_arch = "x86_64")]
use crate::isa::{Avx2, Avx512};
use crate::isa::{Isa, Portable};
use crate::kernels::element::Element;
use crate::kernels::layout::BLOCK;

/// The strides in words that have tiles of their own: a blocked map of f32 at stride 1 and 2, a plane at stride 2.
const FIXED_STRIDES: [usize; 3] = [BLOCK, 2 * BLOCK, 2];

/// The same for a blocked map of bf16.
const FIXED_STRIDES_BF16: [usize; 2] = [BLOCK / 2, BLOCK];

/// Pixels of a tile of emulated products, which is there to be right, not fast.
const EMULATED_PIXELS: usize = 2;

/// The most output blocks that a tile of this level takes; `element` is the type of its input.
pub(crate) fn group_blocks(isa: Isa, element: Element, pixel_stride: usize) -> usize {
    match (isa, element) {
        (Isa::Avx512Bf16(_) | Isa::Avx512(_), Element::F32) => {
            if [BLOCK, 2 * BLOCK].contains(&pixel_stride) {
                3
            } else {
                2
            }
        }
        (Isa::Avx512Bf16(_), Element::Bf16) => {
            if FIXED_STRIDES_BF16.contains(&pixel_stride) {
                3
            } else {
                2
            }
        }
        _ => 1,
    }
}

/// The most pixels that a tile of `blocks` output blocks takes.
pub(crate) fn max_pixels(isa: Isa, element: Element, blocks: usize, pixel_stride: usize) -> usize {
    let fixed = match element {
        Element::F32 => FIXED_STRIDES.contains(&pixel_stride),
        Element::Bf16 => FIXED_STRIDES_BF16.contains(&pixel_stride),
    };
    match (isa, element, blocks) {
        (Isa::Avx512Bf16(_), _, _) | (Isa::Avx512(_), Element::F32, _) if !fixed => 6,
        (Isa::Avx512Bf16(_), _, 1) | (Isa::Avx512(_), Element::F32, 1) => 16,
        (Isa::Avx512Bf16(_), _, 2) | (Isa::Avx512(_), Element::F32, 2) => 14,
        (Isa::Avx512Bf16(_), _, _) | (Isa::Avx512(_), Element::F32, _) => 9,
        (Isa::Avx512(_) | Isa::Avx2(_) | Isa::Portable, Element::Bf16, _) => EMULATED_PIXELS,
        (Isa::Avx2(_), Element::F32, _) => 6,
        (Isa::Portable, Element::F32, _) => PORTABLE_PIXELS,
    }
}

/// What the registers of the baseline hold.
const PORTABLE_PIXELS: usize = if cfg!(target_arch = "aarch64") { 6 } else { 2 };

/// One arm per tile size: `pick!(pixels, tiles_avx512, Fma<Avx512>, blocks, stride, 1 2 3)`.
macro_rules! pick {
    ($pixels:expr, $tiles:ident, $dot:ty, $blocks:literal, $stride:literal, $($count:literal)*) => {
        match $pixels {
            $($count => $tiles::<$dot, $blocks, $count, $stride> as TileFn,)*
            _ => unreachable!("a tile has at most `max_pixels` pixels"),
        }
    };
}

/// The portable sizes: as many as [`PORTABLE_PIXELS`].
#[cfg(target_arch = "aarch64")]
macro_rules! pick_portable {
    ($pixels:expr, $stride:literal) => {
        pick!($pixels, tiles_portable, Fma<Portable>, 1, $stride, 1 2 3 4 5 6)
    };
}
#[cfg(not(target_arch = "aarch64"))]
macro_rules! pick_portable {
    ($pixels:expr, $stride:literal) => {
        pick!($pixels, tiles_portable, Fma<Portable>, 1, $stride, 1 2)
    };
}

/// The function for tiles of `blocks` × `pixels`, at most [`group_blocks`] × [`max_pixels`], of an input of type
/// `element`.
pub(crate) fn select(
    isa: Isa,
    element: Element,
    blocks: usize,
    pixels: usize,
    pixel_stride: usize,
) -> TileFn {
    debug_assert!(blocks <= group_blocks(isa, element, pixel_stride));
    match element {
        Element::F32 => select_f32(isa, blocks, pixels, pixel_stride),
        Element::Bf16 => select_bf16(isa, blocks, pixels, pixel_stride),
    }
}

fn select_f32(isa: Isa, blocks: usize, pixels: usize, pixel_stride: usize) -> TileFn {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Bf16(_) | Isa::Avx512(_) => match (blocks, pixel_stride) {
            (1, 16) => {
                pick!(pixels, tiles_avx512, Fma<Avx512>, 1, 16, 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16)
            }
            (2, 16) => {
                pick!(pixels, tiles_avx512, Fma<Avx512>, 2, 16, 1 2 3 4 5 6 7 8 9 10 11 12 13 14)
            }
            (3, 16) => pick!(pixels, tiles_avx512, Fma<Avx512>, 3, 16, 1 2 3 4 5 6 7 8 9),
            (1, 32) => {
                pick!(pixels, tiles_avx512, Fma<Avx512>, 1, 32, 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16)
            }
            (2, 32) => {
                pick!(pixels, tiles_avx512, Fma<Avx512>, 2, 32, 1 2 3 4 5 6 7 8 9 10 11 12 13 14)
            }
            (3, 32) => pick!(pixels, tiles_avx512, Fma<Avx512>, 3, 32, 1 2 3 4 5 6 7 8 9),
            (1, 2) => {
                pick!(pixels, tiles_avx512, Fma<Avx512>, 1, 2, 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16)
            }
            (2, 2) => {
                pick!(pixels, tiles_avx512, Fma<Avx512>, 2, 2, 1 2 3 4 5 6 7 8 9 10 11 12 13 14)
            }
            (1, _) => pick!(pixels, tiles_avx512, Fma<Avx512>, 1, 0, 1 2 3 4 5 6),
            _ => pick!(pixels, tiles_avx512, Fma<Avx512>, 2, 0, 1 2 3 4 5 6),
        },
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2(_) => match pixel_stride {
            16 => pick!(pixels, tiles_avx2, Fma<Avx2>, 1, 16, 1 2 3 4 5 6),
            32 => pick!(pixels, tiles_avx2, Fma<Avx2>, 1, 32, 1 2 3 4 5 6),
            _ => pick!(pixels, tiles_avx2, Fma<Avx2>, 1, 0, 1 2 3 4 5 6),
        },
        _ => match pixel_stride {
            16 => pick_portable!(pixels, 16),
            _ => pick_portable!(pixels, 0),
        },
    }
}

fn select_bf16(isa: Isa, blocks: usize, pixels: usize, pixel_stride: usize) -> TileFn {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Bf16(_) => match (blocks, pixel_stride) {
            (1, 8) => {
                pick!(pixels, tiles_avx512bf16, Bf16Pairs, 1, 8, 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16)
            }
            (2, 8) => {
                pick!(pixels, tiles_avx512bf16, Bf16Pairs, 2, 8, 1 2 3 4 5 6 7 8 9 10 11 12 13 14)
            }
            (3, 8) => pick!(pixels, tiles_avx512bf16, Bf16Pairs, 3, 8, 1 2 3 4 5 6 7 8 9),
            (1, 16) => {
                pick!(pixels, tiles_avx512bf16, Bf16Pairs, 1, 16, 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16)
            }
            (2, 16) => {
                pick!(pixels, tiles_avx512bf16, Bf16Pairs, 2, 16, 1 2 3 4 5 6 7 8 9 10 11 12 13 14)
            }
            (3, 16) => pick!(pixels, tiles_avx512bf16, Bf16Pairs, 3, 16, 1 2 3 4 5 6 7 8 9),
            (1, _) => pick!(pixels, tiles_avx512bf16, Bf16Pairs, 1, 0, 1 2 3 4 5 6),
            _ => pick!(pixels, tiles_avx512bf16, Bf16Pairs, 2, 0, 1 2 3 4 5 6),
        },
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512(_) => pick!(pixels, tiles_avx512, EmulatedPairs<Avx512>, 1, 0, 1 2),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2(_) => pick!(pixels, tiles_avx2, EmulatedPairs<Avx2>, 1, 0, 1 2),
        _ => pick!(pixels, tiles_portable, EmulatedPairs<Portable>, 1, 0, 1 2),
    }
}
