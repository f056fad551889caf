//! Which prediction finds which object, per class, image, area range and threshold.
//!
//! Follows pycocotools' `evaluateImg`: predictions in descending score take the unclaimed object
//! they overlap most; objects outside the area range and crowds only absorb.

use std::collections::HashSet;

use super::{CocoResult, GroundTruth, IOU_THRESHOLDS, iou};

/// Predictions per class and image that take part.
pub(super) const MAX_DETECTIONS: usize = 100;

/// Areas in square pixels, both ends included: all, small, medium, large.
pub(super) const AREA_RANGES: [[f64; 2]; 4] =
    [[0.0, 1e10], [0.0, 1024.0], [1024.0, 9216.0], [9216.0, 1e10]];

/// The records that take part, in order.
pub(super) struct Records<'a> {
    /// By category, then image, then as given.
    pub(super) truths: Vec<&'a GroundTruth>,
    /// By category, then image, then descending score, then as given.
    pub(super) predictions: Vec<&'a CocoResult>,
}

impl<'a> Records<'a> {
    pub(super) fn new(
        ground_truth: &'a [GroundTruth],
        predictions: &'a [CocoResult],
        images: &[u64],
    ) -> Self {
        let images: HashSet<u64> = images.iter().copied().collect();
        let mut truths: Vec<_> = ground_truth
            .iter()
            .filter(|truth| images.contains(&truth.image))
            .collect();
        truths.sort_by_key(|truth| (truth.category, truth.image));
        let mut predictions: Vec<_> = predictions
            .iter()
            .filter(|claim| images.contains(&claim.image) && claim.score.is_finite())
            .collect();
        predictions.sort_by(|a, b| {
            (a.category, a.image)
                .cmp(&(b.category, b.image))
                .then(descending(a.score, b.score))
        });
        Self {
            truths,
            predictions,
        }
    }

    /// The matches of every category that has ground truth.
    pub(super) fn categories(&self) -> impl Iterator<Item = CategoryMatches> {
        self.truths
            .chunk_by(|a, b| a.category == b.category)
            .map(|truths| {
                let category = truths[0].category;
                let claims = equal_range(&self.predictions, |claim| claim.category.cmp(&category));
                CategoryMatches::of(category, truths, claims)
            })
    }
}

/// Descending order of finite scores.
pub(super) fn descending(a: f64, b: f64) -> std::cmp::Ordering {
    // Adding zero makes the two zeros equal.
    (b + 0.0).total_cmp(&(a + 0.0))
}

/// What one prediction came to in one area range.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outcome {
    pub(super) score: f64,
    /// Place among the class's predictions on its image, from 0.
    pub(super) rank: usize,
    /// Found an object, by threshold.
    pub(super) hit: [bool; IOU_THRESHOLDS],
    /// Counts neither for nor against, by threshold.
    pub(super) ignored: [bool; IOU_THRESHOLDS],
}

/// All outcomes of a class, by area range.
pub(super) struct CategoryMatches {
    pub(super) category: usize,
    /// Images with objects that count, whatever their area.
    pub(super) images: usize,
    pub(super) areas: [AreaMatches; 4],
}

/// The outcomes of a class in one area range.
#[derive(Default)]
pub(super) struct AreaMatches {
    /// Objects that count.
    pub(super) instances: usize,
    /// By image, then descending score.
    pub(super) outcomes: Vec<Outcome>,
}

impl CategoryMatches {
    /// Both slices are of one category and sorted by image.
    fn of(category: usize, truths: &[&GroundTruth], claims: &[&CocoResult]) -> Self {
        let mut matches = Self {
            category,
            images: 0,
            areas: Default::default(),
        };
        let mut images: Vec<u64> = truths.iter().map(|truth| truth.image).collect();
        images.extend(claims.iter().map(|claim| claim.image));
        images.sort_unstable();
        images.dedup();
        for image in images {
            let truths = equal_range(truths, |truth| truth.image.cmp(&image));
            let claims = equal_range(claims, |claim| claim.image.cmp(&image));
            matches.add_image(truths, &claims[..claims.len().min(MAX_DETECTIONS)]);
        }
        matches
    }

    fn add_image(&mut self, truths: &[&GroundTruth], claims: &[&CocoResult]) {
        let overlaps: Vec<Vec<f64>> = claims
            .iter()
            .map(|claim| {
                let overlap = |truth: &&GroundTruth| iou(&claim.bbox, &truth.bbox, truth.crowd);
                truths.iter().map(overlap).collect()
            })
            .collect();
        for (area, range) in self.areas.iter_mut().zip(AREA_RANGES) {
            area.add_image(truths, claims, &overlaps, range);
        }
        let counts = |truth: &&GroundTruth| !is_ignored(truth, AREA_RANGES[0]);
        self.images += usize::from(truths.iter().any(counts));
    }
}

impl AreaMatches {
    fn add_image(
        &mut self,
        truths: &[&GroundTruth],
        claims: &[&CocoResult],
        overlaps: &[Vec<f64>],
        range: [f64; 2],
    ) {
        let ignored: Vec<bool> = truths
            .iter()
            .map(|truth| is_ignored(truth, range))
            .collect();
        self.instances += ignored.iter().filter(|ignored| !**ignored).count();
        let first = self.outcomes.len();
        self.outcomes
            .extend(claims.iter().enumerate().map(|(rank, claim)| {
                let outside = is_outside(claim.bbox[2] * claim.bbox[3], range);
                Outcome {
                    score: claim.score,
                    rank,
                    hit: [false; IOU_THRESHOLDS],
                    ignored: [outside; IOU_THRESHOLDS],
                }
            }));
        let mut taken = vec![false; truths.len()];
        for step in 0..IOU_THRESHOLDS {
            taken.fill(false);
            for (outcome, overlaps) in self.outcomes[first..].iter_mut().zip(overlaps) {
                let found = best_match(truths, overlaps, &ignored, &taken, threshold(step));
                if let Some(found) = found {
                    taken[found] = true;
                    outcome.hit[step] = true;
                    outcome.ignored[step] = ignored[found];
                }
            }
        }
    }
}

/// The object that a prediction takes: among those that count the one it overlaps most, else among
/// the ignored ones; of equals the last.
fn best_match(
    truths: &[&GroundTruth],
    overlaps: &[f64],
    ignored: &[bool],
    taken: &[bool],
    threshold: f64,
) -> Option<usize> {
    [false, true].into_iter().find_map(|among_ignored| {
        let mut best = None;
        let mut largest = threshold;
        for (index, &overlap) in overlaps.iter().enumerate() {
            let free = !taken[index] || truths[index].crowd;
            if ignored[index] == among_ignored && free && overlap >= largest {
                largest = overlap;
                best = Some(index);
            }
        }
        best
    })
}

fn is_ignored(truth: &GroundTruth, range: [f64; 2]) -> bool {
    truth.crowd || is_outside(truth.area, range)
}

fn is_outside(area: f64, [smallest, largest]: [f64; 2]) -> bool {
    area < smallest || area > largest
}

/// The IoU threshold of a step, spaced as `numpy.linspace(0.5, 0.95, 10)` spaces them.
fn threshold(step: usize) -> f64 {
    if step + 1 == IOU_THRESHOLDS {
        0.95
    } else {
        0.5 + step as f64 * ((0.95 - 0.5) / 9.0)
    }
}

/// The part of a sorted slice that `order` calls equal.
fn equal_range<T>(sorted: &[T], order: impl Fn(&T) -> std::cmp::Ordering) -> &[T] {
    let start = sorted.partition_point(|item| order(item).is_lt());
    let length = sorted[start..].partition_point(|item| order(item).is_eq());
    &sorted[start..start + length]
}
