//! The first convolution: plain planes of few channels in, a blocked map out.
//!
//! ```text
//! for each output block co, row y, pixel x:
//!     sum = bias[co]
//!     for each channel c, tap (ky, kx):
//!         sum += image[c][y·s + ky - top][x·s + kx - left] · weight[co][c][ky][kx]
//!     output[co][y][x] = activation(sum)
//! ```
//!
//! Departures: 1. the rows under a band of output rows are first copied, with their padding, into scratch, so that no
//! edge needs a branch; 2. the register tile of the blocked convolution then takes a kernel's row in a plane as a run.

use super::conv::tile::{Runs, TileArgs};
use super::conv::{ConvShape, ConvWeights, plan};
use super::layout::{BLOCK, Element, MapLayout, MapMut};
use super::{Activation, KernelError, share};
use crate::isa::{Isa, kernel_name};
use plan::Group;
use std::ops::Range;

/// Output rows whose input is copied at once.
const BAND_ROWS: usize = 4;

/// A convolution of plain planes for given extents.
#[derive(Debug)]
pub struct Stem {
    isa: Isa,
    weights: ConvWeights,
    activation: Activation,
    /// Height and width of the plain planes.
    input: [usize; 2],
    output: MapLayout,
    strip: Strip,
    runs: Runs,
    groups: Vec<Group>,
    row_parts: usize,
}

/// The scratch: for each channel `rows` rows of `width` floats.
#[derive(Clone, Copy, Debug)]
struct Strip {
    rows: usize,
    width: usize,
}

impl Stem {
    /// The plan for images of `input` = height and width.
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        isa: Isa,
        shape: ConvShape,
        weight: &[f32],
        bias: Option<&[f32]>,
        activation: Activation,
        input: [usize; 2],
        output: MapLayout,
        threads: usize,
    ) -> Result<Self, KernelError> {
        let weights = ConvWeights::pack_planar(shape, weight, bias)?;
        // The scratch holds zeros for every row and column outside the image, on any side.
        shape.check_channels(shape.inputs, &output)?;
        let strip = Strip {
            rows: (BAND_ROWS - 1) * shape.stride[0] + (shape.kernel[0] - 1) * shape.dilation[0] + 1,
            width: (output.width - 1) * shape.stride[1]
                + (shape.kernel[1] - 1) * shape.dilation[1]
                + 1,
        };
        let groups = plan::groups(
            isa,
            Element::F32,
            output.planes(),
            output.width,
            shape.stride[1],
        );
        let row_parts =
            plan::task_count(shape.operations(output.pixels()), threads).min(output.height);
        let runs = planar_runs(&shape, &strip);
        Ok(Stem {
            isa,
            weights,
            activation,
            input,
            output,
            strip,
            runs,
            groups,
            row_parts,
        })
    }

    /// The kernel's name in listings.
    pub fn name(&self) -> &'static str {
        kernel_name!(self.isa, "conv_f32_planar")
    }

    /// How the work is tiled, for listings.
    pub fn describe(&self) -> String {
        let tiles: Vec<_> = self.groups.iter().map(Group::describe).collect();
        format!(
            "tiles {}; {} tasks an image",
            tiles.join(" "),
            self.row_parts
        )
    }

    /// Tasks for `batch` images.
    pub fn tasks(&self, batch: usize) -> usize {
        self.row_parts * batch
    }

    /// Floats of scratch that one thread needs.
    pub fn scratch_floats(&self) -> usize {
        self.weights.shape().inputs * self.strip.rows * self.strip.width
    }

    /// Does task `task` on images that lie `image_floats` apart.
    ///
    /// # Safety
    /// `input` has all images and `output` the extents of the plan; `scratch` has [`Stem::scratch_floats`]; other
    /// threads run other tasks only.
    pub unsafe fn run(
        &self,
        input: *const f32,
        image_floats: usize,
        output: MapMut,
        scratch: &mut [f32],
        task: usize,
    ) {
        assert!(
            scratch.len() >= self.scratch_floats(),
            "the scratch is the executor's to size"
        );
        let (image, part) = (task / self.row_parts, task % self.row_parts);
        let rows = share(self.output.height, self.row_parts, part);
        for first in rows.clone().step_by(BAND_ROWS) {
            let band = first..rows.end.min(first + BAND_ROWS);
            // SAFETY: the caller guarantees all images of `input`, the plan's extents of `output` and that this task is
            // run once; the band lies within the task's rows, and the scratch was measured above.
            unsafe {
                self.copy_band(input.add(image * image_floats), scratch, band.start);
                for group in &self.groups {
                    self.run_group(scratch, output, image, group, band.clone());
                }
            }
        }
    }

    /// Copies the input rows under the band that starts at output row `first`, zeros where there are none.
    ///
    /// # Safety
    /// `image` has all its planes.
    unsafe fn copy_band(&self, image: *const f32, scratch: &mut [f32], first: usize) {
        let ConvShape {
            stride, padding, ..
        } = *self.weights.shape();
        let [height, width] = self.input;
        let left = padding[1];
        let copied = width.min(self.strip.width - left.min(self.strip.width));
        for (index, target) in scratch[..self.scratch_floats()]
            .chunks_exact_mut(self.strip.width)
            .enumerate()
        {
            let (channel, row) = (index / self.strip.rows, index % self.strip.rows);
            match (first * stride[0] + row).checked_sub(padding[0]) {
                Some(y) if y < height => {
                    // SAFETY: the row lies within the channel's plane.
                    let source = unsafe {
                        std::slice::from_raw_parts(
                            image.add((channel * height + y) * width),
                            copied,
                        )
                    };
                    let left = left.min(target.len());
                    target[..left].fill(0.0);
                    target[left..left + copied].copy_from_slice(source);
                    target[left + copied..].fill(0.0);
                }
                _ => target.fill(0.0),
            }
        }
    }

    /// # Safety
    /// `scratch` holds the input under the band as [`copy_band`](Self::copy_band) leaves it; `output` has the plan's
    /// extents; no other thread touches the band's rows of the group's planes.
    unsafe fn run_group(
        &self,
        scratch: &[f32],
        output: MapMut,
        image: usize,
        group: &Group,
        band: Range<usize>,
    ) {
        let stride = self.weights.shape().stride;
        for y in band.clone() {
            let args = TileArgs {
                input: scratch[(y - band.start) * stride[0] * self.strip.width..].as_ptr(),
                pixel_stride: stride[1],
                runs: &self.runs,
                weights: self.weights.block(group.first),
                weights_block: self.weights.block_words(),
                bias: self.weights.bias(group.first),
                output: output.pixel(image, group.first, y as isize, 0),
                output_pixel: self.output.block_words(),
                output_block: self.output.plane_words(),
                output_element: self.output.element,
                activation: self.activation,
                kept: self.output.channels - group.first * BLOCK,
                ..TileArgs::default()
            };
            // SAFETY: the group was made for the output's width, and its tiles read one strip of the scratch and write
            // this row of the group's planes, which the caller guarantees to be valid and this task's alone.
            unsafe { group.run_row(args) }
        }
        for plane in group.first..group.first + group.blocks {
            // SAFETY: these rows of these planes are this task's alone.
            unsafe { output.zero_padding(image, plane, band.clone()) }
        }
    }
}

/// A run is a kernel's row in a channel's rows of scratch; where its taps lie apart, each is a run.
fn planar_runs(shape: &ConvShape, strip: &Strip) -> Runs {
    let mut offsets = Vec::new();
    for channel in 0..shape.inputs {
        for ky in 0..shape.kernel[0] {
            let row = (channel * strip.rows + ky * shape.dilation[0]) * strip.width;
            match shape.dilation[1] {
                1 => offsets.push(row),
                apart => offsets.extend((0..shape.kernel[1]).map(|kx| row + kx * apart)),
            }
        }
    }
    let len = if shape.dilation[1] == 1 {
        shape.kernel[1]
    } else {
        1
    };
    Runs {
        whole: offsets.len(),
        offsets,
        whole_len: len,
        last_len: len,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::conv::tests::{Case, cases};
    use crate::kernels::testing::{CASES, Map, check_close};
    use proptest::prelude::*;

    fn run(case: &Case, isa: Isa, threads: usize) -> Vec<f32> {
        let [height, width] = case.output_extents();
        let layout = MapLayout::new(case.shape.outputs, height, width, case.pads[1]);
        let (weight, bias) = case.weights();
        let extents = [case.height, case.width];
        let stem = Stem::new(
            isa,
            case.shape,
            &weight,
            Some(&bias),
            case.activation,
            extents,
            layout,
            threads,
        )
        .unwrap();
        let input = case.input();
        let mut output = Map::dirty(layout, case.batch);
        let mut scratch = vec![f32::NAN; stem.scratch_floats()];
        for task in 0..stem.tasks(case.batch) {
            let image = input.len() / case.batch;
            // SAFETY: the extents are the plan's.
            unsafe { stem.run(input.as_ptr(), image, output.view_mut(), &mut scratch, task) }
        }
        output.check_padding();
        output.to_dense()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(CASES))]

        #[test]
        fn any_shape_agrees_with_the_textbook_and_keeps_its_bits(case in cases(4)) {
            let case = Case { residual: false, elements: [Element::F32, case.elements[1], Element::F32], ..case };
            let truth = case.truth();
            for isa in Isa::available() {
                let alone = run(&case, isa, 1);
                check_close(&alone, &truth, case.tolerance());
                assert!(run(&case, isa, 4) == alone);
            }
        }
    }
}
