//! Max pools: a chain of them over one map as one kernel, and single ones of any shape.
//!
//! ```text
//! for every output (n, y, x, c):
//!     output[y][x][c] = max over the window input[y * stride + dy - top][x * stride + dx - left][c]
//! ```
//!
//! 1. Pools of one window in a row with stride 1 are pools of growing windows over the first input:
//!    all of them come from one tile with the halo of the widest, with two barriers in total.
//! 2. Windows are separable: first along rows, then along columns, several outputs per thread from
//!    the same loads.
//! 3. What lies outside the map is replaced by the nearest pixel inside, which every window that
//!    reaches out has in it anyway: no branch, no infinity.
//! 4. A block has 16 bytes of channels, compared two f16 values at a time.

#[cfg(test)]
mod tests;

use onelook_ptx::lang::{Builder, Cache, F16x2, F32, Global, SharedAddress, Special, Target, U32};

use super::window::Window;
use super::{Element, Map, Tiled, VECTOR_BYTES};

/// A chain of equal pools of stride 1 that keep the map's size; the window's side is odd.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ChainShape {
    /// Format of the maps.
    pub element: Element,
    /// What is read.
    pub input: Map,
    /// Side of the window.
    pub window: u32,
    /// Channels from pixel to pixel of each pool's output, in order.
    pub pitches: Vec<u32>,
}

/// Any pool.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PoolShape {
    /// Format of the maps.
    pub element: Element,
    /// What is read.
    pub input: Map,
    /// What slides over the input.
    pub window: Window,
    /// Channels from pixel to pixel of the output.
    pub pitch: u32,
}

/// 16 bytes of channels.
type Vec16B<'k> = [U32<'k>; 4];

/// Outputs that a thread makes from the same loads.
const RUN: u32 = 2;

/// Blocks that keep a large device busy.
const MANY_BLOCKS: u32 = 128;

/// The kernel of a chain. Parameters: the input; the output of each pool.
pub fn pool_chain(target: Target, name: &str, shape: &ChainShape, batch: u32) -> Tiled {
    let parts = parts(shape, batch);
    let chain = Chain::new(shape, parts);
    let rows = chain.high * chain.width.div_ceil(RUN);
    let threads = rows.next_multiple_of(32).clamp(64, 256);
    let k = Builder::new(name, target, threads);
    chain.write(&k);
    let tiles = shape.input.height.div_ceil(chain.height) * chain.tiles_across();
    Tiled {
        kernel: k.finish(),
        grid: [
            tiles,
            shape.input.channels / shape.element.per_vector(),
            batch,
        ],
        choice: format!("{}x{} pixels, {threads} threads", chain.height, chain.width),
    }
}

/// In how many parts each side is cut: the fewest that keep the device busy and fit.
fn parts(shape: &ChainShape, batch: u32) -> u32 {
    let vectors = shape.input.channels / shape.element.per_vector();
    let side = shape.input.height.max(shape.input.width);
    let enough = |&parts: &u32| {
        let busy = vectors * batch * parts * parts >= MANY_BLOCKS || side / (parts + 1) < 8;
        busy && Chain::new(shape, parts).shared_bytes() <= 48 << 10
    };
    (1..side).find(enough).unwrap_or(side)
}

struct Chain<'s> {
    shape: &'s ChainShape,
    /// Pixels that the widest window reaches beyond its centre.
    halo: u32,
    /// Of a tile.
    height: u32,
    width: u32,
    /// Of a tile with its halo.
    high: u32,
    wide: u32,
}

impl<'s> Chain<'s> {
    fn new(shape: &'s ChainShape, parts: u32) -> Self {
        let halo = shape.window / 2 * shape.pitches.len() as u32;
        let [height, width] =
            [shape.input.height, shape.input.width].map(|side| side.div_ceil(parts));
        let width = width.next_multiple_of(RUN);
        Self {
            shape,
            halo,
            height: height.next_multiple_of(RUN),
            width,
            high: height.next_multiple_of(RUN) + 2 * halo,
            wide: width + 2 * halo,
        }
    }

    fn tiles_across(&self) -> u32 {
        self.shape.input.width.div_ceil(self.width)
    }

    fn shared_bytes(&self) -> u32 {
        let rows = self.width * self.shape.pitches.len() as u32;
        self.high * (self.wide + rows) * VECTOR_BYTES
    }

    fn write(&self, k: &Builder) {
        let input = k.input("input");
        let outputs: Vec<_> = (1..=self.shape.pitches.len())
            .map(|pool| k.output(&format!("output_{pool}")))
            .collect();
        let tile = k.special(Special::BlockX);
        let across = self.tiles_across();
        let corner = [tile / across * self.height, tile % across * self.width];
        let pixels = k.shared(self.shared_bytes(), 16);
        let rows = pixels + self.high * self.wide * VECTOR_BYTES;

        k.grid_launch();
        k.grid_wait();
        self.load(k, input, corner, pixels);
        k.async_commit();
        k.async_wait(0);
        k.barrier();
        self.along_rows(k, pixels, rows);
        k.barrier();
        self.along_columns(k, rows, corner, &outputs);
    }

    /// Copies the tile and its halo, the nearest pixels inside for those outside.
    fn load<'k>(
        &self,
        k: &'k Builder,
        input: Global<'k>,
        [top, left]: [U32<'k>; 2],
        pixels: SharedAddress<'k>,
    ) {
        let map = &self.shape.input;
        let inside = |first: U32<'k>, index: U32<'k>, side: u32| {
            (first + index).max(self.halo).min(self.halo + side - 1) - self.halo
        };
        k.count(k.thread(), self.high * self.wide, k.threads(), |index| {
            let y = inside(top, index / self.wide, map.height);
            let x = inside(left, index % self.wide, map.width);
            let from = input + self.offset(k, y * map.width + x, map.pitch);
            k.async_copy(pixels + index * VECTOR_BYTES, from, 16, k.bool(true));
        });
    }

    /// Bytes from the start of a map to the block's channels of a pixel of the block's image.
    fn offset<'k>(&self, k: &'k Builder, pixel: U32<'k>, pitch: u32) -> U32<'k> {
        let image = k.special(Special::BlockZ);
        let pixel = image * self.shape.input.pixels() + pixel;
        pixel * (pitch * self.shape.element.bytes()) + k.special(Special::BlockY) * VECTOR_BYTES
    }

    /// The largest of every pool's window along its row: `[pool][y][x]`, rows of the halo too.
    fn along_rows<'k>(&self, k: &'k Builder, pixels: SharedAddress<'k>, rows: SharedAddress<'k>) {
        let runs = self.width / RUN;
        k.count(k.thread(), self.high * runs, k.threads(), |index| {
            let (y, x) = (index / runs, index % runs * RUN);
            let from = pixels + (y * self.wide + x) * VECTOR_BYTES;
            let values: Vec<Vec16B<'k>> = (0..RUN + 2 * self.halo)
                .map(|i| k.load_shared(from + i * VECTOR_BYTES))
                .collect();
            for run in 0..RUN {
                let centre = (run + self.halo) as usize;
                let mut largest = values[centre];
                for (pool, reach) in (0..).zip(self.reaches()) {
                    let before = reach + 1 - self.shape.window as usize / 2;
                    for distance in before..=reach {
                        for index in [centre - distance, centre + distance] {
                            largest = max(self.shape.element, largest, values[index]);
                        }
                    }
                    let place = (y + pool * self.high) * self.width + x + run;
                    k.store_shared(rows + place * VECTOR_BYTES, largest);
                }
            }
        });
    }

    /// The largest along columns of what the rows gave, stored where the map has a pixel.
    fn along_columns<'k>(
        &self,
        k: &'k Builder,
        rows: SharedAddress<'k>,
        [top, left]: [U32<'k>; 2],
        outputs: &[Global<'k>],
    ) {
        let map = &self.shape.input;
        let runs = self.height / RUN;
        let column = |pool: u32, y: U32<'k>, x: U32<'k>| {
            rows + ((y + pool * self.high) * self.width + x) * VECTOR_BYTES
        };
        k.count(k.thread(), runs * self.width, k.threads(), |index| {
            let (y, x) = (index / self.width * RUN, index % self.width);
            for (pool, reach) in (0..).zip(self.reaches()) {
                let from = column(pool, y + (self.halo - reach as u32), x);
                let step = self.width * VECTOR_BYTES;
                let values: Vec<Vec16B<'k>> = (0..RUN + 2 * reach as u32)
                    .map(|i| k.load_shared(from + i * step))
                    .collect();
                for run in 0..RUN {
                    let window = &values[run as usize..][..2 * reach + 1];
                    let join = |a, b| max(self.shape.element, a, b);
                    let largest = window.iter().copied().reduce(join);
                    let largest = largest.expect("a window has its centre");
                    let (y, x) = (top + y + run, left + x);
                    let (pool, pitch) = (pool as usize, self.shape.pitches[pool as usize]);
                    k.when(y.less(map.height) & x.less(map.width), || {
                        let to = outputs[pool] + self.offset(k, y * map.width + x, pitch);
                        k.store(to, largest);
                    });
                }
            }
        });
    }

    /// How far each pool's window reaches over the first input.
    fn reaches(&self) -> impl Iterator<Item = usize> {
        let step = self.shape.window as usize / 2;
        (1..=self.shape.pitches.len()).map(move |pools| pools * step)
    }
}

/// The kernel of one pool. Parameters: the input; the output; pixels of all images' outputs (a
/// word).
pub fn pool(target: Target, name: &str, shape: &PoolShape, batch: u32) -> Tiled {
    let k = Builder::new(name, target, 128);
    let input = k.input("input");
    let output = k.output("output");
    let pixels = k.word("pixels");
    k.grid_launch();
    k.grid_wait();
    let vectors = shape.input.channels / shape.element.per_vector();
    let index = k.special(Special::BlockX) * 128 + k.thread();
    let (pixel, vector) = (index / vectors, index % vectors);
    k.when(pixel.less(pixels), || {
        let largest = [(); 4].map(|()| k.variable(k.u32(shape.element.lowest())));
        each_tap(&k, shape, pixel, |place| {
            let offset = place * (shape.input.pitch * shape.element.bytes());
            let value = k.load(input + offset + vector * VECTOR_BYTES, Cache::Default);
            for (to, value) in largest.into_iter().zip(max(shape.element, largest, value)) {
                k.assign(to, value);
            }
        });
        let offset = pixel * (shape.pitch * shape.element.bytes()) + vector * VECTOR_BYTES;
        k.store(output + offset, largest);
    });
    let outputs = shape.window.pixels() * batch;
    Tiled {
        kernel: k.finish(),
        grid: [(outputs * vectors).div_ceil(128), 1, 1],
        choice: "128 threads".to_owned(),
    }
}

/// Visits the input pixels in an output pixel's window.
fn each_tap<'k>(
    k: &'k Builder,
    shape: &PoolShape,
    pixel: U32<'k>,
    with_pixel: impl FnOnce(U32<'k>),
) {
    let across = shape.window.kernel[1];
    let (image, at) = shape.window.locate_in_kernel(pixel);
    k.count(0, shape.window.taps(), 1, |tap| {
        let [y, x] = shape
            .window
            .seen_in_kernel(at, [tap / across, tap % across]);
        k.when(
            y.less(shape.input.height) & x.less(shape.input.width),
            || with_pixel((image * shape.input.height + y) * shape.input.width + x),
        );
    });
}

impl Element {
    /// The bits of a word of values below all others.
    fn lowest(self) -> u32 {
        match self {
            Self::F16 => 0xfc00_fc00,
            Self::F32 => f32::NEG_INFINITY.to_bits(),
        }
    }
}

fn max<'k>(element: Element, a: Vec16B<'k>, b: Vec16B<'k>) -> Vec16B<'k> {
    std::array::from_fn(|i| match element {
        Element::F16 => F16x2::max(a[i].as_f16x2(), b[i].as_f16x2()).bits(),
        Element::F32 => F32::max(a[i].as_f32(), b[i].as_f32()).bits(),
    })
}
