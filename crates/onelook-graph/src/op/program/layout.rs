//! Instructions that move elements about without changing them, and those that make shapes.
//!
//! Each finds the position in its input of every element of its result and picks those, so that one
//! piece of code serves all types.

use onelook_types::Shape;

use super::MAX_AXES;
use super::data::{Data, IntegerKind};
use super::indexing::{signed, spread, strided};
use super::instruction::{Attribute, Budget, Call, Failure};

pub(super) fn identity(call: &Call, _: &mut Budget) -> Result<Vec<Data>, Failure> {
    Ok(vec![call.input(0)?.clone()])
}

pub(super) fn constant(call: &Call, _: &mut Budget) -> Result<Vec<Data>, Failure> {
    let attribute = call.instruction.attributes.iter().next();
    let data = match attribute.map(|(name, value)| (name.as_str(), value)) {
        Some(("value", Attribute::Data(data))) => data.clone(),
        Some(("value_float", Attribute::Float(value))) => Data::floats(Vec::new(), vec![*value]),
        Some(("value_floats", Attribute::Floats(values))) => {
            Data::floats(vec![values.len()], values.clone())
        }
        Some(("value_int", Attribute::Int(value))) => {
            Data::integers(Vec::new(), vec![*value], IntegerKind::I64)
        }
        Some(("value_ints", Attribute::Ints(values))) => Data::list(values.clone()),
        _ => return Err(call.lacking("neither tensor nor numbers")),
    };
    Ok(vec![data])
}

/// Shape and Size.
pub(super) fn shape(call: &Call, _: &mut Budget) -> Result<Vec<Data>, Failure> {
    Ok(vec![shape_of(call, call.input(0)?.shape())])
}

/// What Shape or Size says of a tensor of this shape.
pub(super) fn shape_of(call: &Call, shape: &Shape) -> Data {
    if call.instruction.operator == "Size" {
        let count = shape.checked_elements().unwrap_or(usize::MAX) as i64;
        return Data::integers(Vec::new(), vec![count], IntegerKind::I64);
    }
    let extents: Vec<i64> = shape.iter().map(|&extent| extent as i64).collect();
    let rank = extents.len() as i64;
    let place = |at: i64| if at < 0 { at.saturating_add(rank) } else { at }.clamp(0, rank) as usize;
    let (start, end) = (place(call.int("start", 0)), place(call.int("end", rank)));
    Data::list(extents[start..end.max(start)].to_vec())
}

pub(super) fn reshape(call: &Call, budget: &mut Budget) -> Result<Vec<Data>, Failure> {
    let input = call.input(0)?;
    let wanted = call
        .listed("shape", 1)?
        .ok_or_else(|| call.broken("it has no shape"))?;
    let zero_is_zero = call.int("allowzero", 0) != 0;
    let shape = reshaped(input.shape(), &wanted, zero_is_zero)
        .ok_or_else(|| call.broken(format!("{} cannot become {wanted:?}", input.shape())))?;
    budget.charge_shape(&shape)?;
    Ok(vec![input.reshaped(shape)])
}

/// The shape that a reshape to `wanted` gives: 0 keeps an extent, one -1 takes what remains.
pub(super) fn reshaped(input: &Shape, wanted: &[i64], zero_is_zero: bool) -> Option<Shape> {
    if wanted.len() > MAX_AXES {
        return None;
    }
    let mut open = None;
    let mut extents = Vec::with_capacity(wanted.len());
    for (index, &extent) in wanted.iter().enumerate() {
        extents.push(match extent {
            0 if !zero_is_zero => *input.get(index)?,
            -1 if open.is_none() => {
                open = Some(index);
                1
            }
            _ => usize::try_from(extent).ok()?,
        });
    }
    let known = Shape::from(extents.clone()).checked_elements()?;
    if let Some(index) = open {
        extents[index] = input.elements().checked_div(known)?;
    }
    let shape = Shape::from(extents);
    (shape.checked_elements() == Some(input.elements())).then_some(shape)
}

pub(super) fn squeeze(call: &Call, budget: &mut Budget) -> Result<Vec<Data>, Failure> {
    let input = call.input(0)?;
    let shape = input.shape();
    let axes = match call.listed("axes", 1)? {
        None => (0..shape.len()).filter(|&axis| shape[axis] == 1).collect(),
        Some(axes) => call.axes(&axes, shape.len())?,
    };
    if axes.iter().any(|&axis| shape[axis] != 1) {
        return Err(call.broken("an axis to remove has more than one element"));
    }
    let kept = (0..shape.len()).filter(|axis| !axes.contains(axis));
    let extents: Vec<usize> = kept.map(|axis| shape[axis]).collect();
    budget.charge(input.len())?;
    Ok(vec![input.reshaped(Shape::from(extents))])
}

pub(super) fn unsqueeze(call: &Call, budget: &mut Budget) -> Result<Vec<Data>, Failure> {
    let input = call.input(0)?;
    let named = call
        .listed("axes", 1)?
        .ok_or_else(|| call.broken("it names no axes"))?;
    let rank = input.shape().len() + named.len();
    if rank > MAX_AXES {
        return Err(call.broken(format!("its result has {rank} axes")));
    }
    let axes = call.axes(&named, rank)?;
    if axes.len() != named.len() {
        return Err(call.broken("an axis is named twice"));
    }
    let mut rest = input.shape().iter();
    let extents: Vec<usize> = (0..rank)
        .map(|axis| match axes.contains(&axis) {
            true => 1,
            false => rest.next().copied().unwrap_or(1),
        })
        .collect();
    budget.charge(input.len())?;
    Ok(vec![input.reshaped(Shape::from(extents))])
}

pub(super) fn flatten(call: &Call, budget: &mut Budget) -> Result<Vec<Data>, Failure> {
    let input = call.input(0)?;
    let shape = input.shape();
    let axis = match call.int("axis", 1) {
        axis if axis == shape.len() as i64 => shape.len(),
        axis => call.axis(axis, shape.len())?,
    };
    let product = |extents: &[usize]| extents.iter().product::<usize>();
    budget.charge(input.len())?;
    let extents = [product(&shape[..axis]), product(&shape[axis..])];
    Ok(vec![input.reshaped(Shape::from(extents))])
}

pub(super) fn transpose(call: &Call, budget: &mut Budget) -> Result<Vec<Data>, Failure> {
    let input = call.input(0)?;
    let shape = input.shape();
    let order = match call.ints("perm") {
        None => (0..shape.len()).rev().collect(),
        Some(axes) => axes
            .iter()
            .map(|&axis| call.axis(axis, shape.len()))
            .collect::<Result<Vec<_>, _>>()?,
    };
    let mut sorted = order.clone();
    sorted.sort_unstable();
    if !sorted.into_iter().eq(0..shape.len()) {
        return Err(call.broken("its order is no order of the axes"));
    }
    budget.charge(input.len())?;
    let strides = signed(shape.strides());
    let extents: Vec<usize> = order.iter().map(|&axis| shape[axis]).collect();
    let steps: Vec<isize> = order.iter().map(|&axis| strides[axis]).collect();
    let positions = strided(&extents, &steps, 0);
    Ok(vec![input.pick(extents, &positions)])
}

pub(super) fn concat(call: &Call, budget: &mut Budget) -> Result<Vec<Data>, Failure> {
    let first = call.input(0)?;
    let rank = first.shape().len();
    let axis = call.axis(call.int("axis", 1), rank)?;
    let mut extents = first.shape().to_vec();
    extents[axis] = 0;
    let mut parts = Vec::with_capacity(call.inputs.len());
    for index in 0..call.inputs.len() {
        let part = call.input(index)?;
        let own = part.shape();
        let fits = own.len() == rank
            && (0..rank).all(|other| other == axis || own[other] == extents[other]);
        if !fits {
            return Err(call.broken("all axes but the joined one must match"));
        }
        extents[axis] = extents[axis]
            .checked_add(own[axis])
            .ok_or(Failure::TooLarge)?;
        parts.push(part);
    }
    let shape = Shape::from(extents);
    let count = budget.charge_shape(&shape)?;
    let outer: usize = shape[..axis].iter().product();
    let inner: usize = shape[axis + 1..].iter().product();
    budget.charge(outer.saturating_mul(parts.len()))?;
    // The range of each part's elements that outer index `at` covers.
    let range = |part: &Data, at: usize| {
        let length = part.shape()[axis] * inner;
        at * length..(at + 1) * length
    };
    match first {
        Data::Floats(_) => {
            let mut values = Vec::with_capacity(count);
            for at in 0..outer {
                for part in &parts {
                    let Data::Floats(tensor) = part else {
                        return Err(call.broken("its inputs are of different types"));
                    };
                    values.extend_from_slice(&tensor.data()[range(part, at)]);
                }
            }
            Ok(vec![Data::floats(shape, values)])
        }
        Data::Integers(first) => {
            let mut values = Vec::with_capacity(count);
            for at in 0..outer {
                for part in &parts {
                    match part {
                        Data::Integers(integers) if integers.kind == first.kind => {
                            values.extend_from_slice(&integers.values[range(part, at)]);
                        }
                        _ => return Err(call.broken("its inputs are of different types")),
                    }
                }
            }
            Ok(vec![Data::integers(shape, values, first.kind)])
        }
    }
}

pub(super) fn split(call: &Call, budget: &mut Budget) -> Result<Vec<Data>, Failure> {
    let input = call.input(0)?;
    let shape = input.shape();
    let axis = call.axis(call.int("axis", 0), shape.len())?;
    let sizes = match call.listed("split", 1)? {
        Some(sizes) => call.extents(&sizes)?,
        None => {
            let size = shape[axis].div_ceil(call.outputs.max(1));
            let left = |index: usize| shape[axis].saturating_sub(index * size);
            (0..call.outputs)
                .map(|index| left(index).min(size))
                .collect()
        }
    };
    let total = sizes
        .iter()
        .try_fold(0usize, |sum, &size| sum.checked_add(size));
    if total != Some(shape[axis]) || sizes.len() != call.outputs {
        return Err(call.broken("its pieces do not fill the axis"));
    }
    budget.charge(input.len())?;
    let strides = signed(shape.strides());
    let mut start = 0;
    let piece = |size: usize| {
        let mut extents = shape.to_vec();
        extents[axis] = size;
        let positions = strided(&extents, &strides, start * strides[axis]);
        start += size as isize;
        input.pick(extents, &positions)
    };
    Ok(sizes.into_iter().map(piece).collect())
}

pub(super) fn expand(call: &Call, budget: &mut Budget) -> Result<Vec<Data>, Failure> {
    let input = call.input(0)?;
    let wanted = call.extents(call.integers(1)?)?;
    let rank = wanted.len().max(input.shape().len());
    let own = |extents: &[usize], axis: usize| match (axis + extents.len()).checked_sub(rank) {
        Some(inner) => extents[inner],
        None => 1,
    };
    let mut target = Vec::with_capacity(rank);
    for axis in 0..rank {
        target.push(match (own(input.shape(), axis), own(&wanted, axis)) {
            (extent, 1) => extent,
            (1, extent) => extent,
            (extent, same) if extent == same => extent,
            _ => return Err(call.broken("extents must match or be 1")),
        });
    }
    let target = Shape::from(target);
    budget.charge_shape(&target)?;
    let positions = spread(input.shape(), &target);
    Ok(vec![input.pick(target, &positions)])
}

pub(super) fn tile(call: &Call, budget: &mut Budget) -> Result<Vec<Data>, Failure> {
    let input = call.input(0)?;
    let shape = input.shape();
    let repeats = call.extents(call.integers(1)?)?;
    if repeats.len() != shape.len() {
        return Err(call.broken("it needs a count for each axis"));
    }
    let mut extents = Vec::with_capacity(shape.len());
    for (&extent, &count) in shape.iter().zip(&repeats) {
        extents.push(extent.checked_mul(count).ok_or(Failure::TooLarge)?);
    }
    let count = budget.charge_shape(&Shape::from(extents.clone()))?;
    let strides = shape.strides();
    let outer = Shape::from(extents.clone()).strides();
    let place = |at: usize| {
        (0..shape.len())
            .map(|axis| at / outer[axis] % extents[axis] % shape[axis] * strides[axis])
            .sum()
    };
    let positions: Vec<usize> = (0..count).map(place).collect();
    Ok(vec![input.pick(extents, &positions)])
}

pub(super) fn range_of(call: &Call, budget: &mut Budget) -> Result<Vec<Data>, Failure> {
    if let Data::Floats(_) = call.input(0)? {
        let part = |index: usize| call.number(index, 0.0).map(f64::from);
        let (start, limit, step) = (part(0)?, part(1)?, part(2)?);
        let count = ((limit - start) / step).ceil().max(0.0);
        if !count.is_finite() {
            return Err(call.broken("it never ends"));
        }
        budget.charge(count as usize)?;
        let values: Vec<f32> = (0..count as usize)
            .map(|index| (start + index as f64 * step) as f32)
            .collect();
        return Ok(vec![Data::floats(vec![values.len()], values)]);
    }
    let (start, limit, step) = (call.integer(0)?, call.integer(1)?, call.integer(2)?);
    if step == 0 {
        return Err(call.broken("it never ends"));
    }
    let distance = i128::from(limit) - i128::from(start);
    let count = if (distance > 0) == (step > 0) {
        distance
            .unsigned_abs()
            .div_ceil(u128::from(step.unsigned_abs()))
    } else {
        0
    };
    let count = usize::try_from(count).map_err(|_| Failure::TooLarge)?;
    budget.charge(count)?;
    // Every value lies between start and limit, so nothing overflows.
    let values = (0..count as i64).map(|index| start.wrapping_add(index.wrapping_mul(step)));
    Ok(vec![Data::list(values.collect())])
}

pub(super) fn constant_of_shape(call: &Call, budget: &mut Budget) -> Result<Vec<Data>, Failure> {
    let shape = Shape::from(call.extents(call.integers(0)?)?);
    let count = budget.charge_shape(&shape)?;
    Ok(vec![match call.instruction.attributes.get("value") {
        None => Data::floats(shape, vec![0.0; count]),
        Some(Attribute::Data(Data::Floats(value))) if value.data().len() == 1 => {
            Data::floats(shape, vec![value.data()[0]; count])
        }
        Some(Attribute::Data(Data::Integers(value))) if value.values.len() == 1 => {
            Data::integers(shape, vec![value.values[0]; count], value.kind)
        }
        Some(_) => return Err(call.broken("its value must be one number")),
    }])
}

/// The indices of all elements that are not zero, one column each.
pub(super) fn non_zero(call: &Call, budget: &mut Budget) -> Result<Vec<Data>, Failure> {
    let input = call.input(0)?;
    let shape = input.shape();
    budget.charge(input.len())?;
    let places: Vec<usize> = match input {
        Data::Floats(tensor) => (0..tensor.data().len())
            .filter(|&at| tensor.data()[at] != 0.0)
            .collect(),
        Data::Integers(integers) => (0..integers.values.len())
            .filter(|&at| integers.values[at] != 0)
            .collect(),
    };
    let strides = shape.strides();
    let rows = (0..shape.len()).flat_map(|axis| {
        let (stride, extent) = (strides[axis], shape[axis]);
        places.iter().map(move |at| (at / stride % extent) as i64)
    });
    let extents = vec![shape.len(), places.len()];
    budget.charge_shape(&Shape::from(extents.clone()))?;
    Ok(vec![Data::integers(
        extents,
        rows.collect(),
        IntegerKind::I64,
    )])
}

/// Pad with one value; negative padding cuts.
pub(super) fn pad(call: &Call, budget: &mut Budget) -> Result<Vec<Data>, Failure> {
    if call.text("mode", "constant") != "constant" {
        return Err(call.lacking(&format!("mode {}", call.text("mode", ""))));
    }
    let input = call.input(0)?;
    let shape = input.shape();
    let rank = shape.len();
    let named = call
        .listed("pads", 1)?
        .ok_or_else(|| call.broken("it has no padding"))?;
    let axes = match call.optional(3) {
        None => (0..rank).collect(),
        Some(_) => call
            .integers(3)?
            .iter()
            .map(|&axis| call.axis(axis, rank))
            .collect::<Result<Vec<_>, _>>()?,
    };
    if named.len() != 2 * axes.len() {
        return Err(call.broken("its padding does not fit its axes"));
    }
    let mut before = vec![0; rank];
    let mut extents = shape.to_vec();
    for (index, &axis) in axes.iter().enumerate() {
        let (ahead, behind) = (named[index], named[index + axes.len()]);
        before[axis] = ahead;
        extents[axis] = i64::try_from(shape[axis])
            .ok()
            .and_then(|extent| extent.checked_add(ahead)?.checked_add(behind))
            .and_then(|extent| usize::try_from(extent).ok())
            .ok_or_else(|| call.broken("its padding leaves a negative extent"))?;
    }
    let target = Shape::from(extents);
    let count = budget.charge_shape(&target)?;
    let (strides, outer) = (shape.strides(), target.strides());
    // The place in the input of each element, where it has one.
    let place = |at: usize| {
        (0..rank).try_fold(0, |sum, axis| {
            let index = (at / outer[axis] % target[axis]) as i64 - before[axis];
            let index = usize::try_from(index).ok().filter(|&i| i < shape[axis])?;
            Some(sum + index * strides[axis])
        })
    };
    Ok(vec![match input {
        Data::Floats(tensor) => {
            let filler = call.number(2, call.float("value", 0.0))?;
            let value = |at: usize| place(at).map_or(filler, |place| tensor.data()[place]);
            Data::floats(target.clone(), (0..count).map(value).collect())
        }
        Data::Integers(integers) => {
            let filler = match call.optional(2) {
                None => 0,
                Some(_) => call.integer(2)?,
            };
            let value = |at: usize| place(at).map_or(filler, |place| integers.values[place]);
            let values = (0..count).map(value).collect();
            Data::integers(target.clone(), values, integers.kind)
        }
    }])
}
