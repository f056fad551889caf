//! Convolution 3×3 of stride 1 by Winograd's minimal filtering: tiles of 4×4 outputs in a quarter of the multiplications.
//!
//! ```text
//! for each tile of 4×4 outputs:
//!     for each channel c:   V[·][c] = Bᵀ d B        of its 6×6 inputs d
//!     for each position p of 36, output channel k:
//!         M[p][k] = sum over c of V[p][c] · U[p][c][k],   U = G g Gᵀ of the weights g, computed once
//!     output = activation(Aᵀ M A + bias) + residual
//! ```
//!
//! Departures: 1. a strip of tiles is transformed at once, so that the sums over channels are the register tile of the
//! blocked convolution, with tiles in place of pixels; 2. a group of output blocks goes through all positions before the
//! next, so that its sums stay in the caches. Neither changes the order of one value's sum. Transforms and sums are f32
//! whatever the types of the maps.

mod transform;

use super::plan::{self, Group};
use super::tile::{Runs, TileArgs};
use super::weights::check_lengths;
use super::{ConvShape, KernelError};
use crate::isa::{Isa, kernel_name};
use crate::kernels::activation::Activation;
use crate::kernels::buffer::AlignedBuffer;
use crate::kernels::layout::{BLOCK, Element, MapLayout, MapMut, MapView};
use crate::kernels::share;
use std::sync::Arc;
use transform::{Finish, POSITIONS, SIDE, Strip};

const KERNEL: &str = "conv_f32_winograd";

/// Most tiles of a strip: their transformed inputs stay in L2.
const STRIP_TILES: usize = 28;

/// Below so many outputs, reading four times the weights takes what the multiplications save.
const LEAST_PIXELS: usize = 100;

/// Transformed weights, `[position][output block][input channel][16 output channels]`, and bias.
#[derive(Debug)]
pub struct WinogradWeights {
    shape: ConvShape,
    weights: AlignedBuffer,
    bias: AlignedBuffer,
}

impl WinogradWeights {
    /// Transforms `weight`, `[outputs][inputs][3][3]`, and packs it with `bias`, zeros if there is none.
    pub fn pack(
        shape: ConvShape,
        weight: &[f32],
        bias: Option<&[f32]>,
    ) -> Result<Self, KernelError> {
        if !is_for(&shape) {
            let reason = format!("takes 3x3 taps at stride 1, not {shape:?}");
            return Err(KernelError::new(KERNEL, reason));
        }
        check_lengths(&shape, weight, bias)?;
        let blocks = shape.outputs.div_ceil(BLOCK);
        let position_floats = blocks * shape.inputs * BLOCK;
        let mut weights = AlignedBuffer::zeroed(POSITIONS * position_floats);
        for (filter, taps) in weight.chunks_exact(9).enumerate() {
            let (output, input) = (filter / shape.inputs, filter % shape.inputs);
            let within = (output / BLOCK * shape.inputs + input) * BLOCK + output % BLOCK;
            for (position, value) in transform::filter(taps).into_iter().enumerate() {
                weights[position * position_floats + within] = value;
            }
        }
        let mut padded_bias = AlignedBuffer::zeroed(blocks * BLOCK);
        if let Some(bias) = bias {
            padded_bias[..shape.outputs].copy_from_slice(bias);
        }
        Ok(Self {
            shape,
            weights,
            bias: padded_bias,
        })
    }

    /// Bytes of the packed weights.
    pub fn bytes(&self) -> usize {
        self.weights.len() * size_of::<f32>()
    }

    /// Floats of an output block at one position.
    fn block_floats(&self) -> usize {
        self.shape.inputs * BLOCK
    }

    fn block(&self, position: usize, block: usize) -> *const f32 {
        let blocks = self.shape.outputs.div_ceil(BLOCK);
        self.weights[(position * blocks + block) * self.block_floats()..].as_ptr()
    }
}

/// Whether the taps are three by three, each a step from the last, around the output's pixel.
fn is_for(shape: &ConvShape) -> bool {
    let ConvShape {
        kernel,
        stride,
        padding,
        dilation,
        ..
    } = *shape;
    (kernel, stride, padding, dilation) == ([3; 2], [1; 2], [1; 2], [1; 2])
}

/// The convolution for given extents.
#[derive(Debug)]
pub struct Winograd {
    isa: Isa,
    weights: Arc<WinogradWeights>,
    activation: Activation,
    input: MapLayout,
    output: MapLayout,
    /// Tiles of a row of tiles, and of all rows.
    columns: usize,
    tiles: usize,
    /// Tiles of a strip; the last one may have fewer.
    strip: usize,
    runs: Runs,
    groups: Vec<Group>,
    last_groups: Vec<Group>,
    group_parts: usize,
}

impl Winograd {
    /// Whether it can do this convolution, and is faster than the plain one.
    pub fn suits(shape: &ConvShape, activation: Activation, output: &MapLayout) -> bool {
        is_for(shape)
            && activation.keeps_zero()
            && shape.inputs.min(shape.outputs) >= BLOCK
            && output.pixels() >= LEAST_PIXELS
    }

    /// The plan for maps of these extents; `threads` is how many will share the tasks.
    pub fn new(
        isa: Isa,
        weights: Arc<WinogradWeights>,
        activation: Activation,
        input: MapLayout,
        output: MapLayout,
        threads: usize,
    ) -> Result<Self, KernelError> {
        let shape = &weights.shape;
        shape.check(&input, &output)?;
        if !activation.keeps_zero() {
            let reason = format!("{} lifts unused channels from zero", activation.name());
            return Err(KernelError::new(KERNEL, reason));
        }
        let columns = output.width.div_ceil(SIDE);
        let tiles = columns * output.height.div_ceil(SIDE);
        let wanted = plan::task_count(shape.operations(output.pixels()), threads);
        let strips = tiles.div_ceil(STRIP_TILES).max(wanted.min(tiles / 8));
        let strip = tiles.div_ceil(strips.max(1));
        let strips = tiles.div_ceil(strip);
        let groups = |width| plan::groups(isa, Element::F32, output.planes(), width, BLOCK);
        let whole = groups(strip);
        Ok(Self {
            isa,
            runs: runs(&input, strip),
            activation,
            columns,
            tiles,
            strip,
            group_parts: wanted.div_ceil(strips).clamp(1, whole.len()),
            last_groups: groups(tiles - (strips - 1) * strip),
            groups: whole,
            input,
            output,
            weights,
        })
    }

    /// The kernel's name in listings.
    pub fn name(&self) -> &'static str {
        kernel_name!(self.isa, "conv_f32_winograd")
    }

    /// How the work is tiled, for listings.
    pub fn describe(&self) -> String {
        let tiles: Vec<_> = self.groups.iter().map(Group::describe).collect();
        format!(
            "strips of {} of {} tiles 4x4; {}; {} tasks an image",
            self.strip,
            self.tiles,
            tiles.join(" "),
            self.tasks(1)
        )
    }

    /// Tasks for `batch` images.
    pub fn tasks(&self, batch: usize) -> usize {
        self.tiles.div_ceil(self.strip) * self.group_parts * batch
    }

    /// Floats of scratch that one thread needs: a strip's transformed inputs, and a group's sums.
    pub fn scratch_floats(&self) -> usize {
        let blocks = self.groups.iter().map(|group| group.blocks).max();
        POSITIONS * (self.input.planes() + blocks.unwrap_or(0)) * self.strip * BLOCK
    }

    /// Does task `task`. The residual has the output's extents, but for its padding.
    ///
    /// # Safety
    /// The views are valid and have the extents that the plan was made for; the input's padding is zero; other threads
    /// run other tasks only, and the output overlaps neither input nor, but for equality, the residual.
    pub unsafe fn run(
        &self,
        input: MapView,
        residual: Option<MapView>,
        output: MapMut,
        scratch: &mut [f32],
        task: usize,
    ) {
        assert!(
            scratch.len() >= self.scratch_floats(),
            "the scratch is the executor's to size"
        );
        let strips = self.tiles.div_ceil(self.strip);
        let (index, task) = (task % strips, task / strips);
        let (part, image) = (task % self.group_parts, task / self.group_parts);
        let first = index * self.strip;
        let strip = Strip {
            image,
            tiles: first..self.tiles.min(first + self.strip),
            columns: self.columns,
            distance: self.strip * BLOCK,
        };
        let groups = match strip.tiles.len() == self.strip {
            true => &self.groups,
            false => &self.last_groups,
        };
        let position_floats = self.input.planes() * strip.distance;
        let (inputs, sums) = scratch.split_at_mut(POSITIONS * position_floats);
        // SAFETY: the caller guarantees the input; `inputs` holds every position of a strip.
        unsafe { transform::inputs(self.isa, &strip, input, inputs) }
        for group in &groups[share(groups.len(), self.group_parts, part)] {
            for position in 0..POSITIONS {
                let args = TileArgs {
                    input: inputs[position * position_floats..].as_ptr(),
                    pixel_stride: BLOCK,
                    runs: &self.runs,
                    weights: self.weights.block(position, group.first),
                    weights_block: self.weights.block_floats(),
                    bias: NO_BIAS.0.as_ptr(),
                    output: sums[position * group.blocks * strip.distance..].as_mut_ptr(),
                    output_pixel: BLOCK,
                    output_block: strip.distance,
                    ..TileArgs::default()
                };
                // SAFETY: the group was made for as many tiles as the strip has; the runs lie within this position's
                // inputs, and `sums` holds every position of a group.
                unsafe { group.run_row(args) }
            }
            let bias = &self.weights.bias[group.first * BLOCK..];
            let finish = Finish {
                sums,
                blocks: group.first..group.first + group.blocks,
                bias,
                activation: self.activation,
                residual,
                output,
            };
            // SAFETY: the caller guarantees output and residual; the tiles of these blocks are this task's alone.
            unsafe { transform::outputs(self.isa, &strip, &finish) }
            for plane in finish.blocks {
                for row in strip.ended_rows() {
                    let end = self.output.height.min((row + 1) * SIDE);
                    // SAFETY: whoever has the last tile of a row of tiles has the padding of its rows.
                    unsafe { output.zero_padding(image, plane, row * SIDE..end) }
                }
            }
        }
    }
}

/// Biases of the sums over channels: that of the output is added after the transform.
#[repr(C, align(64))]
struct NoBias([f32; 4 * BLOCK]);
static NO_BIAS: NoBias = NoBias([0.0; 4 * BLOCK]);

/// Where 16 channels of a tile begin, from the strip's first.
fn runs(input: &MapLayout, strip: usize) -> Runs {
    Runs {
        offsets: (0..input.planes()).map(|it| it * strip * BLOCK).collect(),
        whole: input.planes() - 1,
        whole_len: BLOCK,
        last_len: input.channels - (input.planes() - 1) * BLOCK,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::conv::tests::Case;
    use crate::kernels::testing::{CASES, Map, check_close, elements, rounding, sum_tolerance};
    use proptest::prelude::*;

    /// The transforms take sums of values of unlike size: this much more than a plain sum.
    const AMPLIFIED: f64 = 40.0;

    fn run(case: &Case, isa: Isa, threads: usize) -> Vec<f32> {
        let (input_layout, output_layout) = case.layouts();
        let (weight, bias) = case.weights();
        let weights = WinogradWeights::pack(case.shape, &weight, Some(&bias)).unwrap();
        let kernel = Winograd::new(
            isa,
            Arc::new(weights),
            case.activation,
            input_layout,
            output_layout,
            threads,
        )
        .unwrap();
        let input = Map::filled(input_layout, case.batch, &case.input());
        let residual = case.residual.then(|| {
            Map::filled(
                output_layout.of(case.elements[2]),
                case.batch,
                &case.residual(),
            )
        });
        let mut output = Map::dirty(output_layout, case.batch);
        let mut scratch = vec![f32::NAN; kernel.scratch_floats()];
        for task in (0..kernel.tasks(case.batch)).rev() {
            let residual = residual.as_ref().map(Map::view);
            // SAFETY: the maps have the plan's extents and are used here alone.
            unsafe {
                kernel.run(
                    input.view(),
                    residual,
                    output.view_mut(),
                    &mut scratch,
                    task,
                )
            }
        }
        output.check_padding();
        output.to_dense()
    }

    const MOST_SIDES: [usize; 2] = if cfg!(miri) { [6, 6] } else { [21, 45] };
    const MOST_CHANNELS: usize = if cfg!(miri) { 20 } else { 70 };

    prop_compose! {
        fn cases()(
            inputs in 1..MOST_CHANNELS,
            outputs in 1..MOST_CHANNELS,
            height in 1..MOST_SIDES[0],
            width in 1..MOST_SIDES[1],
            batch in 1usize..3,
            activation in prop_oneof![Just(Activation::None), Just(Activation::Relu), Just(Activation::Silu)],
            residual: bool,
            pads in [0usize..2, 0usize..3],
            elements in [elements(), elements(), elements()],
        ) -> Case {
            let shape = ConvShape {
                inputs, outputs, kernel: [3; 2], stride: [1; 2], padding: [1; 2], dilation: [1; 2],
            };
            Case { shape, height, width, batch, activation, residual, pads, elements }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(CASES))]

        #[test]
        fn any_extents_agree_with_the_textbook_and_keep_their_bits(case in cases()) {
            let truth = case.truth();
            for isa in Isa::available() {
                let alone = run(&case, isa, 1);
                let tolerance = AMPLIFIED * sum_tolerance(9 * case.shape.inputs) + rounding(case.elements[1]);
                check_close(&alone, &truth, tolerance);
                for threads in [2, 7] {
                    assert!(run(&case, isa, threads) == alone, "{threads} threads");
                }
            }
        }
    }

    #[test]
    fn other_shapes_and_activations_are_refused() {
        let shape = ConvShape {
            inputs: 1,
            outputs: 1,
            kernel: [3; 2],
            stride: [1; 2],
            padding: [1; 2],
            dilation: [1; 2],
        };
        let weights = WinogradWeights::pack(shape, &[1.0; 9], None).unwrap();
        let map = MapLayout::new(1, 4, 4, 1);
        let weights = Arc::new(weights);
        let lifted = Winograd::new(Isa::Portable, weights, Activation::Exp, map, map, 1);
        assert!(lifted.unwrap_err().to_string().contains("exp"));
        let strided = ConvShape {
            stride: [2; 2],
            ..shape
        };
        assert!(WinogradWeights::pack(strided, &[1.0; 9], None).is_err());
    }
}
