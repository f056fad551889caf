//! How the tests of operators ask: shapes and values in, shapes and values out.

use onelook_types::{Shape, Tensor};

use super::Operator;

/// The shapes that an operator gives for inputs of these shapes, or why it refuses.
pub(super) fn shapes(op: &dyn Operator, inputs: &[&[usize]]) -> Result<Vec<Vec<usize>>, String> {
    let inputs: Vec<Shape> = inputs
        .iter()
        .map(|shape| Shape::from(shape.to_vec()))
        .collect();
    let inputs: Vec<&Shape> = inputs.iter().collect();
    let outputs = op.infer(&inputs).map_err(|error| error.to_string())?;
    Ok(outputs.iter().map(|shape| shape.to_vec()).collect())
}

/// The values of every output.
pub(super) fn values(op: &dyn Operator, inputs: &[&Tensor]) -> Vec<Vec<f32>> {
    let outputs = op.execute(inputs).unwrap();
    outputs.into_iter().map(Tensor::into_data).collect()
}

/// Asserts that an operator refuses inputs of each of these shapes.
pub(super) fn refuses(op: &dyn Operator, cases: &[&[&[usize]]]) {
    for case in cases {
        assert!(shapes(op, case).is_err(), "{} takes {case:?}", op.name());
    }
}

/// 0, 1, 2… under these extents.
pub(super) fn counting<const RANK: usize>(extents: [usize; RANK]) -> Tensor {
    Tensor::from_fn(extents, |position| position as f32)
}

/// These values under these extents.
pub(super) fn tensor<const RANK: usize>(extents: [usize; RANK], values: &[f32]) -> Tensor {
    Tensor::new(extents, values.to_vec()).unwrap()
}

/// Asserts values that may differ by rounding.
pub(super) fn assert_near(actual: &[f32], expected: &[f32]) {
    assert_eq!(actual.len(), expected.len());
    for (actual, expected) in actual.iter().zip(expected) {
        assert!((actual - expected).abs() < 1e-5, "{actual}, not {expected}");
    }
}
