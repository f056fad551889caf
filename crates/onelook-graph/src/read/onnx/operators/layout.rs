//! Operators that move values about without changing them.

use super::super::call::{Call, Known, Refusal};
use super::super::importer::Importer;
use crate::op::{Reshape, Slice, Split, Transpose};

pub(super) fn reshape(importer: &mut Importer, call: &Call) -> Result<Vec<Known>, Refusal> {
    if let Some(Known::Bound(_, source)) = call.optional(1) {
        return importer.reshape_to(call, call.input(0)?, *source);
    }
    let extents = call
        .attribute_or_input("shape", 1)?
        .ok_or_else(|| call.broken("it has no shape"))?;
    if call.int("allowzero", 0) != 0 && extents.contains(&0) {
        return Err(call.lacking("to no elements"));
    }
    apply(importer, call, call.input(0)?, &extents)
}

/// A reshape whose target is known in full.
pub(super) fn reshape_to(
    importer: &mut Importer,
    call: &Call,
    input: &Known,
    extents: &[usize],
) -> Result<Vec<Known>, Refusal> {
    if extents.contains(&0) {
        return Err(call.lacking("to no elements"));
    }
    let extents: Vec<i64> = extents.iter().map(|&extent| extent as i64).collect();
    apply(importer, call, input, &extents)
}

fn apply(
    importer: &mut Importer,
    call: &Call,
    input: &Known,
    extents: &[i64],
) -> Result<Vec<Known>, Refusal> {
    let op = Reshape::new(extents).ok_or_else(|| call.lacking("to more than six axes"))?;
    importer.apply(call, op, &[input])
}

pub(super) fn flatten(importer: &mut Importer, call: &Call) -> Result<Vec<Known>, Refusal> {
    let input = call.input(0)?;
    let shape = input.shape();
    let axis = match call.int("axis", 1) {
        axis if axis == shape.len() as i64 => shape.len(),
        axis => call.axis(axis, shape.len())?,
    };
    let product = |extents: &[usize]| extents.iter().product();
    reshape_to(
        importer,
        call,
        input,
        &[product(&shape[..axis]), product(&shape[axis..])],
    )
}

pub(super) fn squeeze(importer: &mut Importer, call: &Call) -> Result<Vec<Known>, Refusal> {
    let input = call.input(0)?;
    let shape = input.shape();
    let axes: Vec<usize> = match call.attribute_or_input("axes", 1)? {
        None => (0..shape.len()).filter(|&axis| shape[axis] == 1).collect(),
        Some(axes) => axes
            .into_iter()
            .map(|axis| call.axis(axis, shape.len()))
            .collect::<Result<_, _>>()?,
    };
    if axes.iter().any(|&axis| shape[axis] != 1) {
        return Err(call.broken("an axis to remove has more than one element"));
    }
    let kept: Vec<usize> = (0..shape.len())
        .filter(|axis| !axes.contains(axis))
        .map(|axis| shape[axis])
        .collect();
    reshape_to(importer, call, input, &kept)
}

pub(super) fn unsqueeze(importer: &mut Importer, call: &Call) -> Result<Vec<Known>, Refusal> {
    let input = call.input(0)?;
    let shape = input.shape();
    let axes = call.attribute_or_input("axes", 1)?.unwrap_or_default();
    let rank = shape.len().saturating_add(axes.len());
    let axes: Vec<usize> = axes
        .into_iter()
        .map(|axis| call.axis(axis, rank))
        .collect::<Result<_, _>>()?;
    let mut rest = shape.iter();
    let extents: Vec<usize> = (0..rank)
        .filter_map(|axis| match axes.contains(&axis) {
            true => Some(1),
            false => rest.next().copied(),
        })
        .collect();
    if extents.len() != rank || rest.next().is_some() {
        return Err(call.broken("an axis is named twice"));
    }
    reshape_to(importer, call, input, &extents)
}

pub(super) fn transpose(importer: &mut Importer, call: &Call) -> Result<Vec<Known>, Refusal> {
    let input = call.input(0)?;
    let rank = input.shape().len();
    let order: Vec<usize> = match call.ints("perm") {
        None => (0..rank).rev().collect(),
        Some(axes) => axes
            .iter()
            .map(|&axis| call.axis(axis, rank))
            .collect::<Result<_, _>>()?,
    };
    importer.apply(call, Transpose { order }, &[input])
}

pub(super) fn split(importer: &mut Importer, call: &Call) -> Result<Vec<Known>, Refusal> {
    let input = call.input(0)?;
    let shape = input.shape();
    let axis = call.axis(call.int("axis", 0), shape.len())?;
    let sizes: Vec<usize> = match call.attribute_or_input("split", 1)? {
        Some(sizes) => sizes
            .into_iter()
            .map(|size| usize::try_from(size).map_err(|_| call.broken("a piece is negative")))
            .collect::<Result<_, _>>()?,
        None => equal_pieces(shape[axis], call.node.output.len()),
    };
    importer.apply(call, Split { axis, sizes }, &[input])
}

/// Pieces of the same size, the last one smaller when they do not fit evenly.
fn equal_pieces(extent: usize, pieces: usize) -> Vec<usize> {
    let size = extent.div_ceil(pieces.max(1));
    (0..pieces)
        .map(|index| extent.saturating_sub(index * size).min(size))
        .collect()
}

pub(super) fn slice(importer: &mut Importer, call: &Call) -> Result<Vec<Known>, Refusal> {
    let part = |name: &str, index: usize| call.attribute_or_input(name, index);
    let missing = || call.broken("it has no range");
    let starts = part("starts", 1)?.ok_or_else(missing)?;
    let ends = part("ends", 2)?.ok_or_else(missing)?;
    let axes = part("axes", 3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = part("steps", 4)?.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
        return Err(call.broken("its ranges have different lengths"));
    }
    if steps.iter().any(|&step| step != 1) {
        return Err(call.lacking(&format!("with steps {steps:?}")));
    }
    let mut kept = call.input(0)?.clone();
    for (index, &axis) in axes.iter().enumerate() {
        let shape = kept.shape();
        let axis = call.axis(axis, shape.len())?;
        let place = |position: i64| {
            let extent = shape[axis] as i64;
            let from_start = if position < 0 {
                position.saturating_add(extent)
            } else {
                position
            };
            from_start.clamp(0, extent) as usize
        };
        let (start, end) = (place(starts[index]), place(ends[index]));
        let end = end.max(start);
        kept = importer
            .apply(call, Slice { axis, start, end }, &[&kept])?
            .remove(0);
    }
    Ok(vec![kept])
}
