//! Operators on maps: convolution, normalisation, pooling, enlargement.

use super::super::call::{Call, Known, Refusal};
use super::super::constant::Constant;
use super::super::importer::Importer;
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
    let conv = Conv {
        stride: strides(call)?,
        padding: padding(call)?,
        dilation: call.extents("dilations", 1)?,
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
    for (attribute, usual) in [("ceil_mode", 0), ("storage_order", 0)] {
        if call.int(attribute, usual) != usual {
            return Err(call.lacking(attribute));
        }
    }
    if call.extents("dilations", 1)? != [1, 1] {
        return Err(call.lacking("with dilation"));
    }
    if call.node.output.len() > 1 {
        return Err(call.lacking("with indices"));
    }
    let pool = MaxPool {
        kernel: call.extents("kernel_shape", 1)?,
        stride: strides(call)?,
        padding: padding(call)?,
    };
    importer.apply(call, pool, &[call.input(0)?])
}

fn strides(call: &Call) -> Result<[usize; 2], Refusal> {
    match call.extents("strides", 1)? {
        [0, _] | [_, 0] => Err(call.broken("its stride is 0")),
        strides => Ok(strides),
    }
}

fn padding(call: &Call) -> Result<[usize; 4], Refusal> {
    match call.word("auto_pad", "NOTSET").as_str() {
        "NOTSET" | "" => call.extents("pads", 0),
        "VALID" => Ok([0; 4]),
        other => Err(call.lacking(&format!("auto_pad {other}"))),
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
    let Some(sizes) = call.integers(3)? else {
        return Ok(None);
    };
    let shape = call.input(0)?.shape();
    match sizes.values[..] {
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
                Some(Known::Constant(Constant::Floats(tensor))) => tensor.data().to_vec(),
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
