//! Which level a block works on, and what follows from it.

use onelook_ptx::lang::{Bool, Builder, Global, Special, U32};

use super::{HeadLevel, HeadShape, Tile};

/// A block's level.
pub(super) struct Level<'k> {
    /// Its number.
    pub(super) number: U32<'k>,
    /// The block's first cell.
    pub(super) first_cell: U32<'k>,
    /// Cells of the level, and in a row.
    pub(super) cells: U32<'k>,
    pub(super) width: U32<'k>,
    /// Pixels of the input per cell.
    pub(super) stride: U32<'k>,
    /// Anchors of the levels before.
    pub(super) anchors_before: U32<'k>,
    /// Both maps, and channels from pixel to pixel in them.
    pub(super) inputs: [Global<'k>; 2],
    pub(super) pitches: [U32<'k>; 2],
    /// Where raw values go.
    pub(super) outputs: Option<[Global<'k>; 2]>,
}

impl<'k> Level<'k> {
    pub(super) fn new(
        k: &'k Builder,
        shape: &HeadShape,
        tile: &Tile,
        inputs: &[[Global<'k>; 2]],
        outputs: &[[Global<'k>; 2]],
    ) -> Self {
        let block = k.special(Special::BlockX);
        let starts: Vec<u32> = shape
            .blocks(tile)
            .iter()
            .scan(0, |next, blocks| {
                let start = *next;
                *next += blocks;
                Some(start)
            })
            .collect();
        let reached: Vec<Bool<'k>> = starts[1..]
            .iter()
            .map(|&start| block.at_least(start))
            .collect();
        let pick = |values: &[u32]| pick(k, &reached, values);
        let of = |value: fn(&HeadLevel) -> u32| {
            pick(&shape.levels.iter().map(value).collect::<Vec<_>>())
        };
        let pick_address = |addresses: &[[Global<'k>; 2]], map: usize| {
            let others = reached.iter().zip(&addresses[1..]);
            others.fold(addresses[0][map], |address, (reached, other)| {
                reached.select_address(other[map], address)
            })
        };
        let pixels = |levels: &[HeadLevel]| levels.iter().map(|level| level.boxes.pixels()).sum();
        let before: Vec<u32> = (0..starts.len())
            .map(|level| pixels(&shape.levels[..level]))
            .collect();
        let numbers: Vec<u32> = (0..).take(starts.len()).collect();
        Self {
            number: pick(&numbers),
            first_cell: (block - pick(&starts)) * tile.anchors,
            cells: of(|level| level.boxes.pixels()),
            width: of(|level| level.boxes.width),
            stride: of(|level| level.stride),
            anchors_before: pick(&before),
            inputs: [0, 1].map(|map| pick_address(inputs, map)),
            pitches: [
                of(|level| level.boxes.pitch),
                of(|level| level.classes.pitch),
            ],
            outputs: (!outputs.is_empty()).then(|| [0, 1].map(|map| pick_address(outputs, map))),
        }
    }
}

/// The value of the last level that is reached.
fn pick<'k>(k: &'k Builder, reached: &[Bool<'k>], values: &[u32]) -> U32<'k> {
    let mut known = k.u32(values[0]);
    for (window, reached) in values.windows(2).zip(reached) {
        if window[0] != window[1] {
            known = reached.select(k.u32(window[1]), known);
        }
    }
    known
}
