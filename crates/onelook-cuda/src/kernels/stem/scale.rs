//! Letterboxed pixels, computed where they are needed.
//!
//! Comes in: an image's header, taps and bytes. Goes out: whole numbers 0 to 255 in shared memory,
//! equal to the bit to what the plain letterbox gives; zeros outside of the network's input.

use std::sync::Arc;

use onelook_ptx::lang::{
    Bool, Builder, Cache, F16x2, Global, Instruction, Meaning, SharedAddress, U32,
};

use super::{StemShape, THREADS};
use crate::images::{HEADER_PLACE, HEADER_SIZE, HEADER_SOURCE, TAP_BYTES};
use crate::kernels::Element;

/// Pixels whose loads a thread sets out together.
const TOGETHER: u32 = 3;

/// An image as its header describes it.
pub(super) struct Scaler<'k, 's> {
    k: &'k Builder,
    shape: &'s StemShape,
    blob: Global<'k>,
    /// Bytes before the pixels, bytes of a row, bytes before the columns' and the rows' taps.
    source: [U32<'k>; 4],
    /// Left, top, width and height of the scaled image.
    place: [U32<'k>; 4],
    grey: U32<'k>,
    bgr: Bool<'k>,
}

/// A pixel on its way.
struct SourcePixel<'k> {
    index: U32<'k>,
    /// Its row and column in the tile.
    at: [U32<'k>; 2],
    /// Whether it is in the network's input, and whether in the scaled image.
    inside: [Bool<'k>; 2],
    /// Taps of its column and of its row.
    taps: [[U32<'k>; 2]; 2],
}

impl<'k, 's> Scaler<'k, 's> {
    pub(super) fn new(
        k: &'k Builder,
        shape: &'s StemShape,
        blob: Global<'k>,
        header: Global<'k>,
    ) -> Self {
        let load = |field| k.load(header + field, Cache::ReadOnly);
        let [_, _, grey, bgr] = load(HEADER_SIZE);
        Self {
            k,
            shape,
            blob,
            source: load(HEADER_SOURCE),
            place: load(HEADER_PLACE),
            grey,
            bgr: bgr.differs(0),
        }
    }

    /// Fills the tile of pixels under output pixels from this one on.
    pub(super) fn fill(&self, corner: [U32<'k>; 2], pixels: SharedAddress<'k>) {
        let (k, [high, wide]) = (self.k, self.shape.tile_input());
        self.fill_ends(pixels);
        let all = (high * wide).div_ceil(THREADS);
        for first in (0..all).step_by(TOGETHER as usize) {
            let sought: Vec<_> = (first..all.min(first + TOGETHER))
                .map(|round| self.seek(k.thread() + round * THREADS, corner))
                .collect();
            let loaded: Vec<_> = sought.iter().map(|pixel| self.load(pixel)).collect();
            for (pixel, loaded) in sought.iter().zip(loaded) {
                let colours = self.blend(pixel, loaded);
                k.when(pixel.index.less(high * wide), || {
                    self.store(pixel, colours, pixels);
                });
            }
        }
    }

    /// Zeros where k goes on behind the last pixel of a row.
    fn fill_ends(&self, pixels: SharedAddress<'k>) {
        let (k, shape) = (self.k, self.shape);
        let [high, wide] = shape.tile_input();
        let row = shape.row_values();
        for beyond in wide * shape.per_pixel()..row {
            k.count(k.thread(), high, THREADS, |y| {
                self.store_value(pixels, y * row + beyond, k.u32(0));
            });
        }
        if shape.per_pixel() == 4 {
            k.count(k.thread(), high * wide, THREADS, |index| {
                let place = index / wide * row + index % wide * 4 + 3;
                self.store_value(pixels, place, k.u32(0));
            });
        }
    }

    fn seek(&self, index: U32<'k>, corner: [U32<'k>; 2]) -> SourcePixel<'k> {
        let (k, shape) = (self.k, self.shape);
        let [left, top, width, height] = self.place;
        let [high, wide] = shape.tile_input();
        let at = [(index / wide).min(high - 1), index % wide];
        let [y, x] = shape.window.seen_in_kernel(corner, at);
        let input = y.less(shape.input[0]) & x.less(shape.input[1]);
        let (row, column) = (y - top, x - left);
        let image = row.less(height) & column.less(width);
        let [_, _, columns, rows] = self.source;
        let tap = |table: U32<'k>, index: U32<'k>| {
            let index = image.select(index, k.u32(0));
            k.load(self.blob + (table + index * TAP_BYTES), Cache::ReadOnly)
        };
        SourcePixel {
            index,
            at,
            inside: [input, image],
            taps: [tap(columns, column), tap(rows, row)],
        }
    }

    /// Eight bytes from the column's first pixel on, of both rows.
    fn load(&self, pixel: &SourcePixel<'k>) -> [[U32<'k>; 2]; 2] {
        let [[column, _], [row, _]] = pixel.taps;
        let [pixels, row_bytes, _, _] = self.source;
        let first = row & 0x7fff_ffff;
        let across = pixels + (column & 0x7fff_ffff) * 3;
        [first, first + (row >> 31)].map(|row| self.unaligned(row * row_bytes + across))
    }

    /// Eight bytes from anywhere.
    fn unaligned(&self, offset: U32<'k>) -> [U32<'k>; 2] {
        let k = self.k;
        let from = self.blob + (offset & !3);
        let words = [0, 4, 8].map(|distance| {
            let [word] = k.load(from + distance, Cache::ReadOnly);
            word
        });
        let selector = (offset & 3) * 0x1111 + 0x3210;
        [0, 1].map(|i: usize| self.permute(words[i], words[i + 1], selector))
    }

    fn permute(&self, a: U32<'k>, b: U32<'k>, selector: U32<'k>) -> U32<'k> {
        let to = self.k.reg();
        let [a, b, selector] = [a, b, selector].map(U32::operand);
        self.k.emit(Instruction::Permute { to, a, b, selector });
        U32::in_register(self.k, to)
    }

    /// Red, green and blue: of each row two pixels weighted, four bits cut; then both rows
    /// weighted, sixteen bits cut of each; then rounded.
    fn blend(&self, pixel: &SourcePixel<'k>, rows: [[U32<'k>; 2]; 2]) -> [U32<'k>; 3] {
        let k = self.k;
        let [[_, across], [_, down]] = pixel.taps;
        let down = [down << 16, down & 0xffff_0000];
        let zero = k.u32(0);
        let stretched = rows.map(|[low, high]| {
            let pairs = self.permute(low, high, k.u32(0x4130));
            let last = self.permute(low, high, k.u32(0x0052));
            let sums = [("lo", pairs), ("hi", pairs), ("lo", last)];
            sums.map(|(half, bytes)| self.weigh(half, across, bytes) >> 4)
        });
        let [input, image] = pixel.inside;
        let outside = input.select(self.grey, zero);
        let [first, green, last] = [0, 1, 2].map(|c: usize| {
            let sum = self.high_part(stretched[0][c], down[0], k.u32(2));
            let sum = self.high_part(stretched[1][c], down[1], sum);
            image.select(sum >> 2, outside)
        });
        [
            self.bgr.select(last, first),
            green,
            self.bgr.select(first, last),
        ]
    }

    /// The two 16-bit weights times the two low or high bytes, added up.
    fn weigh(&self, half: &str, weights: U32<'k>, bytes: U32<'k>) -> U32<'k> {
        let shift = if half == "lo" { 0 } else { 16 };
        let text = format!("dp2a.{half}.u32.u32 {{0}}, {{1}}, {{2}}, 0;");
        self.raw(text, vec![weights, bytes], move |bits| {
            let bytes = bits[1] >> shift;
            (bits[0] & 0xffff) * (bytes & 255) + (bits[0] >> 16) * ((bytes >> 8) & 255)
        })
    }

    /// The high half of `a * b`, plus `c`.
    fn high_part(&self, a: U32<'k>, b: U32<'k>, c: U32<'k>) -> U32<'k> {
        let text = "mad.hi.u32 {0}, {1}, {2}, {3};".to_owned();
        self.raw(text, vec![a, b, c], |bits| {
            let product = u64::from(bits[0]) * u64::from(bits[1]);
            ((product >> 32) as u32).wrapping_add(bits[2])
        })
    }

    fn raw(
        &self,
        text: String,
        inputs: Vec<U32<'k>>,
        meaning: impl Fn(&[u32]) -> u32 + Send + Sync + 'static,
    ) -> U32<'k> {
        let to = self.k.reg();
        self.k.emit(Instruction::Asm {
            text,
            outputs: vec![to],
            inputs: inputs.into_iter().map(U32::operand).collect(),
            meaning: Meaning(Arc::new(move |bits| vec![meaning(bits)])),
        });
        U32::in_register(self.k, to)
    }

    fn store(&self, pixel: &SourcePixel<'k>, colours: [U32<'k>; 3], pixels: SharedAddress<'k>) {
        let [y, x] = pixel.at;
        let place = y * self.shape.row_values() + x * self.shape.per_pixel();
        for (colour, index) in colours.into_iter().zip(0..) {
            self.store_value(pixels, place + index, colour);
        }
    }

    /// Stores a whole number below 1024. As a half it is what the last bits of 1024 and so many
    /// more say, less 1024: quicker than a conversion.
    fn store_value(&self, pixels: SharedAddress<'k>, place: U32<'k>, number: U32<'k>) {
        let k = self.k;
        let to = pixels + place * self.shape.element.bytes();
        match self.shape.element {
            Element::F16 => {
                let beyond = (number | 0x6400).as_f16x2();
                let value = beyond + F16x2::constant(k, 0xe400);
                k.store_shared_u16(to, value.bits());
            }
            Element::F32 => k.store_shared(to, [number.to_f32()]),
        }
    }
}
