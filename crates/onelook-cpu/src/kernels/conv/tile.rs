//! The register tile: `CO` output blocks × `PX` pixels of a row, summed over all runs of the input.
//!
//! A run is a stretch of consecutive input words that consecutive weight vectors multiply: 16 channels of a pixel in
//! a blocked map, or a kernel's row in a plane. What a word holds, and so what a product is, is the [`Dot`]'s to say.
//! Where runs begin is a table, so the same tile serves every kernel
//! size and dilation, the first convolution, and the products inside attention.

use super::dot::Dot;
#[cfg(target_arch = "x86_64")]
use crate::isa::{Avx2, Avx512};
use crate::isa::{Portable, Vector16};
use crate::kernels::activation::{Activation, Constants, lane_mask, with_activation};
use crate::kernels::buffer::LINE_BYTES;
use crate::kernels::element::{Element, Lanes, with_element};
use crate::kernels::layout::BLOCK;
use std::ptr::null;

/// Where the runs begin, in words from a pixel's first tap, and how long they are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Runs {
    /// The runs in the order of the weights.
    pub(crate) offsets: Vec<usize>,
    /// How many of them have the length `whole_len`; the others have `last_len`.
    pub(crate) whole: usize,
    pub(crate) whole_len: usize,
    pub(crate) last_len: usize,
}

/// What the tiles of a row read and write; distances in words.
#[derive(Clone, Copy)]
pub(crate) struct TileArgs<'a> {
    /// The first tap of the first pixel.
    pub(crate) input: *const f32,
    pub(crate) pixel_stride: usize,
    pub(crate) runs: &'a Runs,
    pub(crate) weights: *const f32,
    pub(crate) weights_block: usize,
    pub(crate) bias: *const f32,
    pub(crate) output: *mut f32,
    pub(crate) output_pixel: usize,
    pub(crate) output_block: usize,
    pub(crate) output_element: Element,
    /// Null where nothing is added.
    pub(crate) residual: *const f32,
    pub(crate) residual_pixel: usize,
    pub(crate) residual_block: usize,
    pub(crate) residual_element: Element,
    pub(crate) activation: Activation,
    /// Channels that are used, from the first block's first.
    pub(crate) kept: usize,
    pub(crate) ahead: Ahead,
}

/// Input that is needed soon: every tile asks for one piece of it, a few lines with every run.
#[derive(Clone, Copy)]
pub(crate) struct Ahead {
    /// The first float of the first plane's part.
    pub(crate) start: *const f32,
    pub(crate) plane_words: usize,
    pub(crate) planes: usize,
    /// Each plane's part is cut into so many pieces of `piece_lines` lines.
    pub(crate) pieces: usize,
    pub(crate) piece_lines: usize,
    /// The piece of the next tile.
    pub(crate) next: usize,
}

impl Ahead {
    pub(crate) const NOTHING: Ahead = Ahead {
        start: null(),
        plane_words: 0,
        planes: 0,
        pieces: 1,
        piece_lines: 0,
        next: 0,
    };

    /// The next tile's piece, and its lines.
    #[inline(always)]
    fn piece(&self) -> (*const f32, usize) {
        if self.next >= self.planes * self.pieces {
            return (self.start, 0);
        }
        let (plane, piece) = (self.next / self.pieces, self.next % self.pieces);
        let offset = plane * self.plane_words + piece * self.piece_lines * LINE_FLOATS;
        (self.start.wrapping_add(offset), self.piece_lines)
    }
}

const LINE_FLOATS: usize = LINE_BYTES / size_of::<f32>();

/// Asks for a line to be brought into the second-level cache.
#[inline(always)]
fn prefetch(address: *const f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint, of the baseline, that does not fault at any address.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T1>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

static NO_RUNS: Runs = Runs {
    offsets: Vec::new(),
    whole: 0,
    whole_len: 0,
    last_len: 0,
};

impl Default for TileArgs<'_> {
    fn default() -> Self {
        TileArgs {
            input: null(),
            pixel_stride: 0,
            runs: &NO_RUNS,
            weights: null(),
            weights_block: 0,
            bias: null(),
            output: std::ptr::null_mut(),
            output_pixel: 0,
            output_block: 0,
            output_element: Element::F32,
            residual: null(),
            residual_pixel: 0,
            residual_block: 0,
            residual_element: Element::F32,
            activation: Activation::None,
            kept: usize::MAX,
            ahead: Ahead::NOTHING,
        }
    }
}

impl TileArgs<'_> {
    /// Moves on by `pixels` pixels.
    #[inline(always)]
    pub(crate) fn skip_pixels(&mut self, pixels: usize) {
        self.input = self.input.wrapping_add(pixels * self.pixel_stride);
        self.output = self.output.wrapping_add(pixels * self.output_pixel);
        if !self.residual.is_null() {
            self.residual = self.residual.wrapping_add(pixels * self.residual_pixel);
        }
    }
}

/// Does a number of consecutive tiles.
///
/// # Safety
/// The level was detected; all that `args` points to is valid for so many tiles.
pub(crate) type TileFn = unsafe fn(args: &TileArgs, tiles: usize);

/// Vectors in the largest tile.
const MOST_SUMS: usize = 28;

#[repr(C, align(64))]
struct Sums([[f32; BLOCK]; MOST_SUMS]);

/// Tile after tile: sums, then `finish`.
///
/// # Safety
/// As [`TileFn`], for the level of `D` and tiles of `CO` blocks by `PX` pixels; `finish` is of the same level.
#[inline(always)]
unsafe fn tiles_body<D: Dot, const CO: usize, const PX: usize, const STRIDE: usize>(
    args: &TileArgs,
    tiles: usize,
    finish: unsafe fn(&TileArgs, *const f32, usize, usize),
) {
    let mut args = *args;
    let mut sums = std::mem::MaybeUninit::<Sums>::uninit();
    let sums = sums.as_mut_ptr().cast::<f32>();
    for _ in 0..tiles {
        // SAFETY: the caller guarantees `args` for this tile; `select` gives no tile of more than `MOST_SUMS` vectors, so
        // `sums` holds it, and `finish` reads what `accumulate` has written.
        unsafe {
            accumulate::<D, CO, PX, STRIDE>(&args, sums);
            finish(&args, sums, CO, PX);
        }
        args.skip_pixels(PX);
        args.ahead.next += 1;
    }
}

/// Sums a tile in registers and leaves it in `sums`, pixels of a block side by side.
///
/// # Safety
/// `args` points to a tile's input, weights and biases; `sums` has room for `CO · PX` vectors; the CPU has the level.
#[inline(always)]
#[expect(
    clippy::needless_range_loop,
    reason = "plain indices of constant extent keep the sums in registers"
)]
unsafe fn accumulate<D: Dot, const CO: usize, const PX: usize, const STRIDE: usize>(
    args: &TileArgs,
    sums: *mut f32,
) {
    let stride = if STRIDE == 0 {
        args.pixel_stride
    } else {
        STRIDE
    };
    let runs = args.runs;
    // SAFETY: the caller guarantees input under every run's offset, weights for `CO` blocks, biases, and the sums.
    unsafe {
        let mut tile = [[D::load(args.bias); PX]; CO];
        for co in 1..CO {
            let bias = D::load(args.bias.add(co * BLOCK));
            for px in 0..PX {
                tile[co][px] = bias;
            }
        }
        let mut weights = args.weights;
        let (mut soon, lines) = args.ahead.piece();
        let lines_a_run = lines.div_ceil(runs.offsets.len().max(1));
        for (index, &offset) in runs.offsets.iter().enumerate() {
            let input = args.input.add(offset);
            let len = if index < runs.whole {
                runs.whole_len
            } else {
                runs.last_len
            };
            for _ in 0..lines_a_run {
                prefetch(soon);
                soon = soon.wrapping_add(LINE_FLOATS);
            }
            for step in 0..len {
                let mut weight = [D::weight(weights); CO];
                for co in 1..CO {
                    weight[co] = D::weight(weights.add(co * args.weights_block));
                }
                weights = weights.add(BLOCK);
                for px in 0..PX {
                    let word = D::word(input.add(px * stride + step));
                    for co in 0..CO {
                        tile[co][px] = tile[co][px].dot(word, weight[co]);
                    }
                }
            }
        }
        for co in 0..CO {
            for px in 0..PX {
                tile[co][px].store(sums.add((co * PX + px) * BLOCK));
            }
        }
    }
}

/// Activation, residual, store. Called, not inlined: one copy serves all tiles of a level.
///
/// # Safety
/// `sums` holds `blocks · pixels` vectors; `args` points to an output, and a residual unless that is null, of as many,
/// which no other thread touches; the CPU has the level.
#[inline(always)]
unsafe fn finish_body<V: Vector16>(
    args: &TileArgs,
    sums: *const f32,
    blocks: usize,
    pixels: usize,
) {
    // SAFETY: the caller guarantees sums, output and residual of `blocks` blocks by `pixels` pixels.
    unsafe {
        let constants = Constants::<V>::new();
        with_element!(args.output_element, |Output| with_activation!(
            args.activation,
            |kind| for co in 0..blocks {
                let sums = sums.add(co * pixels * BLOCK);
                let output = args.output.add(co * args.output_block);
                if args.residual.is_null() {
                    for px in 0..pixels {
                        let value = constants.apply(kind, V::load(sums.add(px * BLOCK)));
                        Output::store(value, output.add(px * args.output_pixel));
                    }
                    continue;
                }
                let residual = args.residual.add(co * args.residual_block);
                with_element!(args.residual_element, |Residual| for px in 0..pixels {
                    let value = constants.apply(kind, V::load(sums.add(px * BLOCK)));
                    let added = Residual::load::<V>(residual.add(px * args.residual_pixel));
                    Output::store(value.add(added), output.add(px * args.output_pixel));
                });
            }
        ));
        if !args.activation.keeps_zero() && args.kept < blocks * BLOCK {
            clear_unused::<V>(args, blocks, pixels);
        }
    }
}

/// Puts zero back into the channels that a function such as sigmoid lifted from it.
///
/// # Safety
/// As [`finish_body`], after which the output is written.
#[inline(always)]
unsafe fn clear_unused<V: Vector16>(args: &TileArgs, blocks: usize, pixels: usize) {
    let mask = lane_mask(args.kept % BLOCK);
    // SAFETY: the caller guarantees the output's last block; the mask is an array of one.
    unsafe {
        let mask = V::load(mask.as_ptr());
        let output = args.output.add((blocks - 1) * args.output_block);
        with_element!(args.output_element, |Output| for px in 0..pixels {
            let output = output.add(px * args.output_pixel);
            Output::store(Output::load::<V>(output).mul(mask), output);
        });
    }
}

/// # Safety
/// As [`finish_body`]; the CPU has AVX-512.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
#[inline(never)]
unsafe fn finish_avx512(args: &TileArgs, sums: *const f32, blocks: usize, pixels: usize) {
    // SAFETY: the caller guarantees the operands; the level's features are enabled here.
    unsafe { finish_body::<Avx512>(args, sums, blocks, pixels) }
}

/// # Safety
/// As [`TileFn`]; the CPU has AVX-512, which is the level of `D`.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
pub(super) unsafe fn tiles_avx512<D: Dot, const CO: usize, const PX: usize, const STRIDE: usize>(
    args: &TileArgs,
    tiles: usize,
) {
    // SAFETY: the caller guarantees `args` for all tiles and the level, whose features are enabled here.
    unsafe { tiles_body::<D, CO, PX, STRIDE>(args, tiles, finish_avx512) }
}

/// # Safety
/// As [`TileFn`]; the CPU has AVX-512 with AVX512-BF16.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma")]
pub(super) unsafe fn tiles_avx512bf16<
    D: Dot,
    const CO: usize,
    const PX: usize,
    const STRIDE: usize,
>(
    args: &TileArgs,
    tiles: usize,
) {
    // SAFETY: the caller guarantees `args` for all tiles and the level, whose features are enabled here.
    unsafe { tiles_body::<D, CO, PX, STRIDE>(args, tiles, finish_avx512) }
}

/// # Safety
/// As [`finish_body`]; the CPU has AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
#[inline(never)]
unsafe fn finish_avx2(args: &TileArgs, sums: *const f32, blocks: usize, pixels: usize) {
    // SAFETY: the caller guarantees the operands; the level's features are enabled here.
    unsafe { finish_body::<Avx2>(args, sums, blocks, pixels) }
}

/// # Safety
/// As [`TileFn`]; the CPU has AVX2 and FMA, which is the level of `D`.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn tiles_avx2<D: Dot, const CO: usize, const PX: usize, const STRIDE: usize>(
    args: &TileArgs,
    tiles: usize,
) {
    // SAFETY: the caller guarantees `args` for all tiles and the level, whose features are enabled here.
    unsafe { tiles_body::<D, CO, PX, STRIDE>(args, tiles, finish_avx2) }
}

/// # Safety
/// As [`finish_body`].
#[inline(never)]
unsafe fn finish_portable(args: &TileArgs, sums: *const f32, blocks: usize, pixels: usize) {
    // SAFETY: the caller guarantees the operands; every CPU has this level.
    unsafe { finish_body::<Portable>(args, sums, blocks, pixels) }
}

/// # Safety
/// As [`TileFn`].
pub(super) unsafe fn tiles_portable<
    D: Dot,
    const CO: usize,
    const PX: usize,
    const STRIDE: usize,
>(
    args: &TileArgs,
    tiles: usize,
) {
    // SAFETY: the caller guarantees `args` for all tiles; every CPU has this level.
    unsafe { tiles_body::<D, CO, PX, STRIDE>(args, tiles, finish_portable) }
}
