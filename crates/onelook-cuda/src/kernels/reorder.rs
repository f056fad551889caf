//! Between planes of f32, as callers have them, and maps.
//!
//! ```text
//! for n, y, x, c:  map[n][y][x][c] = planes[n][c][y][x]      and back
//! ```
//!
//! 1. A thread has one pixel's vector: neighbours read neighbouring values of each plane, and write
//!    whole vectors.
//! 2. Channels that only pad a vector become zeros.

use onelook_ptx::lang::{Builder, Cache, F32, Special, Target, U32};

use super::{Element, Map, Tiled, VECTOR_BYTES};

/// A map and the planes that it comes from or goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReorderShape {
    /// Format of the map.
    pub element: Element,
    /// The map; its channels are padded.
    pub map: Map,
    /// Channels that there are planes of.
    pub channels: u32,
}

/// Threads of a block.
const THREADS: u32 = 128;

/// Planes to a map. Parameters: planes `[batch, channels, height, width]`; the map; pixels of all
/// images (a word).
pub fn to_map(target: Target, name: &str, planes: &ReorderShape, batch: u32) -> Tiled {
    let element = planes.element;
    let k = Builder::new(name, target, THREADS);
    let (values, output, pixels) = (k.input("planes"), k.output("map"), k.word("pixels"));
    let place = PixelVector::begin(&k, planes);
    k.when(place.pixel.less(pixels), || {
        let loaded: Vec<F32<'_>> = (0..element.per_vector())
            .map(|i| {
                let channel = place.vector * element.per_vector() + i;
                let value = k.float_variable(0.0);
                k.when(channel.less(planes.channels), || {
                    let [word] = k.load(values + place.in_planes(channel), Cache::Default);
                    k.assign(value, word);
                });
                value
            })
            .collect();
        let words: Vec<U32<'_>> = match element {
            Element::F16 => loaded
                .chunks_exact(2)
                .map(|pair| pair[0].pack(pair[1]).bits())
                .collect(),
            Element::F32 => loaded.iter().map(|value| value.bits()).collect(),
        };
        k.store(output + place.in_map(), [0, 1, 2, 3].map(|i| words[i]));
    });
    tiled(k, planes, batch)
}

/// A map to planes. Parameters: the map; planes `[batch, channels, height, width]`; pixels of all
/// images (a word).
pub fn from_map(target: Target, name: &str, planes: &ReorderShape, batch: u32) -> Tiled {
    let element = planes.element;
    let k = Builder::new(name, target, THREADS);
    let (input, values, pixels) = (k.input("map"), k.output("planes"), k.word("pixels"));
    let place = PixelVector::begin(&k, planes);
    k.when(place.pixel.less(pixels), || {
        let words = k.load::<4>(input + place.in_map(), Cache::Default);
        let stored: Vec<F32<'_>> = match element {
            Element::F16 => words
                .iter()
                .flat_map(|word| word.as_f16x2().unpack())
                .collect(),
            Element::F32 => words.iter().map(|word| word.as_f32()).collect(),
        };
        for (i, value) in (0..).zip(stored) {
            let channel = place.vector * element.per_vector() + i;
            k.when(channel.less(planes.channels), || {
                k.store(values + place.in_planes(channel), [value]);
            });
        }
    });
    tiled(k, planes, batch)
}

fn tiled(k: Builder, planes: &ReorderShape, batch: u32) -> Tiled {
    let pixels = planes.map.pixels() * batch;
    Tiled {
        kernel: k.finish(),
        grid: [
            pixels.div_ceil(THREADS),
            planes.map.channels.div_ceil(planes.element.per_vector()),
            1,
        ],
        choice: format!("{THREADS} pixels a block"),
    }
}

/// A thread's pixel and vector.
struct PixelVector<'k> {
    planes: ReorderShape,
    pixel: U32<'k>,
    vector: U32<'k>,
    /// Image, and pixel in it.
    image: U32<'k>,
    inside: U32<'k>,
}

impl<'k> PixelVector<'k> {
    /// Finds it, then waits for the launches before.
    fn begin(k: &'k Builder, planes: &ReorderShape) -> Self {
        let pixel = k.special(Special::BlockX) * THREADS + k.thread();
        let place = Self {
            planes: *planes,
            pixel,
            vector: k.special(Special::BlockY),
            image: pixel / planes.map.pixels(),
            inside: pixel % planes.map.pixels(),
        };
        k.grid_launch();
        k.grid_wait();
        place
    }

    /// The vector's first byte in the map.
    fn in_map(&self) -> U32<'k> {
        let pixel_bytes = self.planes.map.pitch * self.planes.element.bytes();
        self.pixel * pixel_bytes + self.vector * VECTOR_BYTES
    }

    /// The first byte of a channel's value in the planes.
    fn in_planes(&self, channel: U32<'k>) -> U32<'k> {
        let plane = self.image * self.planes.channels + channel;
        (plane * self.planes.map.pixels() + self.inside) * 4
    }
}
