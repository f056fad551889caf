//! Tensors of several images: in parts no larger than a batch, and together again.

use onelook::types::Tensor;

/// Images of a tensor.
pub fn rows(tensor: &Tensor) -> usize {
    tensor.shape().first().copied().unwrap_or(1)
}

/// Height and width of its images.
pub fn size(input: &Tensor) -> [usize; 2] {
    input.shape().nchw().map_or([0, 0], |[_, _, h, w]| [h, w])
}

/// The images of a tensor in parts of at most `max` images.
pub fn split(tensor: Tensor, max: usize) -> Vec<Tensor> {
    if rows(&tensor) <= max {
        return vec![tensor];
    }
    let image = tensor.data().len() / rows(&tensor);
    let part = |data: &[f32]| {
        let mut extents = tensor.shape().to_vec();
        extents[0] = data.len() / image;
        Tensor::new(extents, data.to_vec()).expect("a part holds whole images")
    };
    tensor.data().chunks(max * image).map(part).collect()
}

/// Undoes [`split`].
pub fn join(mut parts: Vec<Tensor>) -> Tensor {
    if parts.len() == 1 {
        return parts.remove(0);
    }
    let mut extents = parts[0].shape().to_vec();
    extents[0] = parts.iter().map(rows).sum();
    let data = parts.into_iter().flat_map(Tensor::into_data).collect();
    Tensor::new(extents, data).expect("all parts are of one model and one size")
}

/// Bytes of a tensor of images in single floats.
pub fn tensor_bytes(images: usize, [height, width]: [usize; 2]) -> u64 {
    let pixels = (height as u64).saturating_mul(width as u64);
    pixels.saturating_mul(images as u64).saturating_mul(3 * 4)
}
