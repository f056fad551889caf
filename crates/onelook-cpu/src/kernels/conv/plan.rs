//! How a convolution is cut: output blocks into groups, rows into tiles, the whole into tasks.

use super::select::{group_blocks, max_pixels, select};
use super::tile::{TileArgs, TileFn};
use super::{ConvShape, ConvWeights};
use crate::isa::Isa;
use crate::kernels::layout::{Element, MapLayout};
use crate::kernels::share;
use std::ops::Range;

/// Output blocks that are summed together, and the tiles of a row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Group {
    pub(crate) first: usize,
    pub(crate) blocks: usize,
    wide: TileFn,
    wide_tiles: usize,
    narrow: TileFn,
    narrow_tiles: usize,
    narrow_pixels: usize,
}

impl Group {
    /// A group whose rows of `width` pixels are split as evenly as can be; `element` is the input's type.
    pub(crate) fn new(
        isa: Isa,
        element: Element,
        first: usize,
        blocks: usize,
        width: usize,
        pixel_stride: usize,
    ) -> Self {
        let tiles = width.div_ceil(max_pixels(isa, element, blocks, pixel_stride));
        let (narrow_pixels, wide_tiles) = (width / tiles, width % tiles);
        let narrow = select(isa, element, blocks, narrow_pixels, pixel_stride);
        let wide = if wide_tiles == 0 {
            narrow
        } else {
            select(isa, element, blocks, narrow_pixels + 1, pixel_stride)
        };
        Group {
            first,
            blocks,
            wide,
            wide_tiles,
            narrow,
            narrow_tiles: tiles - wide_tiles,
            narrow_pixels,
        }
    }

    /// Does one row.
    ///
    /// # Safety
    /// `args` points to a row of the width that the group was made for.
    #[inline]
    pub(crate) unsafe fn run_row(&self, mut args: TileArgs) {
        // SAFETY: the caller guarantees a row of the group's width, which the wide and narrow tiles cover without
        // overlap; `select` chose the functions for a level that was detected.
        unsafe {
            if self.wide_tiles > 0 {
                (self.wide)(&args, self.wide_tiles);
                args.skip_pixels(self.wide_tiles * (self.narrow_pixels + 1));
                args.ahead.next += self.wide_tiles;
            }
            (self.narrow)(&args, self.narrow_tiles);
        }
    }

    /// Tiles of a row.
    pub(crate) fn tiles(&self) -> usize {
        self.wide_tiles + self.narrow_tiles
    }

    pub(crate) fn describe(&self) -> String {
        let Group {
            blocks,
            narrow_pixels,
            wide_tiles,
            narrow_tiles,
            ..
        } = self;
        match wide_tiles {
            0 => format!("{narrow_tiles}*({blocks}x{narrow_pixels})"),
            _ => format!(
                "{wide_tiles}*({blocks}x{})+{narrow_tiles}*({blocks}x{narrow_pixels})",
                narrow_pixels + 1
            ),
        }
    }
}

/// All output blocks in groups as large as the level's registers allow, none left alone where it can be helped.
pub(crate) fn groups(
    isa: Isa,
    element: Element,
    planes: usize,
    width: usize,
    pixel_stride: usize,
) -> Vec<Group> {
    let sizes = match group_blocks(isa, element, pixel_stride) {
        1 => vec![1; planes],
        most => pairs_and_threes(planes, most),
    };
    let mut first = 0;
    let mut groups = Vec::with_capacity(sizes.len());
    for blocks in sizes {
        groups.push(Group::new(isa, element, first, blocks, width, pixel_stride));
        first += blocks;
    }
    groups
}

/// Twos, and one three where the count is odd.
fn pairs_and_threes(planes: usize, most: usize) -> Vec<usize> {
    match planes {
        1 => vec![1],
        odd if odd % 2 == 1 && most >= 3 => {
            let mut sizes = vec![2; odd / 2];
            sizes[odd / 2 - 1] = 3;
            sizes
        }
        odd if odd % 2 == 1 => [vec![2; odd / 2], vec![1]].concat(),
        even => vec![2; even / 2],
    }
}

/// Output rows whose input takes at most `budget` bytes.
pub(crate) fn band_rows(
    shape: &ConvShape,
    row_bytes: usize,
    budget: usize,
    height: usize,
) -> usize {
    let input_rows = (budget / row_bytes.max(1)).max(1);
    let overlap = ((shape.kernel[0] - 1) * shape.dilation[0] + 1).saturating_sub(shape.stride[0]);
    (input_rows.saturating_sub(overlap) / shape.stride[0]).clamp(1, height)
}

/// How one image's work is cut into tasks: so many parts of the rows times so many of the groups.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grid {
    row_parts: usize,
    group_parts: usize,
}

/// Below this much work a task costs more to hand out than it saves.
const TASK_OPERATIONS: usize = 2_000_000;

/// Tasks for each thread, so that a thread that is held up does not hold up the rest for long.
const TASKS_PER_THREAD: usize = 4;

impl Grid {
    /// Cuts along the groups where weights are heavier than the input, else along the rows: what is not cut is
    /// read by every thread.
    pub(crate) fn new(
        weights: &ConvWeights,
        input: &MapLayout,
        output: &MapLayout,
        groups: usize,
        threads: usize,
    ) -> Self {
        let wanted = task_count(weights.shape().operations(output.pixels()), threads);
        let input_bytes = input.image_words() * size_of::<f32>();
        let (row_parts, group_parts) = if weights.bytes() > input_bytes {
            let group_parts = wanted.min(groups);
            ((wanted / group_parts).min(output.height), group_parts)
        } else {
            let row_parts = wanted.min(output.height);
            (row_parts, (wanted / row_parts).min(groups))
        };
        Grid {
            row_parts,
            group_parts,
        }
    }

    pub(crate) fn tasks(&self) -> usize {
        self.row_parts * self.group_parts
    }

    /// The rows and groups of a task.
    pub(crate) fn part(
        &self,
        task: usize,
        height: usize,
        groups: usize,
    ) -> (Range<usize>, Range<usize>) {
        let rows = share(height, self.row_parts, task % self.row_parts);
        let groups = share(groups, self.group_parts, task / self.row_parts);
        (rows, groups)
    }
}

/// Tasks worth making of so many operations: a multiple of `threads`, or one.
pub(crate) fn task_count(operations: usize, threads: usize) -> usize {
    if threads <= 1 {
        return 1;
    }
    let rounds = (operations / TASK_OPERATIONS / threads).min(TASKS_PER_THREAD);
    if rounds > 0 {
        rounds * threads
    } else {
        (operations / TASK_OPERATIONS).clamp(1, threads)
    }
}
