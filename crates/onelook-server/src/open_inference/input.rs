//! Checks a request's tensor against the model, then reads its values as numbers.

use std::sync::Arc;

use onelook::types::{Metadata, Tensor};

use super::protocol::{DATATYPE, INPUT, InferInput, TensorData};
use crate::model_repository::{LoadedModel, ModelEntry};
use crate::problem::{Problem, ProblemKind, shown};

/// Number of images that one request may always have.
const IMAGES: usize = 32;

/// Largest number of images in one request to this model.
pub fn max_images(loaded: &LoadedModel) -> usize {
    IMAGES.max(loaded.max_batch)
}

/// The one input tensor of the model.
pub fn only(entry: &ModelEntry, inputs: Vec<InferInput>) -> Result<InferInput, Problem> {
    let name = &entry.name;
    let unexpected = inputs.iter().find(|input| input.name != INPUT);
    if let Some(unexpected) = unexpected {
        let unexpected = shown(&unexpected.name);
        return Err(Problem::bad_request(format!(
            "unexpected inference input {unexpected} for model '{name}': its input is '{INPUT}'"
        )));
    }
    let count = inputs.len();
    let mut inputs = inputs.into_iter();
    match (inputs.next(), inputs.next()) {
        (Some(input), None) => Ok(input),
        _ => Err(Problem::bad_request(format!(
            "expected 1 input but got {count} for model '{name}': it takes '{INPUT}', once"
        ))),
    }
}

/// The shape, if type, shape and length fit each other and the model.
pub fn check(
    entry: &ModelEntry,
    loaded: &Arc<LoadedModel>,
    input: &InferInput,
    longest_side: usize,
) -> Result<[usize; 4], Problem> {
    let refuse = |what: String| {
        let name = &entry.name;
        Problem::bad_request(format!("input '{INPUT}' for model '{name}': {what}"))
    };
    if input.datatype != DATATYPE {
        let datatype = shown(&input.datatype);
        return Err(refuse(format!(
            "its datatype is {datatype}, expected {DATATYPE}"
        )));
    }
    let shape = sizes(&input.shape).map_err(refuse)?;
    fits(loaded.model.metadata(), shape, longest_side).map_err(refuse)?;
    let most = max_images(loaded);
    if shape[0] > most {
        let detail = format!("{} images, at most {most} are allowed", shape[0]);
        return Err(refuse(detail));
    }
    let (expected, got, what) = match &input.values {
        TensorData::Bytes(bytes) => (length(shape, 4), bytes.len(), "bytes"),
        TensorData::Numbers(numbers) => (length(shape, 1), numbers.len(), "numbers"),
    };
    match expected {
        Some(expected) if expected == got => Ok(shape),
        Some(expected) => Err(refuse(format!(
            "its shape needs {expected} {what}, the request has {got}"
        ))),
        None => Err(Problem::new(
            ProblemKind::TooLarge,
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
                "its shape is [{got}], expected [images,3,height,width]"
            ))
        }
    }
}

fn fits(
    metadata: &Metadata,
    [images, _, height, width]: [usize; 4],
    longest_side: usize,
) -> Result<(), String> {
    if images == 0 || height == 0 || width == 0 {
        return Err("it is empty".to_owned());
    }
    let [own_height, own_width] = metadata.image_size;
    if metadata.fixed_size && [height, width] != metadata.image_size {
        return Err(format!(
            "its images are {height}x{width}, this model takes only {own_height}x{own_width}"
        ));
    }
    // A model that was made for larger images is served as it was made.
    let longest = longest_side.max(own_height).max(own_width);
    if height > longest || width > longest {
        return Err(format!(
            "its images are {height}x{width}, no side may be longer than {longest} (--max-imgsz)"
        ));
    }
    let stride = metadata.stride.max(1);
    if height % stride != 0 || width % stride != 0 {
        return Err(format!(
            "its images are {height}x{width}, both must be multiples of {stride}"
        ));
    }
    Ok(())
}

fn length(shape: [usize; 4], each: usize) -> Option<usize> {
    shape
        .iter()
        .try_fold(each, |product, &size| product.checked_mul(size))
}

/// The values of a checked input.
pub fn tensor(shape: [usize; 4], values: TensorData) -> Tensor {
    let numbers = match values {
        TensorData::Numbers(numbers) => numbers,
        TensorData::Bytes(bytes) => bytes
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
                reason.contains("expected [images,3,height,width]"),
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
    fn bytes_are_read_as_little_endian() {
        let bytes: Vec<u8> = [1.5f32, -2.0, 0.25]
            .iter()
            .flat_map(|number| number.to_le_bytes())
            .collect();
        let made = tensor([1, 3, 1, 1], TensorData::Bytes(bytes.into()));
        assert_eq!(made.data(), [1.5, -2.0, 0.25]);
    }
}
