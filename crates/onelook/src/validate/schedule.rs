//! In which order images are validated, and on which canvas.

use super::ValidateOptions;
use crate::dataset::Dataset;

/// One image's turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    /// Position among the data set's images.
    pub(super) image: usize,
    /// Height and width of the canvas.
    pub(super) canvas: [usize; 2],
}

/// Squares in the data set's order; or by aspect ratio, a canvas per batch. Where the description
/// does not tell sizes, images are read to learn them; one that cannot be read counts as square.
pub(super) fn schedule(
    dataset: &Dataset,
    size: usize,
    stride: usize,
    options: &ValidateOptions,
    rect: bool,
) -> Vec<Step> {
    if !rect {
        let canvas = [size; 2].map(|side| side.next_multiple_of(stride));
        let step = |image| Step { image, canvas };
        return (0..dataset.images.len()).map(step).collect();
    }
    let mut ratios: Vec<(usize, f64)> = (0..dataset.images.len())
        .map(|index| (index, aspect_ratio(dataset, index, options)))
        .collect();
    ratios.sort_by(|a, b| a.1.total_cmp(&b.1));
    ratios
        .chunks(options.batch.max(1))
        .flat_map(|chunk| {
            let (least, most) = (chunk[0].1, chunk[chunk.len() - 1].1);
            let canvas = canvas(least, most, size, stride);
            chunk.iter().map(move |&(image, _)| Step { image, canvas })
        })
        .collect()
}

/// Height over width.
fn aspect_ratio(dataset: &Dataset, index: usize, options: &ValidateOptions) -> f64 {
    let image = &dataset.images[index];
    let size = image.size.or_else(|| {
        let frame = super::load(image, &options.limits).ok()?;
        Some([frame.width(), frame.height()])
    });
    size.map_or(1.0, |[width, height]| height as f64 / width.max(1) as f64)
}

/// The smallest canvas for images between two aspect ratios, with half a stride to spare.
fn canvas(least: f64, most: f64, size: usize, stride: usize) -> [usize; 2] {
    let [height, width] = if most < 1.0 {
        [most, 1.0]
    } else if least > 1.0 {
        [1.0, 1.0 / least]
    } else {
        [1.0, 1.0]
    };
    [height, width].map(|side| {
        let cells = side * size as f64 / stride as f64 + 0.5;
        cells.ceil() as usize * stride
    })
}

#[cfg(test)]
mod tests {
    use super::canvas;

    #[test]
    fn a_batch_of_one_orientation_gets_a_flat_canvas() {
        assert_eq!(canvas(0.5, 0.75, 640, 32), [512, 672]);
        assert_eq!(canvas(1.5, 2.0, 640, 32), [672, 448]);
        assert_eq!(canvas(0.5, 1.5, 640, 32), [672, 672]);
    }
}
