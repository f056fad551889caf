//! What a model says of one image, whatever its task.

use crate::Instances;

/// What a model says of one image.
#[derive(Debug, Clone, PartialEq)]
pub enum Prediction {
    /// Objects: detection, segmentation, pose, oriented boxes.
    Instances(Instances),
    /// One class for the whole image.
    Classification(Classification),
}

/// The scores of an image's classes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Classification {
    /// Probability of each class, 0 to 1, by class index.
    pub scores: Vec<f32>,
}

impl Classification {
    /// The `count` most probable classes with their scores, highest first; of equal ones the lower
    /// index comes first.
    pub fn top(&self, count: usize) -> Vec<(usize, f32)> {
        let mut ranked: Vec<(usize, f32)> = self.scores.iter().copied().enumerate().collect();
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
        ranked.truncate(count);
        ranked
    }
}

impl Prediction {
    /// The objects; none where the image was classified as a whole.
    pub fn instances(&self) -> &Instances {
        static NONE: Instances = Instances::EMPTY;
        match self {
            Self::Instances(instances) => instances,
            Self::Classification(_) => &NONE,
        }
    }
}

impl Default for Prediction {
    fn default() -> Self {
        Self::Instances(Instances::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_top_classes_come_by_score_then_by_index() {
        let scores = vec![0.1, 0.4, 0.1, 0.4];
        let top = Classification { scores }.top(3);
        assert_eq!(top, [(1, 0.4), (3, 0.4), (0, 0.1)]);
    }

    #[test]
    fn a_classified_image_has_no_objects() {
        let prediction = Prediction::Classification(Classification::default());
        assert!(prediction.instances().is_empty());
    }
}
