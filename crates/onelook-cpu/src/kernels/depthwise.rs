//! Depthwise convolution: each channel on its own, any kernel, stride and dilation, with its epilogue.
//!
//! ```text
//! for each plane p, row y, pixel x:
//!     sum = bias[p]
//!     for each tap (ky, kx):
//!         sum += input[p][y·s + ky - top][x·s + kx - left] · weight[p][ky][kx]
//!     output[p][y][x] = activation(sum) + residual[p][y][x]
//! ```
//!
//! Departure: a tile of pixels is summed in registers, so that a weight is loaded once for all of them.

use super::activation::{Constants, lane_mask, with_activation};
use super::conv::{ConvShape, plan};
use super::element::{Lanes, map_kernel_name, with_element};
use super::layout::{BLOCK, Element, MapLayout, MapMut, MapView};
use super::{Activation, AlignedBuffer, KernelError, share};
use crate::isa::{Isa, Vector16, per_isa};
use std::ptr::null;

const KERNEL: &str = "depthwise_f32_blocked";

/// Pixels of a tile: two registers each at the narrowest level, and room for the weight.
const TILE: usize = 4;

/// A depthwise convolution for given extents.
#[derive(Debug)]
pub struct Depthwise {
    isa: Isa,
    shape: ConvShape,
    /// `[plane][ky][kx][16 channels]`.
    weights: AlignedBuffer,
    bias: AlignedBuffer,
    activation: Activation,
    taps: Vec<usize>,
    row_parts: usize,
    /// The type of the input.
    input: Element,
}

impl Depthwise {
    /// The plan; `shape` has as many outputs as inputs, `weight` is `[channels][ky][kx]`.
    pub fn new(
        isa: Isa,
        shape: ConvShape,
        weight: &[f32],
        bias: Option<&[f32]>,
        activation: Activation,
        [input, output]: [MapLayout; 2],
        threads: usize,
    ) -> Result<Self, KernelError> {
        let per_channel = shape.kernel[0] * shape.kernel[1];
        if shape.inputs != shape.outputs
            || weight.len() != shape.inputs * per_channel
            || bias.is_some_and(|bias| bias.len() != shape.inputs)
        {
            return Err(KernelError::new(
                KERNEL,
                format!("weights do not fit {shape:?}"),
            ));
        }
        shape.check(&input, &output)?;
        let mut packed = AlignedBuffer::zeroed(input.planes() * per_channel * BLOCK);
        for (place, &value) in weight.iter().enumerate() {
            let (channel, tap) = (place / per_channel, place % per_channel);
            packed[(channel / BLOCK * per_channel + tap) * BLOCK + channel % BLOCK] = value;
        }
        let mut padded_bias = AlignedBuffer::zeroed(input.planes() * BLOCK);
        if let Some(bias) = bias {
            padded_bias[..bias.len()].copy_from_slice(bias);
        }
        let place = |ky, kx| {
            ky * shape.dilation[0] * input.row_words()
                + kx * shape.dilation[1] * input.block_words()
        };
        let taps = (0..shape.kernel[0])
            .flat_map(|ky| (0..shape.kernel[1]).map(move |kx| place(ky, kx)))
            .collect();
        // A multiplication here costs about what sixteen cost in a convolution: none of its operands is reused.
        let operations = 16 * 2 * per_channel * shape.inputs * output.pixels();
        let row_parts = plan::task_count(operations, threads)
            .div_ceil(output.planes())
            .min(output.height);
        Ok(Depthwise {
            isa,
            shape,
            weights: packed,
            bias: padded_bias,
            activation,
            taps,
            row_parts,
            input: input.element,
        })
    }

    /// The kernel's name in listings.
    pub fn name(&self) -> &'static str {
        map_kernel_name!(self.isa, self.input, "depthwise")
    }

    /// Tasks for `batch` images: some rows of one plane each.
    pub fn tasks(&self, batch: usize) -> usize {
        self.row_parts * self.shape.outputs.div_ceil(BLOCK) * batch
    }

    /// Does task `task`. The residual has the output's extents, but for its padding and type.
    ///
    /// # Safety
    /// As [`Conv::run`](super::conv::Conv::run).
    pub unsafe fn run(
        &self,
        input: MapView,
        residual: Option<MapView>,
        output: MapMut,
        task: usize,
    ) {
        let planes = output.layout().planes();
        let (part, task) = (task % self.row_parts, task / self.row_parts);
        let (plane, image) = (task % planes, task / planes);
        let rows = share(output.layout().height, self.row_parts, part);
        let kept = (output.layout().channels - plane * BLOCK).min(BLOCK);
        for y in rows.clone() {
            let top = (y * self.shape.stride[0]) as isize - self.shape.padding[0] as isize;
            let y = y as isize;
            let row = Row {
                input: input.pixel(image, plane, top, -(self.shape.padding[1] as isize)),
                pixel_stride: self.shape.stride[1] * input.layout().block_words(),
                input_element: input.layout().element,
                taps: &self.taps,
                weights: self.weights[plane * self.taps.len() * BLOCK..].as_ptr(),
                bias: self.bias[plane * BLOCK..].as_ptr(),
                residual: residual.map_or(null(), |map| map.pixel(image, plane, y, 0)),
                residual_element: residual.map_or(Element::F32, |map| map.layout().element),
                output: output.pixel(image, plane, y, 0),
                output_element: output.layout().element,
                pixels: output.layout().width,
                activation: self.activation,
                kept,
            };
            // SAFETY: the row lies within the maps, whose extents were checked when the plan was made.
            unsafe { depthwise_row(self.isa, &row) }
        }
        // SAFETY: these rows of the plane are this task's alone.
        unsafe { output.zero_padding(image, plane, rows) }
    }
}

/// One output row.
#[derive(Clone, Copy)]
struct Row<'a> {
    input: *const f32,
    pixel_stride: usize,
    input_element: Element,
    taps: &'a [usize],
    weights: *const f32,
    bias: *const f32,
    /// Null where nothing is added.
    residual: *const f32,
    residual_element: Element,
    output: *mut f32,
    output_element: Element,
    pixels: usize,
    activation: Activation,
    kept: usize,
}

per_isa! {
    /// Sums a row.
    fn depthwise_row(row: &Row<'_>) = row_body
}

/// # Safety
/// All addresses of `row` are valid for its pixels and taps, and no other thread touches its output; the CPU has the
/// level of `V`.
#[inline(always)]
unsafe fn row_body<V: Vector16>(row: &Row<'_>) {
    let mask = lane_mask(if row.activation.keeps_zero() {
        BLOCK
    } else {
        row.kept
    });
    // SAFETY: the caller guarantees the row and the level; the tiles cover its pixels and no more.
    unsafe {
        let constants = Constants::<V>::new();
        let mask = V::load(mask.as_ptr());
        with_element!(row.input_element, |Input| with_element!(
            row.output_element,
            |Output| with_activation!(row.activation, |kind| {
                let whole = row.pixels - row.pixels % TILE;
                for x in (0..whole).step_by(TILE) {
                    tile::<V, Input, Output, TILE>(row, x, kind, &constants, mask);
                }
                for x in whole..row.pixels {
                    tile::<V, Input, Output, 1>(row, x, kind, &constants, mask);
                }
            })
        ));
    }
}

/// Sums `PX` pixels from `x` on.
///
/// # Safety
/// As [`row_body`], and pixels `x` to `x + PX` lie within the row.
#[inline(always)]
#[expect(
    clippy::needless_range_loop,
    reason = "plain indices of constant extent keep the sums in registers"
)]
unsafe fn tile<V: Vector16, Input: Lanes, Output: Lanes, const PX: usize>(
    row: &Row<'_>,
    x: usize,
    kind: Activation,
    constants: &Constants<V>,
    mask: V,
) {
    // SAFETY: the caller guarantees the row's addresses for these pixels and all taps; a residual is null or as long
    // as the output.
    unsafe {
        let input = row.input.add(x * row.pixel_stride);
        let mut sums = [V::load(row.bias); PX];
        for (tap, &offset) in row.taps.iter().enumerate() {
            let weight = V::load(row.weights.add(tap * BLOCK));
            for px in 0..PX {
                let value: V = Input::load(input.add(offset + px * row.pixel_stride));
                sums[px] = value.mul_add(weight, sums[px]);
            }
        }
        for px in 0..PX {
            let mut value = constants.apply(kind, sums[px]).mul(mask);
            if !row.residual.is_null() {
                value = value.add(with_element!(row.residual_element, |Residual| {
                    Residual::load(row.residual.add((x + px) * Residual::WORDS))
                }));
            }
            Output::store(value, row.output.add((x + px) * Output::WORDS));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{
        CASES, Map, check_close, elements, random, random_of, rounding, sum_tolerance,
    };
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(CASES))]

        #[test]
        fn any_shape_agrees_with_the_textbook_and_keeps_its_bits(
            channels in 1usize..40,
            kernel in [1usize..6, 1usize..6],
            stride in [1usize..3, 1usize..3],
            extra in [0usize..9, 0usize..20],
            silu: bool,
            pad_output in 0usize..2,
            elements in [elements(), elements(), elements()],
        ) {
            let padding = [kernel[0] / 2, kernel[1] / 2];
            let shape = ConvShape { inputs: channels, outputs: channels, kernel, stride, padding, dilation: [1; 2] };
            let [height, width] = [kernel[0] + extra[0], kernel[1] + extra[1]];
            let extent = |axis: usize, input: usize| (input + 2 * padding[axis] - kernel[axis]) / stride[axis] + 1;
            let (rows, columns) = (extent(0, height), extent(1, width));
            let input_layout = MapLayout::new(channels, height, width, padding[0].max(padding[1])).of(elements[0]);
            let layout = MapLayout::new(channels, rows, columns, pad_output).of(elements[1]);
            let (weight, bias) = (random(channels * kernel[0] * kernel[1], 1), random(channels, 2));
            let values = random_of(elements[0], 2 * channels * height * width, 3);
            let added = random_of(elements[2], 2 * channels * rows * columns, 4);
            let mut truth = Vec::new();
            for (plane, bias) in (0..2).flat_map(|_| bias.iter()).enumerate() {
                for (y, x) in (0..rows).flat_map(|y| (0..columns).map(move |x| (y, x))) {
                    let mut sum = f64::from(*bias);
                    for (ky, kx) in (0..kernel[0]).flat_map(|ky| (0..kernel[1]).map(move |kx| (ky, kx))) {
                        let (row, column) = (y * stride[0] + ky, x * stride[1] + kx);
                        if row >= padding[0] && column >= padding[1] && row - padding[0] < height && column - padding[1] < width {
                            let value = values[(plane * height + row - padding[0]) * width + column - padding[1]];
                            sum += f64::from(value) * f64::from(weight[(plane % channels * kernel[0] + ky) * kernel[1] + kx]);
                        }
                    }
                    let value = if silu { sum / (1.0 + (-sum).exp()) } else { 1.0 / (1.0 + (-sum).exp()) };
                    truth.push(value + f64::from(added[truth.len()]));
                }
            }
            let activation = if silu { Activation::Silu } else { Activation::Sigmoid };
            for isa in Isa::available() {
                let run = |threads: usize| {
                    let layouts = [input_layout, layout];
                    let kernel = Depthwise::new(isa, shape, &weight, Some(&bias), activation, layouts, threads).unwrap();
                    let (input, residual) = (Map::filled(input_layout, 2, &values), Map::filled(layout.of(elements[2]), 2, &added));
                    let mut output = Map::dirty(layout, 2);
                    for task in 0..kernel.tasks(2) {
                        // SAFETY: the extents are the plan's.
                        unsafe { kernel.run(input.view(), Some(residual.view()), output.view_mut(), task) }
                    }
                    output.check_padding();
                    output.to_dense()
                };
                check_close(&run(1), &truth, sum_tolerance(kernel[0] * kernel[1]) + rounding(elements[1]));
                prop_assert!(run(1) == run(64));
            }
        }
    }
}
