//! A request's tensor against what the model takes; then its values as numbers.

use std::sync::Arc;

use onelook::types::{Metadata, Tensor};

use super::{DATATYPE, INPUT, Input, Values, shown};
use crate::model_repository::{Served, Slot};
use crate::problem::{Kind, Problem};

/// Longest side of a picture.
const LONGEST_SIDE: usize = 4096;

/// Pictures that one request may always bring.
const PICTURES: usize = 32;

/// Most pictures in one request to this model.
pub fn most_pictures(served: &Served) -> usize {
    PICTURES.max(served.max_batch)
}

/// The one tensor that the model takes.
pub fn only(slot: &Slot, inputs: Vec<Input>) -> Result<Input, Problem> {
    let name = &slot.name;
    let strange = inputs.iter().find(|input| input.name != INPUT);
    if let Some(strange) = strange {
        let strange = shown(&strange.name);
        return Err(Problem::bad_request(format!(
            "unexpected inference input {strange} for model '{name}': it takes '{INPUT}'"
        )));
    }
    let count = inputs.len();
    let mut inputs = inputs.into_iter();
    match (inputs.next(), inputs.next()) {
        (Some(input), None) => Ok(input),
        _ => Err(Problem::bad_request(format!(
            "expected 1 input but got {count} for model '{name}': it takes '{INPUT}' once"
        ))),
    }
}

/// The shape, once type, shape and length fit each other and the model.
pub fn check(slot: &Slot, served: &Arc<Served>, input: &Input) -> Result<[usize; 4], Problem> {
    let refuse = |what: String| {
        let name = &slot.name;
        Problem::bad_request(format!("input '{INPUT}' for model '{name}': {what}"))
    };
    if input.datatype != DATATYPE {
        let datatype = shown(&input.datatype);
        return Err(refuse(format!(
            "its datatype is {datatype}, expected {DATATYPE}"
        )));
    }
    let shape = sizes(&input.shape).map_err(refuse)?;
    fits(served.model.metadata(), shape).map_err(refuse)?;
    let most = most_pictures(served);
    if shape[0] > most {
        let detail = format!("{} pictures are more than {most}", shape[0]);
        return Err(refuse(detail));
    }
    let (expected, got, what) = match &input.values {
        Values::Bytes(bytes) => (length(shape, 4), bytes.len(), "bytes"),
        Values::Numbers(numbers) => (length(shape, 1), numbers.len(), "numbers"),
    };
    match expected {
        Some(expected) if expected == got => Ok(shape),
        Some(expected) => Err(refuse(format!(
            "its shape asks for {expected} {what}, {got} came"
        ))),
        None => Err(Problem::new(
            Kind::TooLarge,
            format!("input '{INPUT}': its shape does not fit into memory"),
        )),
    }
}

fn sizes(shape: &[i64]) -> Result<[usize; 4], String> {
    let sizes: Option<Vec<usize>> = shape
        .iter()
        .map(|&size| usize::try_from(size).ok())
        .collect();
    let fitting = sizes.and_then(|sizes| <[usize; 4]>::try_from(sizes).ok());
    match fitting {
        Some(sizes @ [_, 3, _, _]) => Ok(sizes),
        _ => {
            let got: Vec<String> = shape.iter().take(8).map(i64::to_string).collect();
            let got = got.join(",");
            Err(format!(
                "its shape is [{got}], expected [pictures,3,height,width]"
            ))
        }
    }
}

fn fits(metadata: &Metadata, [pictures, _, height, width]: [usize; 4]) -> Result<(), String> {
    if pictures == 0 || height == 0 || width == 0 {
        return Err("it is empty".to_owned());
    }
    let [own_height, own_width] = metadata.image_size;
    if metadata.fixed_size && [height, width] != metadata.image_size {
        return Err(format!(
            "its pictures are {height}x{width}, this model takes only {own_height}x{own_width}"
        ));
    }
    if height > LONGEST_SIDE || width > LONGEST_SIDE {
        return Err(format!(
            "its pictures are {height}x{width}, more than {LONGEST_SIDE} on a side"
        ));
    }
    let stride = metadata.stride.max(1);
    if height % stride != 0 || width % stride != 0 {
        return Err(format!(
            "its pictures are {height}x{width}, both must be multiples of {stride}"
        ));
    }
    Ok(())
}

fn length(shape: [usize; 4], each: usize) -> Option<usize> {
    shape
        .iter()
        .try_fold(each, |product, &size| product.checked_mul(size))
}

/// The values of an input that was checked.
pub fn tensor(shape: [usize; 4], values: Values) -> Tensor {
    let numbers = match values {
        Values::Numbers(numbers) => numbers,
        Values::Bytes(bytes) => bytes
            .chunks_exact(4)
            .map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]]))
            .collect(),
    };
    Tensor::new(shape, numbers).expect("shape and length were compared")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_four_sizes_with_three_channels_are_a_shape() {
        assert_eq!(sizes(&[2, 3, 64, 32]), Ok([2, 3, 64, 32]));
        let wrong: [&[i64]; 6] = [
            &[],
            &[3, 64, 64],
            &[1, 4, 64, 64],
            &[1, 3, -64, -64],
            &[1, 3, 64, 64, 1],
            &[i64::MIN, 3, 64, 64],
        ];
        for shape in wrong {
            let reason = sizes(shape).unwrap_err();
            assert!(
                reason.contains("expected [pictures,3,height,width]"),
                "{reason}"
            );
        }
    }

    #[test]
    fn a_product_that_overflows_has_no_length() {
        assert_eq!(length([1, 3, 2, 2], 4), Some(48));
        assert_eq!(length([1 << 32, 3, 1 << 32, 1], 4), None);
    }

    #[test]
    fn bytes_are_read_lowest_first() {
        let bytes: Vec<u8> = [1.5f32, -2.0, 0.25]
            .iter()
            .flat_map(|number| number.to_le_bytes())
            .collect();
        let made = tensor([1, 3, 1, 1], Values::Bytes(bytes.into()));
        assert_eq!(made.data(), [1.5, -2.0, 0.25]);
    }
}
