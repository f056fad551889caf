//! Which class was taken for which: predictions matched with objects whatever their classes.

use super::matching::{Records, descending};
use super::{CocoResult, GroundTruth, iou};

/// Predictions must be surer than this to count in the confusion matrix.
pub const CONFUSION_CONFIDENCE: f64 = 0.25;
/// Result and object must overlap by more than this to be the same thing.
pub const CONFUSION_IOU: f64 = 0.45;

/// How often which class was predicted for which.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConfusionMatrix {
    /// The categories of rows and columns, ascending; one more row and column, the last, stands for
    /// the background.
    pub categories: Vec<usize>,
    /// `counts[predicted][true]`; the background row counts objects that were missed, its column
    /// predictions of nothing.
    pub counts: Vec<Vec<u64>>,
}

/// Counts over all images. Predictions take, highest confidence first, the free object that they overlap
/// most. Crowds are no objects; a prediction inside one that matches nothing is not counted.
pub(super) fn count(records: &Records<'_>) -> ConfusionMatrix {
    let mut matrix = ConfusionMatrix::new(records);
    let mut claims: Vec<&CocoResult> = records
        .predictions
        .iter()
        .copied()
        .filter(|claim| claim.score > CONFUSION_CONFIDENCE)
        .collect();
    claims.sort_by(|a, b| a.image.cmp(&b.image).then(descending(a.score, b.score)));
    let mut truths = records.truths.clone();
    truths.sort_by_key(|truth| truth.image);
    let mut claims = claims.as_slice();
    for truths in truths.chunk_by(|a, b| a.image == b.image) {
        let image = truths[0].image;
        let (earlier, rest) = claims.split_at(claims.partition_point(|claim| claim.image < image));
        let (here, later) = rest.split_at(rest.partition_point(|claim| claim.image == image));
        matrix.add_image(&[], earlier);
        matrix.add_image(truths, here);
        claims = later;
    }
    matrix.add_image(&[], claims);
    matrix
}

impl ConfusionMatrix {
    fn new(records: &Records<'_>) -> Self {
        let mut categories: Vec<usize> = records.truths.iter().map(|t| t.category).collect();
        categories.extend(records.predictions.iter().map(|claim| claim.category));
        categories.sort_unstable();
        categories.dedup();
        let side = categories.len() + 1;
        Self {
            categories,
            counts: vec![vec![0; side]; side],
        }
    }

    fn add_image(&mut self, truths: &[&GroundTruth], claims: &[&CocoResult]) {
        let background = self.categories.len();
        let (crowds, objects): (Vec<&GroundTruth>, Vec<_>) =
            truths.iter().partition(|truth| truth.crowd);
        let mut taken = vec![false; objects.len()];
        for claim in claims {
            let row = self.index(claim.category);
            if let Some(found) = best_free(claim, &objects, &taken) {
                taken[found] = true;
                let column = self.index(objects[found].category);
                self.counts[row][column] += 1;
            } else if !is_in_crowd(claim, &crowds) {
                self.counts[row][background] += 1;
            }
        }
        for (object, taken) in objects.iter().zip(taken) {
            let column = self.index(object.category);
            self.counts[background][column] += u64::from(!taken);
        }
    }

    fn index(&self, category: usize) -> usize {
        self.categories.partition_point(|&other| other < category)
    }
}

fn best_free(claim: &CocoResult, objects: &[&GroundTruth], taken: &[bool]) -> Option<usize> {
    let mut best = None;
    let mut largest = CONFUSION_IOU;
    for (index, object) in objects.iter().enumerate() {
        let overlap = iou(&claim.bbox, &object.bbox, false);
        if !taken[index] && overlap > largest {
            largest = overlap;
            best = Some(index);
        }
    }
    best
}

fn is_in_crowd(claim: &CocoResult, crowds: &[&GroundTruth]) -> bool {
    crowds
        .iter()
        .any(|crowd| iou(&claim.bbox, &crowd.bbox, true) > CONFUSION_IOU)
}
