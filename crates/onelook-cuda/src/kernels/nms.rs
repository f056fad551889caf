//! Non-maximum suppression of the candidates that [`head`](super::head) found, and boxes on the
//! original images: the last kernel.
//!
//! ```text
//! sort candidates by score (falling), then anchor, then class
//! for each of them, until enough are kept:
//!     keep it unless it overlaps a kept one of its class by more than the threshold
//! scale the kept boxes back and clip them
//! ```
//!
//! 1. A block per image. Candidates come in any order; what is sorted by has no equals, so that the
//!    outcome depends on the candidates alone.
//! 2. Up to 128 candidates are counted to their places, all at once. Up to 1024 are sorted in
//!    shared memory, bitonically; more of them there in runs, which are merged in memory.
//! 3. They are gone through 128 at a time: all of these against all kept so far and against each
//!    other at once, as bits; one warp then keeps the first that is left, strikes out what that
//!    overlaps, and so on: its steps are as many as boxes are kept, not candidates.
//! 4. End-to-end heads have no overlaps to look for: places are counted.

mod greedy;
mod sort;
#[cfg(test)]
mod tests;

use onelook_ptx::lang::{Bool, Builder, Cache, F32, Global, SharedAddress, Special, Target, U32};

use super::Tiled;
use crate::images::{HEADER_BACK, HEADER_BYTES, HEADER_SIZE};
use crate::settings::{MAX_ROWS, SWITCHES, Settings, THRESHOLDS};

/// Bytes ahead of an image's detections: their number, then the number of candidates, which may
/// exceed the capacity.
pub const OUTPUT_HEADER_BYTES: u32 = 16;

/// Bytes of a detection: the corners on the original image and the score (floats), the class.
pub const ROW_BYTES: u32 = 24;

/// Only this many candidates, those of highest confidence, take part in the suppression.
const MAX_CANDIDATES: u32 = 30_000;

const THREADS: u32 = 512;

/// Candidates that are gone through at a time.
const CHUNK: u32 = 128;

/// A suppression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NmsShape {
    /// The capacity for candidates, per image.
    pub capacity: u32,
    /// Number of classes.
    pub classes: u32,
    /// The capacity for detections, per image; at most [`MAX_ROWS`].
    pub rows: u32,
    /// One box per object by training: nothing is suppressed.
    pub end_to_end: bool,
}

impl NmsShape {
    /// Bytes of the output for one image.
    pub fn output_bytes(&self) -> u32 {
        OUTPUT_HEADER_BYTES + (self.rows * ROW_BYTES).next_multiple_of(16)
    }

    /// Bytes of scratch memory for one image.
    pub fn scratch_bytes(&self) -> u32 {
        match self.capacity > sort::RUN {
            true => self.capacity.next_power_of_two() * sort::ENTRY_BYTES,
            false => 16,
        }
    }
}

/// The kernel. Parameters: the images as [`pack`](crate::images::pack) gives them; the settings
/// of each image as [`Settings::encode`] gives them; the candidates and the
/// counters that the head wrote; scratch memory; the output.
///
/// # Panics
/// When there are to be more rows than [`MAX_ROWS`].
pub fn nms(target: Target, name: &str, shape: &NmsShape, batch: u32) -> Tiled {
    assert!(shape.rows <= MAX_ROWS, "{} rows", shape.rows);
    let k = Builder::new(name, target, THREADS);
    write(&k, shape);
    Tiled {
        kernel: k.finish(),
        grid: [1, 1, batch],
        choice: format!("{CHUNK} candidates, {THREADS} threads"),
    }
}

struct Nms<'k, 's> {
    k: &'k Builder,
    shape: &'s NmsShape,
    header: Global<'k>,
    settings: Global<'k>,
    candidates: Global<'k>,
    counter: Global<'k>,
    scratch: Global<'k>,
    output: Global<'k>,
    /// Entries being sorted.
    entries: SharedAddress<'k>,
    /// Candidates of a chunk, and boxes kept.
    chunk: SharedAddress<'k>,
    kept: SharedAddress<'k>,
    /// Four words per candidate of a chunk: which others it strikes out.
    strikes: SharedAddress<'k>,
    /// Four words: a bit per candidate of a chunk that is out.
    out: SharedAddress<'k>,
    /// Numbers of the chunk's candidates that are kept, and behind them how many are kept in all.
    chosen: SharedAddress<'k>,
}

/// What decides.
struct Limits<'k> {
    overlap: F32<'k>,
    detections: U32<'k>,
    /// Candidates to look at.
    candidates: U32<'k>,
    agnostic: Bool<'k>,
}

fn write(k: &Builder, shape: &NmsShape) {
    let image = k.special(Special::BlockZ);
    let nms = Nms {
        k,
        shape,
        header: k.input("images") + image * HEADER_BYTES,
        settings: k.input("settings") + image * Settings::bytes(shape.classes as usize) as u32,
        candidates: k.input("candidates") + image * (shape.capacity * super::head::CANDIDATE_BYTES),
        counter: k.input("counters") + image * 4,
        scratch: k.output("scratch") + image * shape.scratch_bytes(),
        output: k.output("output") + image * shape.output_bytes(),
        entries: k.shared(sort::RUN * sort::ENTRY_BYTES, 16),
        chunk: k.shared(CHUNK * greedy::BOX_BYTES, 16),
        kept: k.shared(shape.rows * greedy::BOX_BYTES, 16),
        strikes: k.shared(CHUNK * 16, 16),
        out: k.shared(16, 16),
        chosen: k.shared(CHUNK * 4 + 4, 16),
    };
    nms.write();
}

impl<'k> Nms<'k, '_> {
    fn write(&self) {
        let (k, shape) = (self.k, self.shape);
        k.grid_launch();
        k.grid_wait();
        let [found] = k.load(self.counter, Cache::Default);
        let count = found.min(shape.capacity);
        let limits = self.limits(count);
        let back = self.back();
        self.sort(count);
        let kept = self.go_through(count, &limits, &back);
        k.when(k.thread().equals(0), || {
            k.store(self.output, [kept, found, k.u32(0), k.u32(0)]);
        });
    }

    fn limits(&self, count: U32<'k>) -> Limits<'k> {
        let (k, shape) = (self.k, self.shape);
        let [_, _, overlap, detections] = k.load(self.settings + THRESHOLDS, Cache::Default);
        let [agnostic, _] = k.load(self.settings + SWITCHES, Cache::Default);
        let detections = detections.min(shape.rows);
        Limits {
            overlap: overlap.as_f32(),
            detections,
            candidates: match shape.end_to_end {
                true => count.min(detections),
                false => count.min(MAX_CANDIDATES),
            },
            agnostic: agnostic.differs(0),
        }
    }

    fn back(&self) -> Back<'k> {
        let k = self.k;
        let [left, top, gain_x, gain_y] = k.load(self.header + HEADER_BACK, Cache::Default);
        let size = k.load::<2>(self.header + HEADER_SIZE, Cache::Default);
        Back {
            corner: [left, top].map(U32::as_f32),
            gain: [gain_x, gain_y].map(U32::as_f32),
            size: size.map(U32::as_f32),
        }
    }

    /// Stores a detection, scaled back to the original image and clipped.
    fn store_row(
        &self,
        row: U32<'k>,
        corners: [F32<'k>; 4],
        [score, class]: [U32<'k>; 2],
        back: &Back<'k>,
    ) {
        let k = self.k;
        let clip = |i: usize| {
            let axis = i % 2;
            let value = (corners[i] - back.corner[axis]) / back.gain[axis];
            value.or_zero().min(back.size[axis])
        };
        let to = self.output + OUTPUT_HEADER_BYTES + row * ROW_BYTES;
        k.store(to, [clip(0), clip(1)]);
        k.store(to + 8, [clip(2), clip(3)]);
        k.store(to + 16, [score, class]);
    }
}

/// The way back to the original image: where the scaled one begins, its pixels per original pixel,
/// and the original's size, each along x and y.
struct Back<'k> {
    corner: [F32<'k>; 2],
    gain: [F32<'k>; 2],
    size: [F32<'k>; 2],
}

/// One detection of the output.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row {
    /// On the original image: left, top, right, bottom.
    pub corners: [f32; 4],
    /// 0 to 1.
    pub score: f32,
    /// Its number.
    pub class: u32,
}

/// The detections of one image out of its part of the output, and how many candidates there were;
/// nothing when the bytes are too few.
pub fn read_output(bytes: &[u8]) -> Option<(Vec<Row>, u32)> {
    let (header, rows) = bytes.split_at_checked(OUTPUT_HEADER_BYTES as usize)?;
    let word = |bytes: &[u8], index: usize| {
        bytes
            .get(4 * index..)?
            .first_chunk()
            .map(|&word| u32::from_le_bytes(word))
    };
    let count = word(header, 0)? as usize;
    let rows = rows.chunks_exact(ROW_BYTES as usize).take(count);
    let rows: Option<Vec<Row>> = rows
        .map(|row| {
            let float = |index| word(row, index).map(f32::from_bits);
            Some(Row {
                corners: [float(0)?, float(1)?, float(2)?, float(3)?],
                score: float(4)?,
                class: word(row, 5)?,
            })
        })
        .collect();
    let rows = rows.filter(|rows| rows.len() == count)?;
    Some((rows, word(header, 1)?))
}
