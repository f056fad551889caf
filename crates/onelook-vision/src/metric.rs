//! Ground truth and predictions in, the twelve COCO detection figures and more out.
//!
//! Equal to pycocotools' `COCOeval` for boxes (crowds, area ranges, at most 100 detections per
//! image and class). Never reads files; a caller turns its annotations into plain records.

mod accumulate;
mod confusion;
mod matching;

pub use confusion::{CONFUSION_CONFIDENCE, CONFUSION_IOU, ConfusionMatrix};

use accumulate::Curves;
use matching::Records;

/// Intersection-over-union thresholds: 0.50 to 0.95 by 0.05.
pub const IOU_THRESHOLDS: usize = 10;
/// Recalls at which precision is read: 0 to 1 by 0.01.
pub const RECALLS: usize = 101;

/// An object that is on an image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GroundTruth {
    /// Which image.
    pub image: u64,
    /// Which class.
    pub category: usize,
    /// Left, top, width, height in pixels.
    pub bbox: [f64; 4],
    /// Area in square pixels as annotated (that of the object, often less than the box's).
    pub area: f64,
    /// Whether the box is around a crowd: detections in it count neither for nor against.
    pub crowd: bool,
}

/// An object that a model claims to see.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CocoResult {
    /// Which image.
    pub image: u64,
    /// Which class.
    pub category: usize,
    /// Left, top, width, height in pixels.
    pub bbox: [f64; 4],
    /// Confidence, 0 to 1.
    pub score: f64,
}

/// The figures of one evaluation; a figure is -1 where no object counts towards it.
#[derive(Debug, Clone, PartialEq)]
pub struct CocoStats {
    /// In pycocotools' order: AP at IoU 0.50:0.95, 0.50, 0.75, small, medium, large; AR with at most
    /// 1, 10, 100 detections, small, medium, large.
    pub stats: [f64; 12],
    /// The classes that have ground truth, ascending by category.
    pub classes: Vec<ClassStats>,
    /// Mean precision over the classes at `confidence`.
    pub precision: f64,
    /// Mean recall over the classes at `confidence`.
    pub recall: f64,
    /// The confidence at which the classes' mean F1 at IoU 0.50 is largest.
    pub confidence: f64,
    /// Which class was taken for which.
    pub confusion: ConfusionMatrix,
}

impl CocoStats {
    /// Mean average precision over IoU 0.50 to 0.95.
    pub fn map50_95(&self) -> f64 {
        self.stats[0]
    }

    /// Mean average precision at IoU 0.50.
    pub fn map50(&self) -> f64 {
        self.stats[1]
    }
}

/// The figures of one class.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassStats {
    /// Which class.
    pub category: usize,
    /// Images with at least one object that counts.
    pub images: usize,
    /// Objects that count (crowds do not).
    pub instances: usize,
    /// Average precision over IoU 0.50 to 0.95.
    pub ap50_95: f64,
    /// Average precision at IoU 0.50.
    pub ap50: f64,
    /// Precision at the overall best confidence, IoU 0.50.
    pub precision: f64,
    /// Recall at the overall best confidence, IoU 0.50.
    pub recall: f64,
    /// Precision at recall 0.00, 0.01 … 1.00, IoU 0.50.
    pub precision_at_recall: Vec<f64>,
}

/// Evaluates predictions on these images; records of other images are left out.
///
/// Among equally sure predictions of a class on an image, those that come first in the slice are
/// matched first.
pub fn evaluate(
    ground_truth: &[GroundTruth],
    predictions: &[CocoResult],
    images: &[u64],
) -> CocoStats {
    let records = Records::new(ground_truth, predictions, images);
    let classes: Vec<Curves> = records.categories().filter_map(Curves::of).collect();
    let mut stats = accumulate::finish(&classes);
    stats.confusion = confusion::count(&records);
    stats
}

/// Intersection over union of two `[left, top, width, height]`; over the prediction's own area when
/// the other is a crowd.
fn iou(prediction: &[f64; 4], truth: &[f64; 4], crowd: bool) -> f64 {
    let [left, top, width, height] = *prediction;
    let [other_left, other_top, other_width, other_height] = *truth;
    let overlap_x = (left + width).min(other_left + other_width) - left.max(other_left);
    let overlap_y = (top + height).min(other_top + other_height) - top.max(other_top);
    if overlap_x <= 0.0 || overlap_y <= 0.0 {
        return 0.0;
    }
    let intersection = overlap_x * overlap_y;
    let union = if crowd {
        width * height
    } else {
        width * height + other_width * other_height - intersection
    };
    intersection / union
}
