//! Convolutions: the bare one of PyTorch, and the block of convolution, normalisation and
//! activation that the networks are made of.

use std::sync::Arc;

use onelook_types::Tensor;

use super::super::builder::Builder;
use super::super::module::Module;
use super::{batch_norm, single};
use crate::ValueId;
use crate::op::{Conv, DepthToSpace};
use crate::read::ReadError;

pub(super) fn conv_block(
    builder: &mut Builder<'_>,
    module: &Module<'_>,
    inputs: &[ValueId],
) -> Result<ValueId, ReadError> {
    let input = single(module, inputs)?;
    conv_block_reordered(builder, module, input, None)
}

/// The block with output channel `order[i]` at position i. A block that was fused before it was
/// saved has no normalisation.
pub(super) fn conv_block_reordered(
    builder: &mut Builder<'_>,
    module: &Module<'_>,
    input: ValueId,
    order: Option<&[usize]>,
) -> Result<ValueId, ReadError> {
    let inner = module.child("conv")?;
    let conv = read(builder, &inner)?;
    let outputs = conv.outputs();
    if order.is_some_and(|order| order.len() != outputs) {
        return Err(inner.wrong("weight"));
    }
    let conv = order.map_or_else(|| conv.clone(), |order| reordered(&conv, order));
    let mut value = builder.graph.add(&module.path, conv, &[input]);
    if let Some(norm) = module.optional_child("bn")? {
        let recorded = batch_norm::read(builder, &norm)?;
        if recorded.mean.data().len() != outputs {
            return Err(norm.wrong("running_mean"));
        }
        let recorded = match order {
            Some(order) => batch_norm::reordered(&recorded, order),
            None => recorded,
        };
        value = builder.graph.add(&norm.path, recorded, &[value]);
    }
    match module.optional_child("act")? {
        Some(activation) => builder.module(&activation, &[value]),
        None => Ok(value),
    }
}

pub(super) fn conv2d(
    builder: &mut Builder<'_>,
    module: &Module<'_>,
    inputs: &[ValueId],
) -> Result<ValueId, ReadError> {
    let input = single(module, inputs)?;
    let conv = read(builder, module)?;
    Ok(builder.graph.add(&module.path, conv, &[input]))
}

/// A transposed convolution whose windows neither overlap nor leave gaps: a convolution that computes
/// all pixels of a window as channels of one, and these channels as pixels.
pub(super) fn conv_transpose2d(
    builder: &mut Builder<'_>,
    module: &Module<'_>,
    inputs: &[ValueId],
) -> Result<ValueId, ReadError> {
    let input = single(module, inputs)?;
    let Some(weight) = builder.tensor(module, "weight")? else {
        return Err(module.wrong("weight"));
    };
    let &[channels, outputs, side, _] = &weight.shape()[..] else {
        return Err(module.wrong("weight"));
    };
    if weight.data().is_empty() || weight.shape()[3] != side {
        return Err(module.wrong("weight"));
    }
    let plain = [
        module.pair("stride", 1)? == [side; 2],
        module.pair("padding", 0)? == [0; 2],
        module.pair("output_padding", 0)? == [0; 2],
        module.pair("dilation", 1)? == [1; 2],
        module.count("groups")?.unwrap_or(1) == 1,
    ];
    if plain.contains(&false) {
        return Err(module.unsupported("has windows that overlap or leave gaps"));
    }
    let bias = match module.tensor("bias") {
        Some(_) => {
            let bias = builder.shaped_tensor(module, "bias", &[outputs])?;
            let repeated = |position| bias.data()[position % outputs];
            Some(Arc::new(Tensor::from_fn([side * side * outputs], repeated)))
        }
        None => None,
    };
    let deep = Tensor::from_fn([side * side * outputs, channels, 1, 1], |position| {
        let (row, channel) = (position / channels, position % channels);
        let (pixel, output) = (row / outputs, row % outputs);
        weight.data()[(channel * outputs + output) * side * side + pixel]
    });
    let conv = Conv::new(Arc::new(deep), bias);
    let deep = builder.graph.add(&module.path, conv, &[input]);
    let name = format!("{}.pixels", module.path);
    let pixels = DepthToSpace { block: side };
    Ok(builder.graph.add(&name, pixels, &[deep]))
}

fn read(builder: &mut Builder<'_>, module: &Module<'_>) -> Result<Conv, ReadError> {
    if module.class != "Conv2d" {
        return Err(module.unsupported("stands where a Conv2d belongs"));
    }
    let Some(weight) = builder.tensor(module, "weight")? else {
        return Err(module.wrong("weight"));
    };
    let groups = module.count("groups")?.unwrap_or(1);
    let sound = match weight.shape()[..] {
        [outputs, channels, height, width] => {
            groups > 0 && outputs % groups == 0 && outputs * channels * height * width > 0
        }
        _ => false,
    };
    if !sound {
        return Err(module.wrong("weight"));
    }
    let outputs = weight.shape()[0];
    let bias = match module.tensor("bias") {
        Some(_) => Some(builder.shaped_tensor(module, "bias", &[outputs])?),
        None => None,
    };
    let kernel = [weight.shape()[2], weight.shape()[3]];
    let stride = module.pair("stride", 1)?;
    let dilation = module.pair("dilation", 1)?;
    if stride.contains(&0) || dilation.contains(&0) {
        return Err(module.wrong("stride"));
    }
    Ok(Conv {
        stride,
        padding: padding(module, kernel, dilation)?,
        dilation,
        groups,
        ..Conv::new(Arc::new(weight), bias)
    })
}

/// Above, left, below, right.
fn padding(
    module: &Module<'_>,
    kernel: [usize; 2],
    dilation: [usize; 2],
) -> Result<[usize; 4], ReadError> {
    let mode = module.text("padding_mode").unwrap_or("zeros");
    if mode != "zeros" {
        return Err(module.unsupported(format!("pads with '{mode}'; only zeros are supported")));
    }
    match module.text("padding") {
        Some("valid") => Ok([0; 4]),
        Some("same") => {
            let [down, right] = [0, 1].map(|axis| dilation[axis] * (kernel[axis] - 1));
            Ok([down / 2, right / 2, down - down / 2, right - right / 2])
        }
        Some(_) => Err(module.wrong("padding")),
        None => {
            let [down, right] = module.pair("padding", 0)?;
            Ok([down, right, down, right])
        }
    }
}

fn reordered(conv: &Conv, order: &[usize]) -> Conv {
    let per_output = conv.weight.data().len() / conv.outputs();
    let weight = Tensor::from_fn(conv.weight.shape().clone(), |position| {
        conv.weight.data()[order[position / per_output] * per_output + position % per_output]
    });
    let bias = conv.bias.as_ref().map(|bias| {
        Arc::new(Tensor::from_fn([order.len()], |position| {
            bias.data()[order[position]]
        }))
    });
    Conv {
        weight: Arc::new(weight),
        bias,
        ..conv.clone()
    }
}
