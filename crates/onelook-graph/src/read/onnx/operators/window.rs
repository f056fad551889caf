//! Operators on maps: convolution, normalisation, pooling, enlargement.

use super::super::call::{Call, Known, Refusal};
use super::super::importer::Importer;
use crate::op::program::Data;
use crate::op::{BatchNorm, Conv, MaxPool, Upsample};

pub(super) fn conv(importer: &mut Importer, call: &Call) -> Result<Vec<Known>, Refusal> {
    let weight = call
        .weights(1)?
        .ok_or_else(|| call.broken("it has no weight"))?;
    let [_, _, height, width] = weight
        .shape()
        .nchw()
        .ok_or_else(|| call.lacking(&format!("with a weight of shape {}", weight.shape())))?;
    if call.has("kernel_shape") && call.extents("kernel_shape", 1)? != [height, width] {
        return Err(call.broken("its weight has another size than its kernel"));
    }
    let window = Window::of(call, [height, width])?;
    let conv = Conv {
        stride: window.stride,
        padding: window.padding,
        dilation: window.dilation,
        groups: usize::try_from(call.int("group", 1))
            .map_err(|_| call.broken("its group count is negative"))?,
        ..Conv::new(weight, call.weights(2)?)
    };
    importer.apply(call, conv, &[call.input(0)?])
}

pub(super) fn batch_norm(importer: &mut Importer, call: &Call) -> Result<Vec<Known>, Refusal> {
    if call.int("training_mode", 0) != 0 {
        return Err(call.lacking("in training mode"));
    }
    let part = |index: usize| {
        call.weights(index)?
            .ok_or_else(|| call.broken(&format!("input {index} is missing")))
    };
    let norm = BatchNorm {
        scale: part(1)?,
        shift: part(2)?,
        mean: part(3)?,
        variance: part(4)?,
        epsilon: call.float("epsilon", 1e-5),
    };
    importer.apply(call, norm, &[call.input(0)?])
}

pub(super) fn max_pool(importer: &mut Importer, call: &Call) -> Result<Vec<Known>, Refusal> {
    if call.int("storage_order", 0) != 0 || call.node.output.len() > 1 {
        return Err(call.lacking("with indices"));
    }
    let kernel = call.extents("kernel_shape", 1)?;
    let window = Window::of(call, kernel)?;
    if window.dilation != [1, 1] {
        return Err(call.lacking("with dilation"));
    }
    let pool = MaxPool {
        kernel,
        stride: window.stride,
        padding: window.padding,
    };
    importer.apply(call, pool, &[call.input(0)?])
}

/// A mean is a convolution of each channel with equal weights.
pub(super) fn average_pool(importer: &mut Importer, call: &Call) -> Result<Vec<Known>, Refusal> {
    let kernel: [usize; 2] = call.extents("kernel_shape", 1)?;
    let window = Window::of(call, kernel)?;
    let counts_padding = call.int("count_include_pad", 0) != 0 && call.int("ceil_mode", 0) == 0;
    if window.padding != [0; 4] && !counts_padding {
        return Err(call.lacking("without its padding"));
    }
    let [_, channels, ..] = maps(call)?;
    let taps = kernel[0] * kernel[1];
    let weights = channels
        .checked_mul(taps)
        .filter(|&weights| weights > 0 && weights <= 1 << 24)
        .ok_or_else(|| call.lacking("of so many pixels"))?;
    let weight = Data::floats(
        [channels, 1, kernel[0], kernel[1]],
        vec![1.0 / taps as f32; weights],
    );
    let Data::Floats(weight) = weight else {
        return Err(call.lacking("of integers"));
    };
    let conv = Conv {
        stride: window.stride,
        padding: window.padding,
        dilation: window.dilation,
        groups: channels,
        ..Conv::new(weight, None)
    };
    importer.apply(call, conv, &[call.input(0)?])
}

fn maps(call: &Call) -> Result<[usize; 4], Refusal> {
    let shape = call.input(0)?.shape();
    shape
        .nchw()
        .ok_or_else(|| call.lacking("of other than maps"))
}

/// How a window moves over a map.
struct Window {
    stride: [usize; 2],
    padding: [usize; 4],
    dilation: [usize; 2],
}

impl Window {
    /// What the attributes say for a window of `kernel`; padding that depends on the map's sides is
    /// that for the map at hand.
    fn of(call: &Call, kernel: [usize; 2]) -> Result<Self, Refusal> {
        let stride: [usize; 2] = call.extents("strides", 1)?;
        if stride.contains(&0) {
            return Err(call.broken("its stride is 0"));
        }
        let mut window = Self {
            stride,
            padding: [0; 4],
            dilation: call.extents("dilations", 1)?,
        };
        let kind = call.word("auto_pad", "NOTSET");
        match kind.as_str() {
            "NOTSET" | "" => window.padding = call.extents("pads", 0)?,
            "VALID" => {}
            "SAME_UPPER" | "SAME_LOWER" => {
                let [_, _, height, width] = maps(call)?;
                for (axis, extent) in [height, width].into_iter().enumerate() {
                    let steps = extent.div_ceil(stride[axis]).saturating_sub(1);
                    let missing = window.missing(axis, kernel, extent, steps);
                    let (less, more) = (missing / 2, missing.div_ceil(2));
                    let lower = kind == "SAME_LOWER";
                    let (first, last) = if lower { (more, less) } else { (less, more) };
                    (window.padding[axis], window.padding[axis + 2]) = (first, last);
                }
            }
            other => return Err(call.lacking(&format!("auto_pad {other}"))),
        }
        if call.int("ceil_mode", 0) != 0 {
            let [_, _, height, width] = maps(call)?;
            for (axis, extent) in [height, width].into_iter().enumerate() {
                window.reach_the_end(axis, kernel, extent);
            }
        }
        Ok(window)
    }

    /// Pixels that so many steps along an axis take beyond the map.
    fn missing(&self, axis: usize, kernel: [usize; 2], extent: usize, steps: usize) -> usize {
        let reach = self.dilation[axis] * kernel[axis].saturating_sub(1) + 1;
        (steps * self.stride[axis] + reach).saturating_sub(extent)
    }

    /// Pads the end so that the last step, rounded up, fits; none begins behind the map.
    fn reach_the_end(&mut self, axis: usize, kernel: [usize; 2], extent: usize) {
        let reach = self.dilation[axis] * kernel[axis].saturating_sub(1) + 1;
        let whole = extent + self.padding[axis] + self.padding[axis + 2];
        let mut steps = whole.saturating_sub(reach).div_ceil(self.stride[axis]);
        if steps * self.stride[axis] >= extent + self.padding[axis] {
            steps = steps.saturating_sub(1);
        }
        let needed = self.missing(axis, kernel, extent, steps);
        let behind = needed.saturating_sub(self.padding[axis]);
        self.padding[axis + 2] = behind.max(self.padding[axis + 2]);
    }
}

pub(super) fn resize(importer: &mut Importer, call: &Call) -> Result<Vec<Known>, Refusal> {
    let mode = call.word("mode", "nearest");
    if mode != "nearest" {
        return Err(call.lacking(&format!("mode {mode}")));
    }
    let input = call.input(0)?;
    let [.., height, width] = input
        .shape()
        .nchw()
        .ok_or_else(|| call.lacking("of other than maps"))?;
    let factors = match sizes(call)? {
        Some(sizes) => [ratio(sizes[0], height), ratio(sizes[1], width)],
        None => scales(call)?,
    };
    match factors {
        [Some(down), Some(right)] if down == right => {
            check_rounding(call, down)?;
            importer.apply(call, Upsample { factor: down }, &[input])
        }
        _ => Err(call.lacking("by other than one whole number")),
    }
}

/// Target height and width, where the node names them.
fn sizes(call: &Call) -> Result<Option<[i64; 2]>, Refusal> {
    let Some(sizes) = call.attribute_or_input("sizes", 3)? else {
        return Ok(None);
    };
    let shape = call.input(0)?.shape();
    match sizes[..] {
        [batch, channels, height, width]
            if batch == shape[0] as i64 && channels == shape[1] as i64 =>
        {
            Ok(Some([height, width]))
        }
        _ => Err(call.lacking("along other axes than height and width")),
    }
}

fn ratio(size: i64, extent: usize) -> Option<usize> {
    let size = usize::try_from(size).ok()?;
    (extent > 0 && size > 0 && size.is_multiple_of(extent)).then(|| size / extent)
}

fn scales(call: &Call) -> Result<[Option<usize>; 2], Refusal> {
    let listed = match call.floats("scales") {
        Some(scales) => scales.to_vec(),
        None => {
            let index = if call.node.op_type == "Upsample" || call.opset < 11 {
                1
            } else {
                2
            };
            match call.optional(index) {
                Some(_) if call.weights(index).is_ok() => call
                    .weights(index)?
                    .map(|tensor| tensor.data().to_vec())
                    .unwrap_or_default(),
                _ => return Err(call.lacking("by a computed factor")),
            }
        }
    };
    let whole = |scale: f32| {
        (scale.fract() == 0.0 && (1.0..=64.0).contains(&scale)).then_some(scale as usize)
    };
    match listed[..] {
        [1.0, 1.0, down, right] => Ok([whole(down), whole(right)]),
        _ => Err(call.lacking("along other axes than height and width")),
    }
}

/// Whether the node's way to find the nearest pixel is repetition, for a whole factor.
fn check_rounding(call: &Call, factor: usize) -> Result<(), Refusal> {
    if call.node.op_type == "Upsample" || call.opset < 11 || factor == 1 {
        return Ok(());
    }
    let coordinates = call.word("coordinate_transformation_mode", "half_pixel");
    let rounding = call.word("nearest_mode", "round_prefer_floor");
    let repeats = match (coordinates.as_str(), rounding.as_str()) {
        ("asymmetric", "floor") => true,
        ("asymmetric", "round_prefer_floor") => factor == 2,
        ("half_pixel" | "pytorch_half_pixel", "round_prefer_floor" | "round_prefer_ceil") => true,
        _ => false,
    };
    match repeats {
        true => Ok(()),
        false => Err(call.lacking(&format!("{coordinates} with {rounding}"))),
    }
}
