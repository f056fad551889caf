//! Instructions that pick elements by position, and the walk over positions that all share.

use onelook_types::Shape;

use super::MAX_AXES;
use super::data::Data;
use super::instruction::{Budget, Call, Failure, position};

/// The positions that a walk over `shape` visits with these steps along its axes.
pub(super) fn strided(shape: &[usize], steps: &[isize], start: isize) -> Vec<usize> {
    let count: usize = shape.iter().product();
    let mut positions = Vec::with_capacity(count);
    let mut index = vec![0; shape.len()];
    let mut position = start;
    for _ in 0..count {
        positions.push(position as usize);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            position += steps[axis];
            if index[axis] < shape[axis] {
                break;
            }
            position -= steps[axis] * shape[axis] as isize;
            index[axis] = 0;
        }
    }
    positions
}

/// The position in a tensor of shape `own` of each element of what it is broadcast to.
pub(super) fn spread(own: &Shape, target: &Shape) -> Vec<usize> {
    let missing = target.len() - own.len();
    let strides = own.strides();
    let steps: Vec<isize> = (0..target.len())
        .map(|axis| match axis.checked_sub(missing) {
            Some(inner) if own[inner] != 1 => strides[inner] as isize,
            _ => 0,
        })
        .collect();
    strided(target, &steps, 0)
}

pub(super) fn signed(strides: Vec<usize>) -> Vec<isize> {
    strides.into_iter().map(|stride| stride as isize).collect()
}

pub(super) fn slice(call: &Call, budget: &mut Budget) -> Result<Vec<Data>, Failure> {
    let input = call.input(0)?;
    let missing = || call.broken("it has no range");
    let starts = call.listed("starts", 1)?.ok_or_else(missing)?;
    let ends = call.listed("ends", 2)?.ok_or_else(missing)?;
    let count = starts.len();
    let axes = call.listed("axes", 3)?;
    let axes = axes.unwrap_or_else(|| (0..count as i64).collect());
    let steps = call.listed("steps", 4)?.unwrap_or_else(|| vec![1; count]);
    if [ends.len(), axes.len(), steps.len()] != [count; 3] {
        return Err(call.broken("its ranges have different lengths"));
    }
    let mut extents = input.shape().to_vec();
    let mut strides = signed(input.shape().strides());
    let mut offset = 0;
    if call.axes(&axes, extents.len())?.len() != count {
        return Err(call.broken("an axis is named twice"));
    }
    for index in 0..count {
        let axis = call.axis(axes[index], extents.len())?;
        let (start, kept) = range(starts[index], ends[index], steps[index], extents[axis])
            .ok_or_else(|| call.broken("its step is 0"))?;
        offset += start as isize * strides[axis];
        // A step beyond the axis is never taken twice, so its size does not matter.
        let most = extents[axis] as i64;
        strides[axis] *= steps[index].clamp(-most, most) as isize;
        extents[axis] = kept;
    }
    budget.charge_shape(&Shape::from(extents.clone()))?;
    let positions = strided(&extents, &strides, offset);
    Ok(vec![input.pick(extents, &positions)])
}

/// First position and number of positions of a Python slice; `None` for a step of 0.
fn range(start: i64, end: i64, step: i64, extent: usize) -> Option<(usize, usize)> {
    let extent = i64::try_from(extent).ok()?;
    let place = |at: i64, low: i64, high: i64| {
        let at = if at < 0 {
            at.saturating_add(extent)
        } else {
            at
        };
        at.clamp(low, high)
    };
    let (start, length) = match step {
        0 => return None,
        1.. => {
            let start = place(start, 0, extent);
            (start, place(end, 0, extent) - start)
        }
        _ => {
            let start = place(start, -1, extent - 1);
            (start, start - place(end, -1, extent - 1))
        }
    };
    if length <= 0 {
        return Some((0, 0));
    }
    let kept = (length - 1) as u64 / step.unsigned_abs() + 1;
    Some((start as usize, kept as usize))
}

/// Gather: whole slices along one axis.
pub(super) fn gather(call: &Call, budget: &mut Budget) -> Result<Vec<Data>, Failure> {
    let input = call.input(0)?;
    let shape = input.shape();
    let axis = call.axis(call.int("axis", 0), shape.len())?;
    let indices = call.input(1)?.shape();
    let outside = || call.broken("an index lies outside");
    let chosen: Vec<usize> = call
        .integers(1)?
        .iter()
        .map(|&index| position(index, shape[axis]).ok_or_else(outside))
        .collect::<Result<_, _>>()?;
    let extents = [&shape[..axis], indices, &shape[axis + 1..]].concat();
    if extents.len() > MAX_AXES {
        return Err(call.broken(format!("its result has {} axes", extents.len())));
    }
    budget.charge_shape(&Shape::from(extents.clone()))?;
    let inner: usize = shape[axis + 1..].iter().product();
    let outer: usize = shape[..axis].iter().product();
    let mut positions = Vec::new();
    for block in 0..outer {
        for &index in &chosen {
            let first = (block * shape[axis] + index) * inner;
            positions.extend(first..first + inner);
        }
    }
    Ok(vec![input.pick(extents, &positions)])
}

/// GatherElements: one element for each index, at the index's own place along the other axes.
pub(super) fn gather_elements(call: &Call, budget: &mut Budget) -> Result<Vec<Data>, Failure> {
    let input = call.input(0)?;
    let shape = input.shape();
    let axis = call.axis(call.int("axis", 0), shape.len())?;
    let extents = call.input(1)?.shape().clone();
    let fits = extents.len() == shape.len()
        && (0..shape.len()).all(|other| other == axis || extents[other] <= shape[other]);
    if !fits {
        return Err(call.broken("its indices do not fit its input"));
    }
    budget.charge_shape(&extents)?;
    let mut steps = signed(shape.strides());
    let stride = steps[axis] as usize;
    steps[axis] = 0;
    let places = strided(&extents, &steps, 0);
    let positions = places
        .into_iter()
        .zip(call.integers(1)?)
        .map(|(place, &index)| Some(place + position(index, shape[axis])? * stride))
        .collect::<Option<Vec<usize>>>()
        .ok_or_else(|| call.broken("an index lies outside"))?;
    Ok(vec![input.pick(extents, &positions)])
}

/// GatherND: what each row of indices points at.
pub(super) fn gather_nd(call: &Call, budget: &mut Budget) -> Result<Vec<Data>, Failure> {
    if call.int("batch_dims", 0) != 0 {
        return Err(call.lacking("batch_dims"));
    }
    let input = call.input(0)?;
    let shape = input.shape();
    let (firsts, inner, rows) = rows(call, shape)?;
    let extents = [rows, shape[shape.len() - inner..].to_vec()].concat();
    if extents.len() > MAX_AXES {
        return Err(call.broken(format!("its result has {} axes", extents.len())));
    }
    budget.charge_shape(&Shape::from(extents.clone()))?;
    let size: usize = shape[shape.len() - inner..].iter().product();
    let positions: Vec<usize> = firsts
        .into_iter()
        .flat_map(|first| first..first + size)
        .collect();
    Ok(vec![input.pick(extents, &positions)])
}

/// ScatterND: a copy of the input with what each row of indices points at replaced.
pub(super) fn scatter_nd(call: &Call, budget: &mut Budget) -> Result<Vec<Data>, Failure> {
    if call.text("reduction", "none") != "none" {
        return Err(call.lacking("with a reduction"));
    }
    let (input, updates) = (call.input(0)?, call.input(2)?);
    let shape = input.shape();
    let (firsts, inner, rows) = rows(call, shape)?;
    if updates.shape()[..] != [rows, shape[shape.len() - inner..].to_vec()].concat() {
        return Err(call.broken("its updates do not fit its indices"));
    }
    budget.charge(input.len())?;
    let size: usize = shape[shape.len() - inner..].iter().product();
    let places = firsts.iter().flat_map(|&first| first..first + size);
    match (input, updates) {
        (Data::Floats(tensor), Data::Floats(updates)) => {
            let mut values = tensor.data().to_vec();
            places
                .zip(updates.data())
                .for_each(|(at, &x)| values[at] = x);
            Ok(vec![Data::floats(shape.clone(), values)])
        }
        (Data::Integers(integers), Data::Integers(updates)) if integers.kind == updates.kind => {
            let mut values = integers.values.clone();
            places
                .zip(&updates.values)
                .for_each(|(at, &x)| values[at] = x);
            Ok(vec![Data::integers(shape.clone(), values, integers.kind)])
        }
        _ => Err(call.broken("its inputs are of different types")),
    }
}

/// The position that each row of the indices points at, the number of axes that the rows leave
/// whole, and the extents of the list of rows.
fn rows(call: &Call, shape: &Shape) -> Result<(Vec<usize>, usize, Vec<usize>), Failure> {
    let indices = call.integers(1)?;
    let (&width, rows) = call
        .input(1)?
        .shape()
        .split_last()
        .ok_or_else(|| call.broken("its indices are a scalar"))?;
    let whole = shape
        .len()
        .checked_sub(width)
        .filter(|_| width > 0)
        .ok_or_else(|| call.broken("its indices have more columns than its input axes"))?;
    let strides = shape.strides();
    let first = |row: &[i64]| {
        row.iter().enumerate().try_fold(0, |sum, (axis, &index)| {
            Some(sum + position(index, shape[axis])? * strides[axis])
        })
    };
    let firsts = indices
        .chunks_exact(width)
        .map(first)
        .collect::<Option<_>>();
    let firsts = firsts.ok_or_else(|| call.broken("an index lies outside"))?;
    Ok((firsts, whole, rows.to_vec()))
}
