//! The shape of what a program computes from images, which must not depend on what they show.

use onelook_types::{Shape, Tensor};

use crate::op::Operator;
use crate::op::program::Program;
use crate::read::ReadError;

/// The shape of the program's result for inputs of these shapes: tried with an image on which
/// nothing is found and with one on which much is.
pub(super) fn shape(program: &Program, inputs: &[Shape]) -> Result<Shape, ReadError> {
    let read: Vec<&Shape> = inputs.iter().collect();
    let nothing = program.infer(&read)?.remove(0);
    let noise: Vec<Tensor> = inputs.iter().map(noise).collect();
    let much = program
        .execute(&noise.iter().collect::<Vec<_>>())?
        .remove(0);
    match nothing == *much.shape() {
        true => Ok(nothing),
        false => Err(ReadError::Unsupported {
            reason: format!(
                "the shape of its output depends on the image ({nothing}, {}); export it with a \
                 fixed number of detections, or without NMS",
                much.shape()
            ),
        }),
    }
}

/// Numbers between 0 and 1 without a pattern, the same at every call.
fn noise(shape: &Shape) -> Tensor {
    let mut state = 0x9e37_79b9_u32;
    Tensor::from_fn(shape.clone(), |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1u32 << 24) as f32
    })
}
