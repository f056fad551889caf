//! ONNX operators: each becomes one of ours, or a few, or is refused with what about it we lack.

mod layout;
mod quantised;
mod window;

use super::call::{Call, Known, Refusal};
use super::importer::Importer;
use crate::op::program::is_float;
use crate::op::{Activation, Binary, Concat, MatMul, Reduce, Reduction, Softmax};

/// Whether the operator can be a node of the graph, whatever its attributes are.
pub(super) fn supports(call: &Call) -> bool {
    find(call).is_some()
}

fn find(call: &Call) -> Option<Handler> {
    match call.is_standard() {
        true => handler(&call.node.op_type),
        false => quantised::contributed(&call.node.domain, &call.node.op_type),
    }
}

/// What the node's outputs stand for.
pub(super) fn import(importer: &mut Importer, call: &Call) -> Result<Vec<Known>, Refusal> {
    let supported = find(call).ok_or_else(|| Refusal::Missing(full_name(call)))?;
    match quantised::moves(&call.node.op_type) {
        true => quantised::moved(importer, call, supported),
        false => supported(importer, call),
    }
}

type Handler = fn(&mut Importer, &Call) -> Result<Vec<Known>, Refusal>;

fn handler(op_type: &str) -> Option<Handler> {
    Some(match op_type {
        "Add" => |importer, call| binary(importer, call, Binary::Add),
        "AveragePool" => window::average_pool,
        "BatchNormalization" => window::batch_norm,
        "Cast" | "Dropout" | "Identity" => same,
        "Clip" => clip,
        "Concat" => concat,
        "Conv" => window::conv,
        "ConvInteger" => quantised::conv_integer,
        "DequantizeLinear" => quantised::dequantise,
        "Div" => |importer, call| binary(importer, call, Binary::Div),
        "DynamicQuantizeLinear" => quantised::quantise_dynamically,
        "Exp" => |importer, call| activation(importer, call, Activation::Exp),
        "Flatten" => layout::flatten,
        "GlobalAveragePool" => global_average,
        "MatMul" => mat_mul,
        "MatMulInteger" => quantised::mat_mul_integer,
        "MaxPool" => window::max_pool,
        "Mul" => |importer, call| binary(importer, call, Binary::Mul),
        "QLinearConv" => quantised::linear_conv,
        "QLinearMatMul" => quantised::linear_mat_mul,
        "QuantizeLinear" => quantised::quantise,
        "ReduceMax" => |importer, call| reduce(importer, call, Reduction::Max),
        "ReduceMean" => |importer, call| reduce(importer, call, Reduction::Mean),
        "ReduceSum" => |importer, call| reduce(importer, call, Reduction::Sum),
        "Relu" => |importer, call| activation(importer, call, Activation::Relu),
        "Reshape" => layout::reshape,
        "Resize" | "Upsample" => window::resize,
        "Sigmoid" => |importer, call| activation(importer, call, Activation::Sigmoid),
        "Slice" => layout::slice,
        "Softmax" => softmax,
        "Split" => layout::split,
        "Squeeze" => layout::squeeze,
        "Sub" => |importer, call| binary(importer, call, Binary::Sub),
        "Transpose" => layout::transpose,
        "Unsqueeze" => layout::unsqueeze,
        _ => return None,
    })
}

pub(super) fn full_name(call: &Call) -> String {
    match call.node.domain.as_str() {
        "" | "ai.onnx" => call.node.op_type.clone(),
        domain => format!("{domain}.{}", call.node.op_type),
    }
}

fn binary(importer: &mut Importer, call: &Call, op: Binary) -> Result<Vec<Known>, Refusal> {
    importer.apply(call, op, &[call.input(0)?, call.input(1)?])
}

fn activation(importer: &mut Importer, call: &Call, op: Activation) -> Result<Vec<Known>, Refusal> {
    importer.apply(call, op, &[call.input(0)?])
}

/// Number formats are all f32 to us, and dropping out is for training.
fn same(_: &mut Importer, call: &Call) -> Result<Vec<Known>, Refusal> {
    let is_cast = call.node.op_type == "Cast";
    match call.input(0)? {
        Known::Value(..) if is_cast && !is_float(call.int("to", 1)) => {
            Err(call.lacking("to integers"))
        }
        input => Ok(vec![input.clone()]),
    }
}

/// Only the clipping that ReLU is.
fn clip(importer: &mut Importer, call: &Call) -> Result<Vec<Known>, Refusal> {
    let bound = |name: &str, index: usize, default: f32| -> Result<f32, Refusal> {
        let tensor = call.weights(index)?;
        let value = tensor.and_then(|tensor| tensor.data().first().copied());
        Ok(value.unwrap_or_else(|| call.float(name, default)))
    };
    let (low, high) = (bound("min", 1, f32::MIN)?, bound("max", 2, f32::MAX)?);
    if low != 0.0 || high < f32::MAX {
        return Err(call.lacking(&format!("to {low}..{high}")));
    }
    activation(importer, call, Activation::Relu)
}

fn concat(importer: &mut Importer, call: &Call) -> Result<Vec<Known>, Refusal> {
    let rank = call.input(0)?.shape().len();
    let axis = call.axis(call.int("axis", 1), rank)?;
    let inputs: Result<Vec<&Known>, Refusal> = (0..call.inputs.len())
        .map(|index| call.input(index))
        .collect();
    importer.apply(call, Concat { axis }, &inputs?)
}

fn mat_mul(importer: &mut Importer, call: &Call) -> Result<Vec<Known>, Refusal> {
    let (a, b) = (call.input(0)?, call.input(1)?);
    let (left, right) = (a.shape(), b.shape());
    let outer = left.len().saturating_sub(2);
    if left.len() < 2 || left.len() != right.len() || left[..outer] != right[..outer] {
        return Err(call.lacking(&format!("of {left} by {right}")));
    }
    importer.apply(call, MatMul, &[a, b])
}

fn softmax(importer: &mut Importer, call: &Call) -> Result<Vec<Known>, Refusal> {
    let input = call.input(0)?;
    let shape = input.shape();
    let default = if call.opset < 13 { 1 } else { -1 };
    let axis = call.axis(call.int("axis", default), shape.len())?;
    // Before operator set 13 all axes from `axis` on were one.
    if call.opset < 13 && shape[axis + 1..].iter().any(|&extent| extent != 1) {
        return Err(call.lacking("over several axes"));
    }
    importer.apply(call, Softmax { axis }, &[input])
}

fn reduce(
    importer: &mut Importer,
    call: &Call,
    reduction: Reduction,
) -> Result<Vec<Known>, Refusal> {
    let rank = call.input(0)?.shape().len();
    let axes = call.attribute_or_input("axes", 1)?.unwrap_or_default();
    let axes: Result<Vec<usize>, Refusal> =
        axes.into_iter().map(|axis| call.axis(axis, rank)).collect();
    let mut axes = axes?;
    axes.sort_unstable();
    axes.dedup();
    if axes.is_empty() {
        if call.int("noop_with_empty_axes", 0) != 0 {
            return Ok(vec![call.input(0)?.clone()]);
        }
        axes = (0..rank).collect();
    }
    reduce_axes(
        importer,
        call,
        reduction,
        &axes,
        call.int("keepdims", 1) != 0,
    )
}

fn global_average(importer: &mut Importer, call: &Call) -> Result<Vec<Known>, Refusal> {
    let axes: Vec<usize> = (2..call.input(0)?.shape().len()).collect();
    reduce_axes(importer, call, Reduction::Mean, &axes, true)
}

fn reduce_axes(
    importer: &mut Importer,
    call: &Call,
    reduction: Reduction,
    axes: &[usize],
    keep: bool,
) -> Result<Vec<Known>, Refusal> {
    let mut reduced = call.input(0)?.clone();
    for &axis in axes {
        reduced = importer
            .apply(call, Reduce { reduction, axis }, &[&reduced])?
            .remove(0);
    }
    if keep {
        return Ok(vec![reduced]);
    }
    let shape = reduced.shape();
    let kept: Vec<usize> = (0..shape.len())
        .filter(|axis| !axes.contains(axis))
        .map(|axis| shape[axis])
        .collect();
    layout::reshape_to(importer, call, &reduced, &kept)
}
