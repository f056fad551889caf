//! From outcomes to figures: precision over recall per class, then means over classes.
//!
//! Follows pycocotools' `accumulate` and `summarize`: precision is made monotone, read at 101
//! recalls and averaged; classes without objects in an area range are left out of its mean.

use super::matching::{AreaMatches, CategoryMatches, MAX_DETECTIONS, Outcome, descending};
use super::{ClassStats, CocoStats, ConfusionMatrix, IOU_THRESHOLDS, RECALLS};

/// Confidences at which F1 is tried.
const CONFIDENCE_STEPS: usize = 1000;

/// The curves of a class that has objects.
pub(super) struct Curves {
    category: usize,
    images: usize,
    instances: usize,
    /// By area range, where the class has objects in it.
    areas: [Option<AreaCurves>; 4],
    /// Largest recall with at most 1 and 10 predictions per image, by threshold.
    recall_of_few: [[f64; IOU_THRESHOLDS]; 2],
    /// Scores that count at IoU 0.50, descending, and the hits up to each.
    decisions: Vec<(f64, usize)>,
}

/// Precision and recall of a class in one area range.
struct AreaCurves {
    /// Precision by threshold and recall.
    precision: Vec<[f64; RECALLS]>,
    /// Largest recall by threshold.
    recall: [f64; IOU_THRESHOLDS],
}

impl Curves {
    /// `None` for a class whose objects are all ignored.
    pub(super) fn of(matches: CategoryMatches) -> Option<Self> {
        let instances = matches.areas[0].instances;
        if instances == 0 {
            return None;
        }
        let all = sorted(&matches.areas[0], MAX_DETECTIONS);
        let few = [1, 10].map(|limit| {
            let outcomes = sorted(&matches.areas[0], limit);
            std::array::from_fn(|step| largest_recall(&outcomes, step, instances))
        });
        Some(Self {
            category: matches.category,
            images: matches.images,
            instances,
            areas: matches.areas.each_ref().map(AreaCurves::of),
            recall_of_few: few,
            decisions: running_hits(&all),
        })
    }

    fn average_precision(&self, step: usize) -> f64 {
        self.areas[0]
            .as_ref()
            .map_or(-1.0, |area| mean(area.precision[step].iter().copied()))
    }

    /// Precision and recall at IoU 0.50 when only scores of at least `confidence` count.
    fn at(&self, confidence: f64) -> (f64, f64) {
        let taken = self
            .decisions
            .partition_point(|(score, _)| *score >= confidence);
        let hits = taken
            .checked_sub(1)
            .map_or(0, |last| self.decisions[last].1) as f64;
        (hits / taken.max(1) as f64, hits / self.instances as f64)
    }
}

impl AreaCurves {
    fn of(matches: &AreaMatches) -> Option<Self> {
        if matches.instances == 0 {
            return None;
        }
        let outcomes = sorted(matches, MAX_DETECTIONS);
        let precision = (0..IOU_THRESHOLDS)
            .map(|step| precision_at_recalls(&outcomes, step, matches.instances))
            .collect();
        let recall = std::array::from_fn(|step| largest_recall(&outcomes, step, matches.instances));
        Some(Self { precision, recall })
    }
}

/// All figures but the confusion matrix, which comes back empty.
pub(super) fn finish(classes: &[Curves]) -> CocoStats {
    let precision = |area: usize, steps: std::ops::Range<usize>| {
        mean(classes.iter().flat_map(|class| {
            let steps = steps.clone();
            let curves = class.areas[area].iter();
            curves.flat_map(move |curves| curves.precision[steps.clone()].iter().flatten().copied())
        }))
    };
    let recall = |area: usize| {
        mean(classes.iter().flat_map(|class| {
            let curves = class.areas[area].iter();
            curves.flat_map(|curves| curves.recall)
        }))
    };
    let recall_of_few =
        |few: usize| mean(classes.iter().flat_map(|class| class.recall_of_few[few]));
    let every = 0..IOU_THRESHOLDS;
    let stats = [
        precision(0, every.clone()),
        precision(0, 0..1),
        precision(0, 5..6),
        precision(1, every.clone()),
        precision(2, every.clone()),
        precision(3, every),
        recall_of_few(0),
        recall_of_few(1),
        recall(0),
        recall(1),
        recall(2),
        recall(3),
    ];
    let confidence = best_confidence(classes);
    let per_class: Vec<_> = classes
        .iter()
        .map(|class| class_stats(class, confidence))
        .collect();
    CocoStats {
        stats,
        precision: mean(per_class.iter().map(|class| class.precision)),
        recall: mean(per_class.iter().map(|class| class.recall)),
        classes: per_class,
        confidence,
        confusion: ConfusionMatrix::default(),
    }
}

fn class_stats(class: &Curves, confidence: f64) -> ClassStats {
    let (precision, recall) = class.at(confidence);
    let curve = class.areas[0].as_ref().map(|area| area.precision[0]);
    ClassStats {
        category: class.category,
        images: class.images,
        instances: class.instances,
        ap50_95: mean((0..IOU_THRESHOLDS).map(|step| class.average_precision(step))),
        ap50: class.average_precision(0),
        precision,
        recall,
        precision_at_recall: curve.map_or_else(Vec::new, |curve| curve.to_vec()),
    }
}

/// The lowest confidence, in steps of a thousandth, with the largest mean F1.
fn best_confidence(classes: &[Curves]) -> f64 {
    let mut best = (0.0, 0.0);
    for step in 0..CONFIDENCE_STEPS {
        let confidence = step as f64 / CONFIDENCE_STEPS as f64;
        let f1 = mean(classes.iter().map(|class| {
            let (precision, recall) = class.at(confidence);
            2.0 * precision * recall / (precision + recall).max(f64::EPSILON)
        }));
        if f1 > best.1 {
            best = (confidence, f1);
        }
    }
    best.0
}

/// The outcomes in descending score; equals stay in the order of their images.
fn sorted(matches: &AreaMatches, limit: usize) -> Vec<Outcome> {
    let few = matches
        .outcomes
        .iter()
        .filter(|outcome| outcome.rank < limit);
    let mut outcomes: Vec<Outcome> = few.copied().collect();
    outcomes.sort_by(|a, b| descending(a.score, b.score));
    outcomes
}

/// Scores that count at a threshold, and whether they hit.
fn decisions(outcomes: &[Outcome], step: usize) -> impl Iterator<Item = (f64, bool)> {
    outcomes
        .iter()
        .filter(move |outcome| !outcome.ignored[step])
        .map(move |outcome| (outcome.score, outcome.hit[step]))
}

fn running_hits(outcomes: &[Outcome]) -> Vec<(f64, usize)> {
    let mut hits = 0;
    decisions(outcomes, 0)
        .map(|(score, hit)| {
            hits += usize::from(hit);
            (score, hits)
        })
        .collect()
}

fn largest_recall(outcomes: &[Outcome], step: usize, instances: usize) -> f64 {
    let hits = decisions(outcomes, step).filter(|(_, hit)| *hit).count();
    hits as f64 / instances as f64
}

fn precision_at_recalls(outcomes: &[Outcome], step: usize, instances: usize) -> [f64; RECALLS] {
    let mut hits = 0.0;
    let (recall, mut precision): (Vec<f64>, Vec<f64>) = decisions(outcomes, step)
        .enumerate()
        .map(|(index, (_, hit))| {
            hits += f64::from(u8::from(hit));
            let taken = index as f64 + 1.0;
            (hits / instances as f64, hits / (taken + f64::EPSILON))
        })
        .unzip();
    for index in (1..precision.len()).rev() {
        precision[index - 1] = precision[index - 1].max(precision[index]);
    }
    std::array::from_fn(|point| {
        let wanted = point as f64 * 0.01;
        let index = recall.partition_point(|&recall| recall < wanted);
        precision.get(index).copied().unwrap_or(0.0)
    })
}

/// The mean, or -1 of nothing.
fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0usize), |(sum, count), value| {
        (sum + value, count + 1)
    });
    if count == 0 { -1.0 } else { sum / count as f64 }
}
