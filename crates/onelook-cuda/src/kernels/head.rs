//! The end of a detection head: the last 1x1 convolutions of all levels, boxes, best classes, and
//! the few anchors that are sure enough.
//!
//! ```text
//! for every anchor of every level:
//!     sides = box_map[anchor] · box_weights + bias        (4 distributions, or 4 distances)
//!     scores = class_map[anchor] · class_weights + bias
//!     if the largest score is above the threshold:
//!         append box, sigmoid(score), class and anchor to the image's candidates
//! ```
//!
//! 1. One launch for all levels: a block has a tile of anchors of one of them, known by its number.
//! 2. Some warps multiply for the sides, the others for the classes; weights lie as the matrix unit
//!    takes them, and the first of them set out before the kernels ahead have ended.
//! 3. Sums stay in shared memory as f32. Four lanes share an anchor: a quarter of the classes each,
//!    then a side of the box each, and only in warps that have something sure enough.
//! 4. Raw values are compared, probabilities computed for what is kept alone. A warp takes places
//!    for all its candidates with one addition; the kernel that sorts them settles their order.
//! 5. More classes than fit are gone through in rounds, of which the best so far is remembered.

mod level;
mod product;
mod report;
#[cfg(test)]
mod tests;

use onelook_ptx::lang::{Bool, Builder, F32, Global, SharedAddress, Special, Target, U32};

use super::{Element, Map, Tiled};
use crate::settings::Settings;
use level::Level;

/// Bytes of a candidate: the box's corners in pixels of the input, the score (floats), class,
/// anchor and a word without meaning.
pub const CANDIDATE_BYTES: u32 = 32;

/// What the head reads of one level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HeadLevel {
    /// The map that boxes are made from.
    pub boxes: Map,
    /// The map that class scores are made from, of the same height and width.
    pub classes: Map,
    /// Pixels of the input per cell.
    pub stride: u32,
}

/// The head's end. The maps have the same channels on all levels.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HeadShape {
    /// Format of maps and weights.
    pub element: Element,
    /// Finest first.
    pub levels: Vec<HeadLevel>,
    /// Bins per side of a box, or 1 for plain distances.
    pub reg_max: u32,
    /// Number of classes.
    pub classes: u32,
    /// The capacity for candidates, per image.
    pub capacity: u32,
    /// Whether unwanted classes are left out here; end-to-end heads drop them last.
    pub filter: bool,
    /// Whether raw values are stored, too.
    pub raw: bool,
}

/// How a block's work is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tile {
    anchors: u32,
    /// Warps for sides and for classes.
    warps: [u32; 2],
    /// Rounds in which classes are gone through.
    rounds: u32,
    /// Steps of k whose weights are loaded together.
    steps: u32,
}

/// Column tiles of 8 that a warp multiplies.
const FRAGMENTS: u32 = 2;

/// Blocks that keep a large device busy.
const MANY_BLOCKS: u32 = 264;

impl HeadShape {
    /// Whether the kernel can be written for these maps.
    pub fn is_supported(&self, target: Target) -> bool {
        let equal = |level: &HeadLevel| {
            let first = &self.levels[0];
            let sides = |map: &Map| [map.height, map.width];
            level.boxes.channels == first.boxes.channels
                && level.classes.channels == first.classes.channels
                && sides(&level.boxes) == sides(&level.classes)
        };
        !self.levels.is_empty()
            && self.levels.iter().all(equal)
            && self.reg_max > 0
            && self.reg_max <= 64
            && self.classes > 0
            && u64::from(self.classes) * u64::from(self.anchors()) <= 1 << 32
            && self.shared_bytes(&self.tile(16)) as usize <= target.shared_bytes_per_block()
    }

    /// Anchors of an image.
    pub fn anchors(&self) -> u32 {
        self.levels.iter().map(|level| level.boxes.pixels()).sum()
    }

    /// Channels of both maps.
    fn depths(&self) -> [u32; 2] {
        [
            self.levels[0].boxes.channels,
            self.levels[0].classes.channels,
        ]
    }

    /// Values of k that are multiplied at a time.
    fn step(&self) -> u32 {
        match self.element {
            Element::F16 => 16,
            Element::F32 => 4,
        }
    }

    /// Chunks of k of both maps.
    fn chunks(&self, tile: &Tile) -> [u32; 2] {
        self.depths()
            .map(|depth| depth.div_ceil(self.step() * tile.steps))
    }

    /// Values of k of both maps with what fills up the last chunk.
    fn padded_depths(&self, tile: &Tile) -> [u32; 2] {
        self.chunks(tile)
            .map(|chunks| chunks * self.step() * tile.steps)
    }

    /// Bytes from one anchor of the tile to the next in both maps.
    fn row_bytes(&self, tile: &Tile) -> [u32; 2] {
        self.padded_depths(tile)
            .map(|depth| ((depth / self.element.per_vector()) | 1) * super::VECTOR_BYTES)
    }

    /// Columns of sums: those of the sides, then those of the classes of a round.
    fn columns(&self, tile: &Tile) -> [u32; 2] {
        tile.warps.map(|warps| warps * FRAGMENTS * 8)
    }

    /// Floats from one anchor's sums to the next one's.
    fn sums_pitch(&self, tile: &Tile) -> u32 {
        let columns: u32 = self.columns(tile).iter().sum();
        columns.next_multiple_of(32) + 16
    }

    fn shared_bytes(&self, tile: &Tile) -> u32 {
        let maps: u32 = self.row_bytes(tile).iter().sum();
        tile.anchors * (maps + self.sums_pitch(tile) * 4)
    }

    fn tile(&self, anchors: u32) -> Tile {
        let warps = |columns: u32| columns.div_ceil(8 * FRAGMENTS);
        let sides = warps(4 * self.reg_max);
        let classes = warps(self.classes).min(16u32.saturating_sub(sides).max(4));
        let rounds = self.classes.div_ceil(classes * FRAGMENTS * 8);
        let deepest = self.depths()[0].max(self.depths()[1]).div_ceil(self.step());
        let steps = (3..=8).rev().min_by_key(|&steps| {
            let padded = self
                .depths()
                .map(|depth| depth.div_ceil(self.step() * steps) * steps);
            (deepest.div_ceil(steps), padded[0] + padded[1])
        });
        Tile {
            anchors,
            warps: [sides, classes],
            rounds,
            steps: steps.unwrap_or(4),
        }
    }

    /// The tile for a device and a batch.
    fn choose(&self, target: Target, batch: u32) -> Tile {
        let fits = |anchors: &u32| {
            let bytes = self.shared_bytes(&self.tile(*anchors)) as usize;
            bytes <= target.shared_bytes_per_block()
        };
        let preferred = match self.anchors() * batch / 64 < MANY_BLOCKS {
            true => &[32, 16][..],
            false => &[64, 32, 16],
        };
        self.tile(preferred.iter().copied().find(fits).unwrap_or(16))
    }

    /// Blocks of each level.
    fn blocks(&self, tile: &Tile) -> Vec<u32> {
        let blocks = |level: &HeadLevel| level.boxes.pixels().div_ceil(tile.anchors);
        self.levels.iter().map(blocks).collect()
    }

    /// Values of one level's weights: of the sides, then of the classes.
    fn weight_values(&self, tile: &Tile) -> [u32; 2] {
        let (columns, depths) = (self.columns(tile), self.padded_depths(tile));
        [columns[0] * depths[0], columns[1] * tile.rounds * depths[1]]
    }

    /// Biases of one level.
    fn bias_values(&self, tile: &Tile) -> [u32; 2] {
        let columns = self.columns(tile);
        [columns[0], columns[1] * tile.rounds]
    }
}

/// The kernel. Parameters: for each level the map of boxes and the map of classes; weights and
/// biases (f32) as [`pack`] gives them; the settings as
/// [`Settings::encode`](crate::settings::Settings::encode) gives them; the candidates, `capacity`
/// for each image; a counter for each image, 0 before; with `raw`, for each level the sides and the
/// scores as f32 `[batch, channels, height, width]`.
///
/// Counters may count beyond the capacity; the candidates beyond it are dropped.
pub fn head(target: Target, name: &str, shape: &HeadShape, batch: u32) -> Tiled {
    let tile = shape.choose(target, batch);
    let threads = 32 * (tile.warps[0] + tile.warps[1]);
    let k = Builder::new(name, target, threads);
    write(&k, shape, tile);
    Tiled {
        kernel: k.finish(),
        grid: [shape.blocks(&tile).iter().sum(), 1, batch],
        choice: format!(
            "{} anchors, {}+{} warps, {} rounds",
            tile.anchors, tile.warps[0], tile.warps[1], tile.rounds
        ),
    }
}

struct Head<'k, 's> {
    k: &'k Builder,
    shape: &'s HeadShape,
    tile: Tile,
    level: Level<'k>,
    image: U32<'k>,
    /// The tiles of both maps, and the sums.
    maps: [SharedAddress<'k>; 2],
    sums: SharedAddress<'k>,
    weights: Global<'k>,
    bias: Global<'k>,
    settings: Global<'k>,
    candidates: Global<'k>,
    counters: Global<'k>,
}

fn write(k: &Builder, shape: &HeadShape, tile: Tile) {
    let inputs: Vec<[Global<'_>; 2]> = (0..shape.levels.len())
        .map(|level| ["boxes", "classes"].map(|map| k.input(&format!("{map}_{level}"))))
        .collect();
    let [weights, bias, settings] = ["weights", "bias", "settings"].map(|name| k.input(name));
    let [candidates, counters] = ["candidates", "counters"].map(|name| k.output(name));
    let outputs: Vec<[Global<'_>; 2]> = (0..if shape.raw { shape.levels.len() } else { 0 })
        .map(|level| ["sides", "scores"].map(|map| k.output(&format!("{map}_{level}"))))
        .collect();
    let memory = k.shared(shape.shared_bytes(&tile), 128);
    let [boxes_bytes, classes_bytes] = shape.row_bytes(&tile).map(|bytes| bytes * tile.anchors);
    let level = Level::new(k, shape, &tile, &inputs, &outputs);
    let image = k.special(Special::BlockZ);
    let head = Head {
        k,
        shape,
        tile,
        level,
        image,
        maps: [memory, memory + boxes_bytes],
        sums: memory + (boxes_bytes + classes_bytes),
        weights,
        bias,
        settings: settings + image * Settings::bytes(shape.classes as usize) as u32,
        candidates,
        counters,
    };
    head.write();
}

impl<'k> Head<'k, '_> {
    fn write(&self) {
        let (k, tile) = (self.k, self.tile);
        k.grid_launch();
        let role = self.role();
        let first = self.load_weights(&role, k.u32(0), 0);
        k.grid_wait();
        self.copy_maps();
        let thresholds = self.thresholds();
        let best = self.nothing_yet();
        k.async_wait(0);
        k.barrier();
        k.count(0, tile.rounds, 1, |round| {
            let sums = self.multiply(&role, round, &first);
            self.keep(&role, round, &sums);
            k.barrier();
            self.store_raw(round);
            self.look_through(round, &thresholds, &best);
            if tile.rounds > 1 {
                k.barrier();
                let next = round + 1;
                k.when(role.classes & next.less(tile.rounds), || {
                    let next = self.load_weights(&role, next, 0);
                    for (to, from) in first.iter().flatten().zip(next.iter().flatten()) {
                        k.assign(*to, *from);
                    }
                });
            }
        });
        self.report_best(&thresholds, &best);
    }

    /// Where an anchor's sum of a column lies.
    fn sum_place(&self, anchor: U32<'k>, column: U32<'k>) -> SharedAddress<'k> {
        let pitch = self.shape.sums_pitch(&self.tile);
        self.sums + (anchor * pitch + column) * 4
    }

    /// Stores raw values: planes by channel.
    fn store_raw(&self, round: U32<'k>) {
        let (k, shape, tile) = (self.k, self.shape, self.tile);
        let Some([sides, scores]) = self.level.outputs else {
            return;
        };
        let [side_columns, class_columns] = shape.columns(&tile);
        let parts = [
            (sides, k.u32(0), 4 * shape.reg_max, 0),
            (scores, round * class_columns, shape.classes, side_columns),
        ];
        for (part, (to, first, channels, start)) in parts.into_iter().enumerate() {
            let columns = [4 * shape.reg_max, class_columns.min(channels)][part];
            let store = || {
                k.count(k.thread(), columns * tile.anchors, k.threads(), |index| {
                    let (column, anchor) = (index / tile.anchors, index % tile.anchors);
                    let (channel, cell) = (first + column, self.level.first_cell + anchor);
                    k.when(cell.less(self.level.cells) & channel.less(channels), || {
                        let [value] = k.load_shared(self.sum_place(anchor, column + start));
                        let plane = self.image * channels + channel;
                        k.store(to + (plane * self.level.cells + cell) * 4, [value]);
                    });
                });
            };
            match part {
                0 => k.when(round.equals(0), store),
                _ => store(),
            }
        }
    }
}

/// What decides, from the settings.
struct Thresholds<'k> {
    /// Of raw values.
    bound: F32<'k>,
    confidence: F32<'k>,
    every_class: Bool<'k>,
}

/// Weights and biases of all levels as the kernel for this device and batch takes them. For each
/// level: weights of the sides `[4 * reg_max][channels]`, their biases, weights of the classes
/// `[classes][channels]`, their biases; channels as the model has them.
pub fn pack(
    target: Target,
    shape: &HeadShape,
    batch: u32,
    levels: &[[(&[f32], &[f32]); 2]],
) -> (Vec<f32>, Vec<f32>) {
    let tile = shape.choose(target, batch);
    let (mut weights, mut biases) = (Vec::new(), Vec::new());
    for level in levels {
        let rows = shape.bias_values(&tile);
        for ((&(values, bias), rows), depth) in
            level.iter().zip(rows).zip(shape.padded_depths(&tile))
        {
            product::pack_rows(
                &mut weights,
                values,
                bias.len(),
                [rows, depth],
                shape.element,
            );
            biases.extend(bias);
            biases.resize(biases.len() + rows as usize - bias.len(), 0.0);
        }
    }
    (weights, biases)
}
