//! Placements in, lists of images that may share one run out.

use onelook_types::LetterboxPlacement;

/// Indices of images of equal input shape, at most `batch` together, by first appearance.
pub(super) fn by_shape(placements: &[LetterboxPlacement], batch: usize) -> Vec<Vec<usize>> {
    let mut groups: Vec<([usize; 2], Vec<usize>)> = Vec::new();
    for (index, placement) in placements.iter().enumerate() {
        let shape = [placement.height, placement.width];
        let open = groups
            .iter_mut()
            .find(|(other, members)| *other == shape && members.len() < batch.max(1));
        match open {
            Some((_, members)) => members.push(index),
            None => groups.push((shape, vec![index])),
        }
    }
    groups.into_iter().map(|(_, members)| members).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use onelook_types::{LetterboxMode, LetterboxRecipe};
    use onelook_vision::letterbox::place;

    #[test]
    fn only_images_of_one_shape_share_a_run() {
        let recipe = LetterboxRecipe {
            height: 640,
            width: 640,
            mode: LetterboxMode::Rect { stride: 32 },
            padding: 114,
        };
        let sizes = [(640, 480), (480, 640), (1280, 960), (640, 480), (100, 100)];
        let placements: Vec<_> = sizes.iter().map(|&(w, h)| place(&recipe, w, h)).collect();
        assert_eq!(
            by_shape(&placements, 2),
            [vec![0, 2], vec![1], vec![3], vec![4]]
        );
    }
}
