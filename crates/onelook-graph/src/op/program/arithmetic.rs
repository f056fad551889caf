//! Instructions that work element by element, with broadcasting as NumPy defines it.

use onelook_types::Shape;

use super::data::{Data, IntegerKind};
use super::indexing::spread;
use super::instruction::{Budget, Call, Failure, integer_kind, is_float};

/// The common shape of operands, and for each of them the position of every element of the result.
fn broadcast(
    call: &Call,
    operands: &[&Data],
    budget: &mut Budget,
) -> Result<(Shape, Vec<Vec<usize>>), Failure> {
    let rank = operands.iter().map(|data| data.shape().len()).max();
    let mut extents = vec![1; rank.unwrap_or(0)];
    for operand in operands {
        let missing = extents.len() - operand.shape().len();
        for (common, &own) in extents[missing..].iter_mut().zip(operand.shape().iter()) {
            match (*common, own) {
                (1, _) => *common = own,
                (_, 1) => {}
                (common, own) if common == own => {}
                _ => return Err(call.broken("extents must match or be 1")),
            }
        }
    }
    let shape = Shape::from(extents);
    budget.charge_shape(&shape)?;
    let positions = operands
        .iter()
        .map(|operand| spread(operand.shape(), &shape))
        .collect();
    Ok((shape, positions))
}

/// Add, Sub, Mul, Div, Mod, Pow, Min and Max; the last two of any number of operands.
pub(super) fn binary(call: &Call, budget: &mut Budget) -> Result<Vec<Data>, Failure> {
    let mut result = call.input(0)?.clone();
    let count = call.inputs.len();
    if !matches!(call.instruction.operator.as_str(), "Min" | "Max") && count != 2 {
        return Err(call.broken("it takes two inputs"));
    }
    for index in 1..count {
        result = combine(call, &result, call.input(index)?, budget)?;
    }
    Ok(vec![result])
}

fn combine(call: &Call, a: &Data, b: &Data, budget: &mut Budget) -> Result<Data, Failure> {
    let (shape, positions) = broadcast(call, &[a, b], budget)?;
    let pairs = positions[0].iter().zip(&positions[1]);
    let operator = call.instruction.operator.as_str();
    match (a, b) {
        (Data::Floats(a), Data::Floats(b)) => {
            let (a, b) = (a.data(), b.data());
            let function = float_function(operator, call.int("fmod", 0) != 0);
            let values = pairs.map(|(&i, &k)| function(a[i], b[k])).collect();
            Ok(Data::floats(shape, values))
        }
        (Data::Integers(a), Data::Integers(b)) if a.kind == b.kind => {
            let fmod = call.int("fmod", 0) != 0;
            let values = pairs
                .map(|(&i, &k)| integer_function(operator, fmod, a.values[i], b.values[k]))
                .map(|value| value.map(|value| a.kind.wrap(value)))
                .collect::<Option<Vec<i64>>>()
                .ok_or_else(|| call.broken("integers overflow or are divided by 0"))?;
            Ok(Data::integers(shape, values, a.kind))
        }
        // The exponent may be of another type than the base.
        (Data::Floats(a), Data::Integers(b)) if operator == "Pow" => {
            let values = pairs
                .map(|(&i, &k)| a.data()[i].powf(b.values[k] as f32))
                .collect();
            Ok(Data::floats(shape, values))
        }
        _ => Err(call.broken("its inputs are of different types")),
    }
}

fn float_function(operator: &str, fmod: bool) -> fn(f32, f32) -> f32 {
    match operator {
        "Add" => |a, b| a + b,
        "Sub" => |a, b| a - b,
        "Mul" => |a, b| a * b,
        "Div" => |a, b| a / b,
        "Pow" => f32::powf,
        "Min" => f32::min,
        "Max" => f32::max,
        // The sign of the dividend with fmod, of the divisor without.
        _ if fmod => |a, b| a % b,
        _ => |a, b| a - b * (a / b).floor(),
    }
}

fn integer_function(operator: &str, fmod: bool, a: i64, b: i64) -> Option<i64> {
    match operator {
        "Add" => a.checked_add(b),
        "Sub" => a.checked_sub(b),
        "Mul" => a.checked_mul(b),
        "Div" => a.checked_div(b),
        "Pow" => a.checked_pow(u32::try_from(b).ok()?),
        "Min" => Some(a.min(b)),
        "Max" => Some(a.max(b)),
        _ => {
            let rest = a.checked_rem(b)?;
            let other_sign = rest != 0 && (rest < 0) != (b < 0);
            Some(if fmod || !other_sign { rest } else { rest + b })
        }
    }
}

/// Equal, Less, LessOrEqual, Greater, GreaterOrEqual, And, Or and Xor: truth values.
pub(super) fn compare(call: &Call, budget: &mut Budget) -> Result<Vec<Data>, Failure> {
    let (a, b) = (call.input(0)?, call.input(1)?);
    let (shape, positions) = broadcast(call, &[a, b], budget)?;
    let pairs = positions[0].iter().zip(&positions[1]);
    let operator = call.instruction.operator.as_str();
    let holds: Vec<i64> = match (a, b) {
        (Data::Floats(a), Data::Floats(b)) => {
            let (a, b) = (a.data(), b.data());
            pairs.map(|(&i, &k)| truth(operator, a[i], b[k])).collect()
        }
        (Data::Integers(a), Data::Integers(b)) => {
            let (a, b) = (&a.values, &b.values);
            pairs.map(|(&i, &k)| truth(operator, a[i], b[k])).collect()
        }
        _ => return Err(call.broken("its inputs are of different types")),
    };
    Ok(vec![Data::integers(shape, holds, IntegerKind::Bool)])
}

fn truth<T: PartialOrd + Default>(operator: &str, a: T, b: T) -> i64 {
    let set = |value: T| value != T::default();
    i64::from(match operator {
        "Equal" => a == b,
        "Less" => a < b,
        "LessOrEqual" => a <= b,
        "Greater" => a > b,
        "GreaterOrEqual" => a >= b,
        "And" => set(a) && set(b),
        "Or" => set(a) || set(b),
        _ => set(a) != set(b),
    })
}

/// Functions of one value.
pub(super) fn unary(call: &Call, budget: &mut Budget) -> Result<Vec<Data>, Failure> {
    let operator = call.instruction.operator.as_str();
    let input = call.input(0)?;
    budget.charge(input.len())?;
    match input {
        Data::Floats(tensor) => {
            let function: fn(f32) -> f32 = match operator {
                "Abs" => f32::abs,
                "Ceil" => f32::ceil,
                "Exp" => f32::exp,
                "Floor" => f32::floor,
                "Log" => f32::ln,
                "Neg" => |x| -x,
                "Reciprocal" => |x| 1.0 / x,
                "Relu" => |x| x.max(0.0),
                "Round" => f32::round_ties_even,
                "Sigmoid" => |x| 1.0 / (1.0 + (-x).exp()),
                "Sign" => |x| if x == 0.0 { 0.0 } else { x.signum() },
                "Sqrt" => f32::sqrt,
                "Tanh" => f32::tanh,
                _ => return Err(call.lacking("of floats")),
            };
            let values = tensor.data().iter().map(|&x| function(x)).collect();
            Ok(vec![Data::floats(tensor.shape().clone(), values)])
        }
        Data::Integers(integers) => {
            let function: fn(i64) -> Option<i64> = match operator {
                "Abs" => i64::checked_abs,
                "Neg" => i64::checked_neg,
                "Not" => |x| Some(i64::from(x == 0)),
                "Relu" => |x| Some(x.max(0)),
                "Sign" => |x| Some(x.signum()),
                _ => return Err(call.lacking("of integers")),
            };
            let values = integers
                .values
                .iter()
                .map(|&x| function(x).map(|value| integers.kind.wrap(value)))
                .collect::<Option<Vec<i64>>>()
                .ok_or_else(|| call.broken("integers overflow"))?;
            let shape = integers.shape.clone();
            Ok(vec![Data::integers(shape, values, integers.kind)])
        }
    }
}

/// The second operand where the first holds, else the third.
pub(super) fn choose(call: &Call, budget: &mut Budget) -> Result<Vec<Data>, Failure> {
    let (condition, a, b) = (call.integers(0)?, call.input(1)?, call.input(2)?);
    let (shape, positions) = broadcast(call, &[call.input(0)?, a, b], budget)?;
    let places = || positions[0].iter().zip(&positions[1]).zip(&positions[2]);
    let result = match (a, b) {
        (Data::Floats(a), Data::Floats(b)) => {
            let (a, b) = (a.data(), b.data());
            let value = |((&c, &i), &k)| if condition[c] != 0 { a[i] } else { b[k] };
            Data::floats(shape, places().map(value).collect())
        }
        (Data::Integers(a), Data::Integers(b)) if a.kind == b.kind => {
            let (kind, a, b) = (a.kind, &a.values, &b.values);
            let value = |((&c, &i), &k)| if condition[c] != 0 { a[i] } else { b[k] };
            Data::integers(shape, places().map(value).collect(), kind)
        }
        _ => return Err(call.broken("its inputs are of different types")),
    };
    Ok(vec![result])
}

/// Cast, and CastLike, which takes the type from its second input.
pub(super) fn cast(call: &Call, budget: &mut Budget) -> Result<Vec<Data>, Failure> {
    let to = match (call.instruction.operator.as_str(), call.optional(1)) {
        ("CastLike", Some(Data::Floats(_))) => None,
        ("CastLike", Some(Data::Integers(like))) => Some(like.kind),
        _ => match call.int("to", 0) {
            to if is_float(to) => None,
            to => Some(integer_kind(to).ok_or_else(|| call.lacking(&format!("to type {to}")))?),
        },
    };
    let input = call.input(0)?;
    budget.charge(input.len())?;
    let shape = input.shape().clone();
    let result = match (input, to) {
        (Data::Floats(_), None) => input.clone(),
        (Data::Integers(integers), None) => {
            Data::floats(shape, integers.values.iter().map(|&x| x as f32).collect())
        }
        // Towards zero; beyond the range the standard leaves the result open, here it saturates.
        (Data::Floats(tensor), Some(kind)) => {
            let whole = |&x: &f32| match kind {
                IntegerKind::Bool => i64::from(x != 0.0),
                _ => kind.wrap(x as i64),
            };
            Data::integers(shape, tensor.data().iter().map(whole).collect(), kind)
        }
        (Data::Integers(integers), Some(kind)) => {
            let values = integers.values.iter().map(|&x| kind.wrap(x)).collect();
            Data::integers(shape, values, kind)
        }
    };
    Ok(vec![result])
}

/// Clip, with its bounds as attributes or inputs.
pub(super) fn clip(call: &Call, budget: &mut Budget) -> Result<Vec<Data>, Failure> {
    let input = call.input(0)?;
    budget.charge(input.len())?;
    let shape = input.shape().clone();
    if let Data::Integers(integers) = input {
        let bound = |index: usize, default: i64| match call.optional(index) {
            Some(_) => call.integer(index),
            None => Ok(default),
        };
        let (low, high) = (bound(1, i64::MIN)?, bound(2, i64::MAX)?);
        let values = integers.values.iter().map(|&x| x.max(low).min(high));
        return Ok(vec![Data::integers(shape, values.collect(), integers.kind)]);
    }
    let low = call.number(1, call.float("min", f32::MIN))?;
    let high = call.number(2, call.float("max", f32::MAX))?;
    let values = call.floats(0)?.iter().map(|&x| x.max(low).min(high));
    Ok(vec![Data::floats(shape, values.collect())])
}

/// QuantizeLinear and DequantizeLinear, with one scale or one for each position of an axis.
pub(super) fn quantise(call: &Call, budget: &mut Budget) -> Result<Vec<Data>, Failure> {
    let input = call.input(0)?;
    let scale = call.floats(1)?;
    let zero = match call.optional(2) {
        None => None,
        Some(Data::Integers(zero)) if zero.values.len() == scale.len() => Some(zero),
        Some(_) => return Err(call.broken("its zero point does not fit its scale")),
    };
    let shape = input.shape().clone();
    let (extent, inner) = match scale.len() {
        1 => (1, 1),
        count => {
            let axis = call.axis(call.int("axis", 1), shape.len())?;
            if shape[axis] != count || call.input(1)?.shape().len() != 1 {
                return Err(call.lacking("by blocks"));
            }
            (count, shape[axis + 1..].iter().product())
        }
    };
    budget.charge(input.len())?;
    // The lane of a value: its position along the axis of the scales.
    let lane = |position: usize| (position / inner) % extent;
    let offset = |lane: usize| zero.map_or(0, |zero| zero.values[lane]);
    let result = match (call.instruction.operator.as_str(), input) {
        ("DequantizeLinear", Data::Integers(integers)) => {
            let value = |(position, &value): (usize, &i64)| {
                let lane = lane(position);
                (value.saturating_sub(offset(lane))) as f32 * scale[lane]
            };
            Data::floats(
                shape,
                integers.values.iter().enumerate().map(value).collect(),
            )
        }
        ("QuantizeLinear", Data::Floats(tensor)) => {
            let kind = zero.map_or(IntegerKind::U8, |zero| zero.kind);
            let (least, greatest) = kind.range();
            let value = |(position, &value): (usize, &f32)| {
                let lane = lane(position);
                let steps = (value / scale[lane]).round_ties_even() as i64;
                steps.saturating_add(offset(lane)).clamp(least, greatest)
            };
            let values = tensor.data().iter().enumerate().map(value).collect();
            Data::integers(shape, values, kind)
        }
        _ => return Err(call.broken("its input is of the wrong type")),
    };
    Ok(vec![result])
}

/// Softmax along one axis.
pub(super) fn softmax(call: &Call, budget: &mut Budget) -> Result<Vec<Data>, Failure> {
    let shape = call.input(0)?.shape().clone();
    if call.instruction.opset < 13 {
        return Err(call.lacking("of an operator set before 13"));
    }
    let axis = call.axis(call.int("axis", -1), shape.len())?;
    budget.charge_shape(&shape)?;
    let mut values = call.floats(0)?.to_vec();
    let inner: usize = shape[axis + 1..].iter().product();
    let mut lane = vec![0.0; shape[axis]];
    for matrix in values.chunks_exact_mut((shape[axis] * inner).max(1)) {
        for offset in 0..inner {
            let places = || (offset..).step_by(inner);
            lane.iter_mut()
                .zip(places())
                .for_each(|(x, at)| *x = matrix[at]);
            crate::op::softmax::normalise(&mut lane);
            lane.iter()
                .zip(places())
                .for_each(|(x, at)| matrix[at] = *x);
        }
    }
    Ok(vec![Data::floats(shape, values)])
}
