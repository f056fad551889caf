//! The transforms of Winograd's algorithm F(4×4, 3×3), of weights, inputs and sums, with the points 0, ±1, ±2 and infinity:
//! Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", arXiv:1509.09308.

use crate::isa::{Vector16, per_isa};
use crate::kernels::activation::{Activation, Constants, with_activation};
use crate::kernels::element::{Lanes, with_element};
use crate::kernels::layout::{BLOCK, MapMut, MapView};
use std::ops::Range;

/// Outputs of a tile in each direction.
pub(super) const SIDE: usize = 4;

/// Inputs of a tile in each direction, and points of the transforms.
const POINTS: usize = 6;

/// Products of a tile and a pair of channels.
pub(super) const POSITIONS: usize = POINTS * POINTS;

/// What each point takes of the three taps.
const G: [[f64; 3]; POINTS] = [
    [1.0 / 4.0, 0.0, 0.0],
    [-1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0],
    [-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
    [1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0],
    [1.0 / 24.0, -1.0 / 12.0, 1.0 / 6.0],
    [0.0, 0.0, 1.0],
];

/// `G g Gᵀ` of 3×3 taps.
pub(super) fn filter(taps: &[f32]) -> [f32; POSITIONS] {
    let tap = |y: usize, x: usize| f64::from(taps[3 * y + x]);
    let rows = G.map(|[a, b, c]| {
        std::array::from_fn::<f64, 3, _>(|x| a * tap(0, x) + b * tap(1, x) + c * tap(2, x))
    });
    std::array::from_fn(|position| {
        let (row, [a, b, c]) = (rows[position / POINTS], G[position % POINTS]);
        (a * row[0] + b * row[1] + c * row[2]) as f32
    })
}

/// Tiles that are transformed together.
pub(super) struct Strip {
    pub(super) image: usize,
    /// Their numbers, row after row.
    pub(super) tiles: Range<usize>,
    /// Tiles of a row.
    pub(super) columns: usize,
    /// Floats from one block's first tile to the next block's.
    pub(super) distance: usize,
}

impl Strip {
    /// The row and column of a tile's first output.
    fn origin(&self, tile: usize) -> [usize; 2] {
        [tile / self.columns * SIDE, tile % self.columns * SIDE]
    }

    /// The rows of tiles whose last tile is among these.
    pub(super) fn ended_rows(&self) -> Range<usize> {
        self.tiles.start / self.columns..self.tiles.end / self.columns
    }
}

/// What becomes of a group's sums.
pub(super) struct Finish<'a> {
    pub(super) sums: &'a [f32],
    pub(super) blocks: Range<usize>,
    /// Of these blocks.
    pub(super) bias: &'a [f32],
    pub(super) activation: Activation,
    pub(super) residual: Option<MapView>,
    pub(super) output: MapMut,
}

per_isa! {
    /// Writes the transformed inputs of a strip, `[position][plane][tile][16 channels]`.
    pub(super) fn inputs(strip: &Strip, input: MapView, target: &mut [f32]) = inputs_body
}

per_isa! {
    /// Turns the sums of a group, `[position][block][tile][16 channels]`, into outputs.
    pub(super) fn outputs(strip: &Strip, finish: &Finish<'_>) = outputs_body
}

/// `Bᵀ d` of six values.
///
/// # Safety
/// The CPU has the level of `V`.
#[inline(always)]
unsafe fn input_points<V: Vector16>(d: [V; POINTS]) -> [V; POINTS] {
    // SAFETY: the caller guarantees the level.
    let [two, four, five] = unsafe { [V::splat(2.0), V::splat(4.0), V::splat(5.0)] };
    let even = d[4].sub(four.mul(d[2]));
    let odd = d[3].sub(four.mul(d[1]));
    let outer = d[4].sub(d[2]);
    let inner = two.mul(d[3].sub(d[1]));
    [
        four.mul_add(d[0], d[4].sub(five.mul(d[2]))),
        even.add(odd),
        even.sub(odd),
        outer.add(inner),
        outer.sub(inner),
        four.mul_add(d[1], d[5].sub(five.mul(d[3]))),
    ]
}

/// `Aᵀ m` of six values.
///
/// # Safety
/// The CPU has the level of `V`.
#[inline(always)]
unsafe fn output_points<V: Vector16>(m: [V; POINTS]) -> [V; SIDE] {
    // SAFETY: the caller guarantees the level.
    let [two, four, eight] = unsafe { [V::splat(2.0), V::splat(4.0), V::splat(8.0)] };
    let (near, near_odd) = (m[1].add(m[2]), m[1].sub(m[2]));
    let (far, far_odd) = (m[3].add(m[4]), m[3].sub(m[4]));
    [
        m[0].add(near).add(far),
        two.mul_add(far_odd, near_odd),
        four.mul_add(far, near),
        eight.mul_add(far_odd, near_odd).add(m[5]),
    ]
}

/// # Safety
/// The CPU has the level of `V`; `input` is valid, with zeros around it; `target` holds every position of the strip.
#[inline(always)]
unsafe fn inputs_body<V: Vector16>(strip: &Strip, input: MapView, target: &mut [f32]) {
    // SAFETY: the caller guarantees the contract.
    with_element!(input.layout().element, |Values| unsafe {
        typed_inputs::<V, Values>(strip, input, target)
    });
}

/// # Safety
/// As [`inputs_body`], for maps of the type `L`.
#[inline(always)]
unsafe fn typed_inputs<V: Vector16, L: Lanes>(strip: &Strip, input: MapView, target: &mut [f32]) {
    let layout = *input.layout();
    let position = layout.planes() * strip.distance;
    debug_assert!(target.len() >= POSITIONS * position);
    for (index, tile) in strip.tiles.clone().enumerate() {
        let [y, x] = strip.origin(tile);
        // One pixel of padding on each side is there; what lies behind it belongs to others.
        let [rows, columns] =
            [layout.height + 2 - y, layout.width + 2 - x].map(|extent| extent.min(POINTS));
        for plane in 0..layout.planes() {
            let source = input.pixel(strip.image, plane, y as isize - 1, x as isize - 1);
            let target = target[plane * strip.distance + index * BLOCK..].as_mut_ptr();
            // SAFETY: the tile's inputs lie within the map, or are copied to where there are as many.
            unsafe {
                if rows == POINTS && columns == POINTS {
                    input_tile::<V, L>(source, layout.row_words(), target, position);
                } else {
                    let mut patch = [0.0f32; POSITIONS * BLOCK];
                    let row_words = POINTS * L::WORDS;
                    for (row, patch) in patch.chunks_exact_mut(row_words).enumerate().take(rows) {
                        let source = source.add(row * layout.row_words());
                        let target = patch.as_mut_ptr();
                        target.copy_from_nonoverlapping(source, columns * L::WORDS);
                    }
                    input_tile::<V, L>(patch.as_ptr(), row_words, target, position);
                }
            }
        }
    }
}

/// `Bᵀ d B` of 6×6 pixels of 16 channels.
///
/// # Safety
/// The CPU has the level of `V`; six rows of six pixels lie at `source`, `row` words apart, and 36 vectors may be written at
/// `target`, `position` floats apart.
#[inline(always)]
#[expect(
    clippy::needless_range_loop,
    reason = "plain indices of constant extent keep the values in registers"
)]
unsafe fn input_tile<V: Vector16, L: Lanes>(
    source: *const f32,
    row: usize,
    target: *mut f32,
    position: usize,
) {
    // SAFETY: the caller guarantees both sides.
    unsafe {
        let mut half = [[V::splat(0.0); POINTS]; POINTS];
        for x in 0..POINTS {
            let mut column = [V::splat(0.0); POINTS];
            for y in 0..POINTS {
                column[y] = L::load(source.add(y * row + x * L::WORDS));
            }
            let column = input_points(column);
            for y in 0..POINTS {
                half[y][x] = column[y];
            }
        }
        for y in 0..POINTS {
            let row = input_points(half[y]);
            for x in 0..POINTS {
                row[x].store(target.add((y * POINTS + x) * position));
            }
        }
    }
}

/// # Safety
/// The CPU has the level of `V`; `finish.sums` holds every position of the strip's tiles; the outputs of these tiles and
/// blocks may be written, and the residual read.
#[inline(always)]
unsafe fn outputs_body<V: Vector16>(strip: &Strip, finish: &Finish<'_>) {
    let output = finish.output.layout().element;
    let residual = finish.residual.map_or(output, |it| it.layout().element);
    with_element!(output, |Values| {
        // SAFETY: the caller guarantees the contract.
        with_element!(residual, |Added| unsafe {
            typed_outputs::<V, Values, Added>(strip, finish)
        });
    });
}

/// # Safety
/// As [`outputs_body`], for outputs of the type `L` and a residual of the type `R`.
#[inline(always)]
unsafe fn typed_outputs<V: Vector16, L: Lanes, R: Lanes>(strip: &Strip, finish: &Finish<'_>) {
    let layout = *finish.output.layout();
    let position = finish.blocks.len() * strip.distance;
    debug_assert!(finish.sums.len() >= POSITIONS * position);
    // SAFETY: the caller guarantees the level; all pixels lie within the map, and 16 biases a block were packed.
    unsafe {
        let constants = Constants::<V>::new();
        with_activation!(finish.activation, |kind| for (block, plane) in
            finish.blocks.clone().enumerate()
        {
            let bias = V::load(finish.bias[block * BLOCK..].as_ptr());
            for (index, tile) in strip.tiles.clone().enumerate() {
                let sums = finish.sums[block * strip.distance + index * BLOCK..].as_ptr();
                let outputs = output_tile::<V>(sums, position);
                let [y, x] = strip.origin(tile);
                let columns = SIDE.min(layout.width - x);
                for (row, values) in outputs.iter().enumerate().take(layout.height - y) {
                    let (y, x) = ((y + row) as isize, x as isize);
                    let target = finish.output.pixel(strip.image, plane, y, x);
                    let residual = finish.residual.map(|it| it.pixel(strip.image, plane, y, x));
                    for (column, &value) in values.iter().enumerate().take(columns) {
                        let mut value = constants.apply(kind, value.add(bias));
                        if let Some(residual) = residual {
                            value = value.add(R::load(residual.add(column * R::WORDS)));
                        }
                        L::store(value, target.add(column * L::WORDS));
                    }
                }
            }
        });
    }
}

/// `Aᵀ M A` of the 36 sums of 16 channels.
///
/// # Safety
/// The CPU has the level of `V`; 36 vectors lie at `sums`, `position` floats apart.
#[inline(always)]
#[expect(
    clippy::needless_range_loop,
    reason = "plain indices of constant extent keep the values in registers"
)]
unsafe fn output_tile<V: Vector16>(sums: *const f32, position: usize) -> [[V; SIDE]; SIDE] {
    // SAFETY: the caller guarantees the sums.
    unsafe {
        let mut half = [[V::splat(0.0); POINTS]; SIDE];
        for x in 0..POINTS {
            let mut column = [V::splat(0.0); POINTS];
            for y in 0..POINTS {
                column[y] = V::load(sums.add((y * POINTS + x) * position));
            }
            let column = output_points(column);
            for y in 0..SIDE {
                half[y][x] = column[y];
            }
        }
        let mut outputs = [[V::splat(0.0); SIDE]; SIDE];
        for y in 0..SIDE {
            outputs[y] = output_points(half[y]);
        }
        outputs
    }
}
