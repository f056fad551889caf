//! Quantised networks, run in plain floating point: weights are taken back to what they stand for,
//! and an activation that the file quantises goes on as it was.
//!
//! Rounding to steps is left out. Saturation is kept where the steps start at 0, for exporters drop
//! a ReLU before such a step; that values above the calibrated range are cut is not repeated.

use std::sync::Arc;

use onelook_types::{Shape, Tensor};

use super::super::call::{Call, Known, Quantisation, Refusal};
use super::super::importer::Importer;
use super::{Handler, activation, binary, concat, mat_mul, softmax, window};
use crate::op::program::{Data, IntegerKind};
use crate::op::{Activation, Binary};

/// Operators outside the standard's own domain: those of ONNX Runtime's quantiser.
pub(super) fn contributed(domain: &str, op_type: &str) -> Option<Handler> {
    if domain != "com.microsoft" {
        return None;
    }
    Some(match op_type {
        "DequantizeLinear" => dequantise,
        "QLinearAdd" => |importer, call| linear(importer, call, |i, c| binary(i, c, Binary::Add)),
        "QLinearMul" => |importer, call| linear(importer, call, |i, c| binary(i, c, Binary::Mul)),
        "QLinearConcat" => linear_concat,
        "QLinearSigmoid" => |importer, call| {
            linear_of_one(importer, call, |i, c| activation(i, c, Activation::Sigmoid))
        },
        "QLinearSoftmax" => |importer, call| {
            let opset = call.int("opset", call.opset);
            linear_of_one(importer, call, |i, c| {
                softmax(
                    i,
                    &Call {
                        inputs: c.inputs.clone(),
                        opset,
                        ..*c
                    },
                )
            })
        },
        "QuantizeLinear" => quantise,
        _ => return None,
    })
}

/// What moves values about means the same for quantised ones.
pub(super) fn moves(op_type: &str) -> bool {
    matches!(
        op_type,
        "Concat"
            | "Flatten"
            | "Identity"
            | "MaxPool"
            | "Reshape"
            | "Resize"
            | "Slice"
            | "Split"
            | "Squeeze"
            | "Transpose"
            | "Unsqueeze"
    )
}

/// Runs an operator that moves values on what quantised inputs stand for.
pub(super) fn moved(
    importer: &mut Importer,
    call: &Call,
    handler: Handler,
) -> Result<Vec<Known>, Refusal> {
    let mut common = None;
    let mut inputs = call.inputs.clone();
    for input in inputs.iter_mut().flatten() {
        if let Known::Quantised(value, shape, steps) = input {
            if *common.get_or_insert(*steps) != *steps {
                return Err(call.lacking("of values with different scales"));
            }
            *input = Known::Value(*value, shape.clone());
        }
    }
    let Some(steps) = common else {
        return handler(importer, call);
    };
    let outputs = handler(importer, &Call { inputs, ..*call })?;
    let wrap = |known| match known {
        Known::Value(value, shape) => Known::Quantised(value, shape, steps),
        other => other,
    };
    Ok(outputs.into_iter().map(wrap).collect())
}

/// The one scale and zero point at two inputs, and the kind of integers that they are for.
fn steps(call: &Call, scale: usize, zero: usize) -> Result<(Quantisation, IntegerKind), Refusal> {
    let factor = call.weights(scale)?;
    let Some(&[factor]) = factor.as_ref().map(|factor| factor.data()) else {
        return Err(call.lacking("with other than one scale for all"));
    };
    let (zero, kind) = match call.optional(zero).map(Known::data) {
        None => (0, IntegerKind::U8),
        Some(Some(Data::Integers(zero))) if zero.values.len() == 1 => (zero.values[0], zero.kind),
        Some(_) => return Err(call.lacking("with other than one zero point for all")),
    };
    let quantisation = Quantisation {
        scale: factor,
        zero,
    };
    Ok((quantisation, kind))
}

/// A value in its quantised form.
fn quantised(
    importer: &mut Importer,
    call: &Call,
    input: &Known,
    (steps, kind): (Quantisation, IntegerKind),
) -> Result<Vec<Known>, Refusal> {
    let Known::Value(value, shape) = input else {
        return Err(call.lacking("of what is quantised already"));
    };
    let cuts_below_zero = steps.zero == kind.range().0 && !importer.nonnegative.contains(value);
    if !cuts_below_zero {
        return Ok(vec![Known::Quantised(*value, shape.clone(), steps)]);
    }
    let cut = importer.apply(call, Activation::Relu, &[input])?.remove(0);
    match cut {
        Known::Value(value, shape) => Ok(vec![Known::Quantised(value, shape, steps)]),
        other => Ok(vec![other]),
    }
}

pub(super) fn quantise(importer: &mut Importer, call: &Call) -> Result<Vec<Known>, Refusal> {
    let steps = steps(call, 1, 2)?;
    quantised(importer, call, call.input(0)?, steps)
}

pub(super) fn dequantise(_: &mut Importer, call: &Call) -> Result<Vec<Known>, Refusal> {
    Ok(vec![restored(call, 0, 1, 2)?])
}

/// What the quantised input at `index` stands for, given the places of its scale and zero point.
fn restored(call: &Call, index: usize, scale: usize, zero: usize) -> Result<Known, Refusal> {
    let (stated, _) = steps(call, scale, zero)?;
    match call.input(index)? {
        Known::Quantised(value, shape, steps) if *steps == stated => {
            Ok(Known::Value(*value, shape.clone()))
        }
        Known::Quantised(..) => Err(call.lacking("with another scale than was quantised with")),
        known => match known.data() {
            Some(Data::Integers(integers)) => {
                let value = |&value: &i64| (value - stated.zero) as f32 * stated.scale;
                let values = integers.values.iter().map(value).collect();
                Ok(Known::Constant(Data::floats(
                    integers.shape.clone(),
                    values,
                )))
            }
            _ => Err(call.lacking("of what was not quantised")),
        },
    }
}

/// With steps as fine as can be: the value itself, a scale of 1 and a zero point of 0. The file
/// multiplies by the scale later on, whatever it is.
pub(super) fn quantise_dynamically(_: &mut Importer, call: &Call) -> Result<Vec<Known>, Refusal> {
    let Known::Value(value, shape) = call.input(0)? else {
        return Err(call.lacking("of a constant"));
    };
    let steps = Quantisation {
        scale: 1.0,
        zero: 0,
    };
    Ok(vec![
        Known::Quantised(*value, shape.clone(), steps),
        Known::Constant(Data::floats(Vec::new(), vec![1.0])),
        Known::Constant(Data::integers(Vec::new(), vec![0], IntegerKind::U8)),
    ])
}

/// The quantised input at `index` of an integer product, which subtracts the zero point alone.
fn unscaled(call: &Call, index: usize, zero: usize) -> Result<Known, Refusal> {
    let stated = match call.optional(zero).map(Known::data) {
        None => 0,
        Some(Some(Data::Integers(zero))) if zero.values.len() == 1 => zero.values[0],
        Some(_) => return Err(call.lacking("with other than one zero point for all")),
    };
    match call.input(index)? {
        Known::Quantised(value, shape, steps) if steps.scale == 1.0 && steps.zero == stated => {
            Ok(Known::Value(*value, shape.clone()))
        }
        _ => Err(call.lacking("of what DynamicQuantizeLinear did not make")),
    }
}

/// Integer weights `[outputs, …]` less their zero point, times a factor for each output or for all.
fn weights(call: &Call, index: usize, scale: &[f32], zero: usize) -> Result<Data, Refusal> {
    let wrong = || call.broken("scale, zero point and weights do not fit each other");
    let Some(Data::Integers(integers)) = call.input(index)?.data() else {
        return Err(call.lacking("with weights that are no constant"));
    };
    let zeros = match call.optional(zero).map(Known::data) {
        None => vec![0],
        Some(Some(Data::Integers(zeros))) => zeros.values.clone(),
        Some(_) => return Err(wrong()),
    };
    let outputs = integers.shape.first().copied().unwrap_or(1);
    let fits = |count: usize| count == 1 || count == outputs;
    if !fits(zeros.len()) || !fits(scale.len()) {
        return Err(wrong());
    }
    let per_output = (integers.values.len() / outputs.max(1)).max(1);
    let value = |(position, &value): (usize, &i64)| {
        let output = position / per_output;
        (value - zeros[output % zeros.len()]) as f32 * scale[output % scale.len()]
    };
    let values = integers.values.iter().enumerate().map(value).collect();
    Ok(Data::floats(integers.shape.clone(), values))
}

pub(super) fn conv_integer(importer: &mut Importer, call: &Call) -> Result<Vec<Known>, Refusal> {
    let inputs = vec![
        Some(unscaled(call, 0, 2)?),
        Some(Known::Constant(weights(call, 1, &[1.0], 3)?)),
    ];
    window::conv(importer, &Call { inputs, ..*call })
}

pub(super) fn mat_mul_integer(importer: &mut Importer, call: &Call) -> Result<Vec<Known>, Refusal> {
    let inputs = vec![Some(unscaled(call, 0, 2)?), Some(unscaled(call, 1, 3)?)];
    mat_mul(importer, &Call { inputs, ..*call })
}

/// x, scale, zero, w, scale, zero, y's scale and zero, bias.
pub(super) fn linear_conv(importer: &mut Importer, call: &Call) -> Result<Vec<Known>, Refusal> {
    let (image, _) = steps(call, 1, 2)?;
    let scale = call
        .weights(4)?
        .ok_or_else(|| call.broken("it has no scale"))?;
    let weight = weights(call, 3, scale.data(), 5)?;
    let bias = match call.optional(8).map(Known::data) {
        None => None,
        Some(Some(Data::Integers(bias))) => {
            let factor = |output: usize| scale.data()[output % scale.data().len().max(1)];
            let value = |(output, &value): (usize, &i64)| {
                (value as f64 * f64::from(image.scale) * f64::from(factor(output))) as f32
            };
            let values: Vec<f32> = bias.values.iter().enumerate().map(value).collect();
            let tensor = Tensor::new(Shape::from([values.len()]), values);
            tensor
                .ok()
                .map(|tensor| Known::Constant(Data::Floats(Arc::new(tensor))))
        }
        Some(_) => return Err(call.lacking("with a bias that is no constant")),
    };
    let inputs = vec![
        Some(restored(call, 0, 1, 2)?),
        Some(Known::Constant(weight)),
        bias,
    ];
    let result = window::conv(importer, &Call { inputs, ..*call })?.remove(0);
    quantised(importer, call, &result, steps(call, 6, 7)?)
}

pub(super) fn linear_mat_mul(importer: &mut Importer, call: &Call) -> Result<Vec<Known>, Refusal> {
    linear(importer, call, mat_mul)
}

/// Two operands with scale and zero point each, then those of the result.
fn linear(importer: &mut Importer, call: &Call, handler: Handler) -> Result<Vec<Known>, Refusal> {
    let inputs = vec![
        Some(restored(call, 0, 1, 2)?),
        Some(restored(call, 3, 4, 5)?),
    ];
    let result = handler(importer, &Call { inputs, ..*call })?.remove(0);
    quantised(importer, call, &result, steps(call, 6, 7)?)
}

/// One operand with scale and zero point, then those of the result.
fn linear_of_one(
    importer: &mut Importer,
    call: &Call,
    handler: impl Fn(&mut Importer, &Call) -> Result<Vec<Known>, Refusal>,
) -> Result<Vec<Known>, Refusal> {
    let inputs = vec![Some(restored(call, 0, 1, 2)?)];
    let result = handler(importer, &Call { inputs, ..*call })?.remove(0);
    quantised(importer, call, &result, steps(call, 3, 4)?)
}

/// The result's scale and zero point come first, then three inputs for each operand.
fn linear_concat(importer: &mut Importer, call: &Call) -> Result<Vec<Known>, Refusal> {
    let count = call.inputs.len().saturating_sub(2) / 3;
    let operand = |index: usize| restored(call, 2 + 3 * index, 3 + 3 * index, 4 + 3 * index);
    let inputs: Result<Vec<Option<Known>>, Refusal> =
        (0..count).map(|index| operand(index).map(Some)).collect();
    let inputs = inputs?;
    let result = concat(importer, &Call { inputs, ..*call })?.remove(0);
    quantised(importer, call, &result, steps(call, 0, 1)?)
}
