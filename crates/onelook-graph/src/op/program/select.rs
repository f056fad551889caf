//! Instructions that choose among values: reductions, the k largest, non-maximum suppression.

use std::cmp::Ordering;

use onelook_types::Shape;

use super::data::{Data, IntegerKind};
use super::instruction::{Budget, Call, Failure};

/// ReduceMax, ReduceMin, ReduceSum, ReduceMean and ReduceProd.
pub(super) fn reduce(call: &Call, budget: &mut Budget) -> Result<Vec<Data>, Failure> {
    let input = call.input(0)?;
    let shape = input.shape();
    let axes = match call.listed("axes", 1)?.unwrap_or_default() {
        axes if !axes.is_empty() => call.axes(&axes, shape.len())?,
        _ if call.int("noop_with_empty_axes", 0) != 0 => return Ok(vec![input.clone()]),
        _ => (0..shape.len()).collect(),
    };
    budget.charge(input.len())?;
    let strides = shape.strides();
    let kept_shape: Vec<usize> = (0..shape.len())
        .map(|axis| if axes.contains(&axis) { 1 } else { shape[axis] })
        .collect();
    let target_strides = Shape::from(kept_shape.clone()).strides();
    let target = |at: usize| -> usize {
        (0..shape.len())
            .filter(|axis| !axes.contains(axis))
            .map(|axis| at / strides[axis] % shape[axis] * target_strides[axis])
            .sum()
    };
    let results: usize = kept_shape.iter().product();
    budget.charge(results)?;
    let operator = call.instruction.operator.as_str();
    let reduced = match input {
        Data::Floats(tensor) => {
            let start = match operator {
                "ReduceMax" => f32::NEG_INFINITY,
                "ReduceMin" => f32::INFINITY,
                "ReduceProd" => 1.0,
                _ => 0.0,
            };
            let mut values = vec![start; results];
            for (at, &value) in tensor.data().iter().enumerate() {
                let sum = &mut values[target(at)];
                *sum = match operator {
                    "ReduceMax" => sum.max(value),
                    "ReduceMin" => sum.min(value),
                    "ReduceProd" => *sum * value,
                    _ => *sum + value,
                };
            }
            if operator == "ReduceMean" {
                let count = (input.len() / results.max(1)) as f32;
                values.iter_mut().for_each(|value| *value /= count);
            }
            Data::floats(kept_shape, values)
        }
        Data::Integers(integers) => {
            if input.len() == 0 || operator == "ReduceMean" {
                return Err(call.lacking("of these integers"));
            }
            let mut values: Vec<Option<i64>> = vec![None; results];
            for (at, &value) in integers.values.iter().enumerate() {
                let sum = &mut values[target(at)];
                let next = match (*sum, operator) {
                    (None, _) => Some(value),
                    (Some(sum), "ReduceMax") => Some(sum.max(value)),
                    (Some(sum), "ReduceMin") => Some(sum.min(value)),
                    (Some(sum), "ReduceProd") => sum.checked_mul(value),
                    (Some(sum), _) => sum.checked_add(value),
                };
                *sum = Some(next.ok_or_else(|| call.broken("integers overflow"))?);
            }
            let wrap = |value: Option<i64>| integers.kind.wrap(value.unwrap_or(0));
            Data::integers(
                kept_shape,
                values.into_iter().map(wrap).collect(),
                integers.kind,
            )
        }
    };
    if call.int("keepdims", 1) != 0 {
        return Ok(vec![reduced]);
    }
    let rest: Vec<usize> = (0..shape.len())
        .filter(|axis| !axes.contains(axis))
        .map(|axis| shape[axis])
        .collect();
    Ok(vec![reduced.reshaped(Shape::from(rest))])
}

/// An order of all values, numbers ascending, in which NaN is below all of them.
fn ascending(a: f32, b: f32) -> Ordering {
    a.partial_cmp(&b)
        .unwrap_or_else(|| b.is_nan().cmp(&a.is_nan()))
}

/// The order of two elements of data, whatever its type.
fn order(data: &Data, a: usize, b: usize) -> Ordering {
    match data {
        Data::Floats(tensor) => ascending(tensor.data()[a], tensor.data()[b]),
        Data::Integers(integers) => integers.values[a].cmp(&integers.values[b]),
    }
}

/// The runs of elements along an axis: for each, the position of its first, and the distance.
fn lanes(shape: &Shape, axis: usize) -> (impl Iterator<Item = usize>, usize) {
    let inner: usize = shape[axis + 1..].iter().product();
    let outer: usize = shape[..axis].iter().product();
    let extent = shape[axis];
    let firsts = (0..outer).flat_map(move |o| (0..inner).map(move |i| o * extent * inner + i));
    (firsts, inner)
}

/// ArgMax and ArgMin; the first of equals unless told otherwise.
pub(super) fn arg(call: &Call, budget: &mut Budget) -> Result<Vec<Data>, Failure> {
    let input = call.input(0)?;
    let shape = input.shape();
    let axis = call.axis(call.int("axis", 0), shape.len())?;
    if shape[axis] == 0 {
        return Err(call.broken("it chooses among none"));
    }
    budget.charge_shape(shape)?;
    let wanted = match call.instruction.operator.as_str() {
        "ArgMax" => Ordering::Greater,
        _ => Ordering::Less,
    };
    let last = call.int("select_last_index", 0) != 0;
    let (firsts, step) = lanes(shape, axis);
    let chosen = firsts.map(|first| {
        let better = |best: usize, next: usize| {
            let order = order(input, first + next * step, first + best * step);
            match order == wanted || (last && order == Ordering::Equal) {
                true => next,
                false => best,
            }
        };
        (1..shape[axis]).fold(0, better) as i64
    });
    let mut extents = shape.to_vec();
    match call.int("keepdims", 1) {
        0 => drop(extents.remove(axis)),
        _ => extents[axis] = 1,
    }
    Ok(vec![Data::integers(
        extents,
        chosen.collect(),
        IntegerKind::I64,
    )])
}

/// TopK: the k largest or smallest along an axis and their places; of equals the earlier first.
pub(super) fn top_k(call: &Call, budget: &mut Budget) -> Result<Vec<Data>, Failure> {
    let input = call.input(0)?;
    let shape = input.shape();
    let axis = call.axis(call.int("axis", -1), shape.len())?;
    let count = match call.optional(1) {
        Some(_) => call.integer(1)?,
        None => call.int("k", -1),
    };
    let count = usize::try_from(count)
        .ok()
        .filter(|&count| count <= shape[axis])
        .ok_or_else(|| call.broken(format!("there are no {count} among {}", shape[axis])))?;
    budget.charge_shape(shape)?;
    let largest = call.int("largest", 1) != 0;
    let mut extents = shape.to_vec();
    extents[axis] = count;
    let target = Shape::from(extents);
    let (firsts, step) = lanes(shape, axis);
    let (goals, _) = lanes(&target, axis);
    let total = budget.charge_shape(&target)?;
    let (mut positions, mut places) = (vec![0; total], vec![0; total]);
    let mut candidates: Vec<usize> = Vec::with_capacity(shape[axis]);
    for (first, goal) in firsts.zip(goals) {
        candidates.clear();
        candidates.extend(0..shape[axis]);
        let by = |a: &usize, b: &usize| {
            let order = order(input, first + a * step, first + b * step);
            let order = if largest { order.reverse() } else { order };
            order.then(a.cmp(b))
        };
        if count < candidates.len() {
            candidates.select_nth_unstable_by(count, by);
            candidates.truncate(count);
        }
        candidates.sort_unstable_by(by);
        for (rank, &candidate) in candidates.iter().enumerate() {
            positions[goal + rank * step] = first + candidate * step;
            places[goal + rank * step] = candidate as i64;
        }
    }
    Ok(vec![
        input.pick(target.clone(), &positions),
        Data::integers(target, places, IntegerKind::I64),
    ])
}

/// NonMaxSuppression: rows of batch, class and box, by class the highest score first.
pub(super) fn non_max_suppression(call: &Call, budget: &mut Budget) -> Result<Vec<Data>, Failure> {
    let (boxes, scores) = (call.floats(0)?, call.floats(1)?);
    let (&[batch, count, 4], &[scored, classes, columns]) =
        (&call.input(0)?.shape()[..], &call.input(1)?.shape()[..])
    else {
        return Err(call.broken("it takes batch x boxes x 4 and batch x classes x boxes"));
    };
    if (batch, count) != (scored, columns) {
        return Err(call.broken("its scores do not fit its boxes"));
    }
    let most = match call.optional(2) {
        Some(_) => usize::try_from(call.integer(2)?).unwrap_or(0),
        None => 0,
    };
    let (iou, least) = (call.number(3, 0.0)?, call.number(4, f32::NEG_INFINITY)?);
    let centred = call.int("center_point_box", 0) != 0;
    budget.charge_shape(call.input(0)?.shape())?;
    budget.charge_shape(call.input(1)?.shape())?;
    let corners: Vec<[f32; 4]> = boxes
        .chunks_exact(4)
        .map(|place| match *place {
            [x, y, width, height] if centred => [
                x - width / 2.0,
                y - height / 2.0,
                x + width / 2.0,
                y + height / 2.0,
            ],
            // Any two opposite corners may come.
            [a, b, c, d] => [a.min(c), b.min(d), a.max(c), b.max(d)],
            _ => [0.0; 4],
        })
        .collect();
    let mut rows = Vec::new();
    let mut found = 0;
    for (image, class) in (0..batch).flat_map(|b| (0..classes).map(move |c| (b, c))) {
        let scores = &scores[(image * classes + class) * count..][..count];
        let corners = &corners[image * count..][..count];
        let mut candidates: Vec<usize> = (0..count).filter(|&at| scores[at] > least).collect();
        candidates.sort_by(|&a, &b| ascending(scores[b], scores[a]));
        let mut kept: Vec<usize> = Vec::new();
        for candidate in candidates {
            if kept.len() == most {
                break;
            }
            // A comparison takes a fraction of what writing an element does.
            budget.charge(1 + kept.len() / 8)?;
            let overlaps = |&other: &usize| overlap(&corners[other], &corners[candidate]) > iou;
            if !kept.iter().any(overlaps) {
                kept.push(candidate);
            }
        }
        budget.charge(3 * kept.len())?;
        found += kept.len();
        rows.extend(
            kept.iter()
                .flat_map(|&at| [image as i64, class as i64, at as i64]),
        );
    }
    Ok(vec![Data::integers(vec![found, 3], rows, IntegerKind::I64)])
}

/// Intersection over union; 0 where there is no intersection.
fn overlap(a: &[f32; 4], b: &[f32; 4]) -> f32 {
    let width = a[2].min(b[2]) - a[0].max(b[0]);
    let height = a[3].min(b[3]) - a[1].max(b[1]);
    if width <= 0.0 || height <= 0.0 {
        return 0.0;
    }
    let area = |place: &[f32; 4]| (place[2] - place[0]) * (place[3] - place[1]);
    let shared = width * height;
    shared / (area(a) + area(b) - shared)
}
