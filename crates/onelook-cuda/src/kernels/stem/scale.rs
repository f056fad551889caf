//! Letterboxed pixels, computed where they are needed.
//!
//! Comes in: a picture's header, taps and bytes. Goes out: whole numbers 0 to 255 in shared memory,
//! equal to the bit to what the plain letterbox gives; zeros outside of the network's input.

use super::{StemShape, THREADS};
use crate::kernels::Element;
use crate::lang::{Bool, Builder, Cache, Global, Instruction, SharedAddress, U32};
use crate::pictures::{HEADER_PLACE, HEADER_SIZE, HEADER_SOURCE, TAP_BYTES};

/// Pixels whose loads a thread sets out together.
const TOGETHER: u32 = 5;

/// A picture as its header describes it.
pub(super) struct Scaler<'k, 's> {
    k: &'k Builder,
    shape: &'s StemShape,
    blob: Global<'k>,
    /// Bytes before the pixels, bytes of a row, bytes before the columns' and the rows' taps.
    source: [U32<'k>; 4],
    /// Left, top, width and height of the scaled picture.
    place: [U32<'k>; 4],
    grey: U32<'k>,
    bgr: Bool<'k>,
}

/// A pixel on its way.
struct Sought<'k> {
    index: U32<'k>,
    /// Its row and column in the tile.
    at: [U32<'k>; 2],
    /// Whether it is in the network's input, and whether in the scaled picture.
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
        let (k, [high, wide]) = (self.k, self.shape.window());
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
        let [high, wide] = shape.window();
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

    fn seek(&self, index: U32<'k>, corner: [U32<'k>; 2]) -> Sought<'k> {
        let (k, shape) = (self.k, self.shape);
        let [left, top, width, height] = self.place;
        let [high, wide] = shape.window();
        let at = [(index / wide).min(high - 1), index % wide];
        let place =
            |axis: usize| corner[axis] * shape.stride[axis] + at[axis] - shape.padding[axis];
        let (y, x) = (place(0), place(1));
        let input = y.less(shape.input[0]) & x.less(shape.input[1]);
        let (row, column) = (y - top, x - left);
        let picture = row.less(height) & column.less(width);
        let [_, _, columns, rows] = self.source;
        let tap = |table: U32<'k>, index: U32<'k>| {
            let index = picture.select(index, k.u32(0));
            k.load(self.blob + (table + index * TAP_BYTES), Cache::ReadOnly)
        };
        Sought {
            index,
            at,
            inside: [input, picture],
            taps: [tap(columns, column), tap(rows, row)],
        }
    }

    /// Eight bytes from the column's first pixel on, of both rows.
    fn load(&self, pixel: &Sought<'k>) -> [[U32<'k>; 2]; 2] {
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
        [0, 1].map(|i: usize| {
            let to = k.reg();
            let [a, b, selector] = [words[i], words[i + 1], selector].map(U32::operand);
            k.emit(Instruction::Permute { to, a, b, selector });
            U32::in_register(k, to)
        })
    }

    /// Red, green and blue.
    fn blend(&self, pixel: &Sought<'k>, rows: [[U32<'k>; 2]; 2]) -> [U32<'k>; 3] {
        let k = self.k;
        let [[_, column], [_, row]] = pixel.taps;
        let halves = |weights: U32<'k>| [weights & 0xffff, weights >> 16];
        let (across, down) = (halves(column), halves(row));
        let stretched = rows.map(|[low, high]| {
            let byte = |word: U32<'k>, number: u32| (word >> (8 * number)) & 255;
            let near = [byte(low, 0), byte(low, 1), byte(low, 2)];
            let far = [low >> 24, byte(high, 0), byte(high, 1)];
            [0, 1, 2].map(|c: usize| (near[c] * across[0] + far[c] * across[1]) >> 4)
        });
        let mut colours = [0, 1, 2].map(|c: usize| {
            let part = |side: usize| (stretched[side][c] * down[side]) >> 16;
            (part(0) + part(1) + 2) >> 2
        });
        let [first, green, last] = colours;
        colours = [
            self.bgr.select(last, first),
            green,
            self.bgr.select(first, last),
        ];
        let [input, picture] = pixel.inside;
        colours.map(|colour| input.select(picture.select(colour, self.grey), k.u32(0)))
    }

    fn store(&self, pixel: &Sought<'k>, colours: [U32<'k>; 3], pixels: SharedAddress<'k>) {
        let [y, x] = pixel.at;
        let place = y * self.shape.row_values() + x * self.shape.per_pixel();
        for (colour, index) in colours.into_iter().zip(0..) {
            self.store_value(pixels, place + index, colour);
        }
    }

    fn store_value(&self, pixels: SharedAddress<'k>, place: U32<'k>, number: U32<'k>) {
        let (k, value) = (self.k, number.to_f32());
        let to = pixels + place * self.shape.element.bytes();
        match self.shape.element {
            Element::F16 => k.store_shared_u16(to, value.pack(value).bits()),
            Element::F32 => k.store_shared(to, [value]),
        }
    }
}
