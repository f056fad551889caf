//! Between planes of f32, as callers have them, and maps.
//!
//! ```text
//! for n, y, x, c:  map[n][y][x][c] = planes[n][c][y][x]      and back
//! ```
//!
//! 1. A thread has one pixel's piece: neighbours read neighbouring values of each plane, and write
//!    whole pieces.
//! 2. Channels that only pad a piece become zeros.

use super::{Element, Map, PIECE_BYTES, Tiled};
use crate::lang::{Builder, Cache, F32, Special, Target, U32};

/// A map and the planes that it comes from or goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Planes {
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
/// pictures (a word).
pub fn to_map(target: Target, name: &str, planes: &Planes, batch: u32) -> Tiled {
    let Planes {
        element,
        map,
        channels,
    } = *planes;
    let k = Builder::new(name, target, THREADS);
    let (values, output, pixels) = (k.input("planes"), k.output("map"), k.word("pixels"));
    let place = Place::new(&k, map);
    k.grid_launch();
    k.grid_wait();
    k.when(place.pixel.less(pixels), || {
        let loaded: Vec<F32<'_>> = (0..element.per_piece())
            .map(|i| {
                let channel = place.piece * element.per_piece() + i;
                let value = k.float_variable(0.0);
                k.when(channel.less(channels), || {
                    let place = place.plane(map, channels, channel);
                    let [word] = k.load(values + place * 4, Cache::Default);
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
        let offset = place.pixel * (map.pitch * element.bytes()) + place.piece * PIECE_BYTES;
        k.store(output + offset, [0, 1, 2, 3].map(|i| words[i]));
    });
    tiled(k, element, map, batch)
}

/// A map to planes. Parameters: the map; planes `[batch, channels, height, width]`; pixels of all
/// pictures (a word).
pub fn from_map(target: Target, name: &str, planes: &Planes, batch: u32) -> Tiled {
    let Planes {
        element,
        map,
        channels,
    } = *planes;
    let k = Builder::new(name, target, THREADS);
    let (input, values, pixels) = (k.input("map"), k.output("planes"), k.word("pixels"));
    let place = Place::new(&k, map);
    k.grid_launch();
    k.grid_wait();
    k.when(place.pixel.less(pixels), || {
        let offset = place.pixel * (map.pitch * element.bytes()) + place.piece * PIECE_BYTES;
        let words = k.load::<4>(input + offset, Cache::Default);
        let stored: Vec<F32<'_>> = match element {
            Element::F16 => words
                .iter()
                .flat_map(|word| word.as_halves().unpack())
                .collect(),
            Element::F32 => words.iter().map(|word| word.as_f32()).collect(),
        };
        for (i, value) in (0..).zip(stored) {
            let channel = place.piece * element.per_piece() + i;
            k.when(channel.less(channels), || {
                let place = place.plane(map, channels, channel);
                k.store(values + place * 4, [value]);
            });
        }
    });
    tiled(k, element, map, batch)
}

fn tiled(k: Builder, element: Element, map: Map, batch: u32) -> Tiled {
    let pixels = map.pixels() * batch;
    Tiled {
        kernel: k.finish(),
        grid: [
            pixels.div_ceil(THREADS),
            map.channels.div_ceil(element.per_piece()),
            1,
        ],
        choice: format!("{THREADS} pixels a block"),
    }
}

/// A thread's pixel and piece.
struct Place<'k> {
    pixel: U32<'k>,
    piece: U32<'k>,
    /// Picture, and pixel in it.
    picture: U32<'k>,
    inside: U32<'k>,
}

impl<'k> Place<'k> {
    fn new(k: &'k Builder, map: Map) -> Self {
        let pixel = k.special(Special::BlockX) * THREADS + k.thread();
        Self {
            pixel,
            piece: k.special(Special::BlockY),
            picture: pixel / map.pixels(),
            inside: pixel % map.pixels(),
        }
    }

    /// The value's number among all planes'.
    fn plane(&self, map: Map, channels: u32, channel: U32<'k>) -> U32<'k> {
        (self.picture * channels + channel) * map.pixels() + self.inside
    }
}
