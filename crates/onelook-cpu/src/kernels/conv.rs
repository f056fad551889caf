//! Convolution of a blocked map, any kernel, stride and dilation, one group, with its epilogue.
//!
//! ```text
//! for each output block co, row y, pixel x:
//!     sum = bias[co]
//!     for each input block ci, tap (ky, kx), channel c of ci:
//!         sum += input[ci][y·s + ky - top][x·s + kx - left][c] · weight[co][ci][ky][kx][c]
//!     output[co][y][x] = activation(sum) + residual[co][y][x]
//! ```
//!
//! Departures: 1. a tile of several output blocks and pixels is summed in registers (`tile`); 2. a row is split
//! evenly into tiles; 3. output blocks go outside rows, so that a group's weights stay in the caches, within bands of
//! rows whose input stays in L2; 4. meanwhile the next band's input is asked for. None of them changes the order of one value's sum.

mod dot;
pub(crate) mod plan;
mod select;
pub(crate) mod tile;
mod weights;
pub(crate) mod winograd;

pub use weights::{ConvShape, ConvWeights};

use super::buffer::LINE_BYTES;
use super::layout::{BLOCK, Element, MapLayout, MapMut, MapView};
use super::{Activation, KernelError};
use crate::isa::{Isa, kernel_name};
use plan::{Grid, Group};
use std::ops::Range;
use std::ptr::null;
use std::sync::Arc;
use tile::{Ahead, Runs, TileArgs};

/// Bytes of input that a band of rows may take, so that it, the next one and a group's weights share L2.
const BAND_BYTES: usize = 192 << 10;

/// The same where all weights together leave L2: they are read once for every band.
const HEAVY_BAND_BYTES: usize = 512 << 10;

/// Weights up to this many bytes stay in L2 beside two bands.
const LIGHT_WEIGHT_BYTES: usize = 512 << 10;

/// Maps up to this many bytes are in L2 anyway, and are not asked for ahead of time.
const NEAR_BYTES: usize = 512 << 10;

/// A convolution for given extents.
#[derive(Debug)]
pub struct Conv {
    isa: Isa,
    weights: Arc<ConvWeights>,
    activation: Activation,
    input: MapLayout,
    output: MapLayout,
    runs: Runs,
    groups: Vec<Group>,
    band: usize,
    grid: Grid,
}

impl Conv {
    /// The plan for maps of these extents; `threads` is how many will share the tasks.
    pub fn new(
        isa: Isa,
        weights: Arc<ConvWeights>,
        activation: Activation,
        input: MapLayout,
        output: MapLayout,
        threads: usize,
    ) -> Result<Self, KernelError> {
        let shape = weights.shape();
        shape.check(&input, &output)?;
        if weights.element() != input.element {
            let (packed, element) = (weights.element().name(), input.element.name());
            let reason = format!("weights are packed for {packed}, the input is {element}");
            return Err(KernelError::new(ConvShape::KERNEL, reason));
        }
        let groups = plan::groups(
            isa,
            input.element,
            output.planes(),
            output.width,
            shape.stride[1] * input.block_words(),
        );
        let row_bytes = input.row_words() * input.planes() * size_of::<f32>();
        let light = weights.bytes() <= LIGHT_WEIGHT_BYTES;
        let band_bytes = if light { BAND_BYTES } else { HEAVY_BAND_BYTES };
        let band = plan::band_rows(shape, row_bytes, band_bytes, output.height);
        let grid = Grid::new(&weights, &input, &output, groups.len(), threads);
        Ok(Conv {
            isa,
            runs: blocked_runs(shape, &input),
            activation,
            input,
            output,
            groups,
            band,
            grid,
            weights,
        })
    }

    /// The kernel's name in listings.
    pub fn name(&self) -> &'static str {
        match (self.input.element, self.isa.multiplies_bf16()) {
            (Element::F32, _) => kernel_name!(self.isa, "conv_f32_blocked"),
            (Element::Bf16, true) => "conv_bf16_blocked_avx512bf16",
            (Element::Bf16, false) => kernel_name!(self.isa, "conv_bf16_blocked"),
        }
    }

    /// How the work is tiled, for listings.
    pub fn describe(&self) -> String {
        let tiles: Vec<_> = self.groups.iter().map(Group::describe).collect();
        format!(
            "tiles {}; {} tasks an image; bands of {} rows",
            tiles.join(" "),
            self.grid.tasks(),
            self.band
        )
    }

    /// Tasks for `batch` images.
    pub fn tasks(&self, batch: usize) -> usize {
        self.grid.tasks() * batch
    }

    /// Does task `task`. The residual has the output's extents, but for its padding and type.
    ///
    /// # Safety
    /// The views are valid and have the extents that the plan was made for; the input's padding is zero; other
    /// threads run other tasks only, and the output overlaps neither input nor, but for equality, the residual.
    pub unsafe fn run(
        &self,
        input: MapView,
        residual: Option<MapView>,
        output: MapMut,
        task: usize,
    ) {
        debug_assert_eq!(
            (input.layout(), output.layout()),
            (&self.input, &self.output)
        );
        let image = task / self.grid.tasks();
        let (rows, groups) = self.grid.part(
            task % self.grid.tasks(),
            self.output.height,
            self.groups.len(),
        );
        let bands = rows.len().div_ceil(self.band);
        let part = |band: usize| {
            let within = super::share(rows.len(), bands, band);
            rows.start + within.start..rows.start + within.end
        };
        let maps = Maps {
            input,
            residual,
            output,
            image,
        };
        for band in 0..bands {
            let next = (band + 1 < bands).then(|| part(band + 1));
            let mut ahead = self.ahead(&maps, part(band), next, &self.groups[groups.clone()]);
            for group in &self.groups[groups.clone()] {
                // SAFETY: the caller guarantees views of the plan's extents and that each task runs once; the grid gives
                // each task rows and groups that no other has.
                unsafe { self.run_group(&maps, group, part(band), &mut ahead) }
            }
        }
    }

    /// The input rows that the next band needs beyond this one's, spread over this band's tiles.
    fn ahead(
        &self,
        maps: &Maps,
        band: Range<usize>,
        next: Option<Range<usize>>,
        groups: &[Group],
    ) -> Ahead {
        let Some(next) = next.filter(|_| self.input.image_words() * size_of::<f32>() > NEAR_BYTES)
        else {
            return Ahead::NOTHING;
        };
        let shape = self.weights.shape();
        let reach = (shape.kernel[0] - 1) * shape.dilation[0] + 1;
        let end = |rows: Range<usize>| {
            ((rows.end - 1) * shape.stride[0] + reach).saturating_sub(shape.padding[0])
        };
        let (first, last) = (end(band.clone()), end(next).min(self.input.height));
        let lines =
            last.saturating_sub(first) * self.input.row_words() * size_of::<f32>() / LINE_BYTES;
        let tiles = band.len() * groups.iter().map(Group::tiles).sum::<usize>();
        let pieces = (tiles / self.input.planes()).max(1);
        Ahead {
            start: maps.input.pixel(maps.image, 0, first as isize, 0),
            plane_words: self.input.plane_words(),
            planes: self.input.planes(),
            pieces,
            piece_lines: lines.div_ceil(pieces),
            next: 0,
        }
    }

    /// # Safety
    /// The maps are valid and have the plan's extents; no other thread touches `rows` of the group's planes of the
    /// output.
    unsafe fn run_group(&self, maps: &Maps, group: &Group, rows: Range<usize>, ahead: &mut Ahead) {
        let shape = self.weights.shape();
        let Maps {
            input,
            residual,
            output,
            image,
        } = *maps;
        let mut args = TileArgs {
            weights: self.weights.block(group.first),
            weights_block: self.weights.block_words(),
            bias: self.weights.bias(group.first),
            runs: &self.runs,
            pixel_stride: shape.stride[1] * self.input.block_words(),
            output_pixel: self.output.block_words(),
            output_block: self.output.plane_words(),
            output_element: self.output.element,
            residual_pixel: residual.map_or(0, |map| map.layout().block_words()),
            residual_element: residual.map_or(Element::F32, |map| map.layout().element),
            residual_block: residual.map_or(0, |map| map.layout().plane_words()),
            activation: self.activation,
            kept: self.output.channels - group.first * BLOCK,
            ..TileArgs::default()
        };
        for y in rows.clone() {
            let top = (y * shape.stride[0]) as isize - shape.padding[0] as isize;
            let y = y as isize;
            args.input = input.pixel(image, 0, top, -(shape.padding[1] as isize));
            args.output = output.pixel(image, group.first, y, 0);
            args.residual = residual.map_or(null(), |map| map.pixel(image, group.first, y, 0));
            args.ahead = *ahead;
            // SAFETY: the group was made for the output's width; the padding of the input holds what the kernel reaches
            // beyond its edges, which `Conv::new` checked; the caller guarantees the rest.
            unsafe { group.run_row(args) }
            ahead.next += group.tiles();
        }
        for plane in group.first..group.first + group.blocks {
            // SAFETY: these rows of these planes are this task's alone.
            unsafe { output.zero_padding(image, plane, rows.clone()) }
        }
    }
}

/// What a task reads and writes.
#[derive(Clone, Copy)]
struct Maps {
    input: MapView,
    residual: Option<MapView>,
    output: MapMut,
    image: usize,
}

/// Where the runs of 16 channels lie, from the first tap of the first plane; in the order of the packed weights.
fn blocked_runs(shape: &ConvShape, input: &MapLayout) -> Runs {
    let mut offsets = Vec::with_capacity(input.planes() * shape.kernel[0] * shape.kernel[1]);
    for plane in 0..input.planes() {
        for ky in 0..shape.kernel[0] {
            for kx in 0..shape.kernel[1] {
                let (y, x) = (ky * shape.dilation[0], kx * shape.dilation[1]);
                offsets.push(
                    plane * input.plane_words() + y * input.row_words() + x * input.block_words(),
                );
            }
        }
    }
    let last = input.channels - (input.planes() - 1) * BLOCK;
    let whole = offsets.len() - shape.kernel[0] * shape.kernel[1];
    Runs {
        offsets,
        whole,
        whole_len: input.block_words(),
        last_len: last.div_ceil(input.element.per_word()),
    }
}

#[cfg(test)]
pub(crate) mod tests;
