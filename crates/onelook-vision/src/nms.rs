//! Non-maximum suppression: of boxes that overlap much, the surest stays.
//!
//! Greedy, deterministic and without a time limit: the outcome depends on the candidates alone.

use std::collections::BTreeMap;

use onelook_types::{BoxXyxy, Detection};

/// The candidates that stay, as indices into `candidates`, the surest first.
///
/// A candidate goes when it overlaps a surer one that stays by more than `iou_threshold`; candidates
/// of different classes never suppress each other unless `agnostic`. Among equally sure candidates
/// the one that comes first in the slice counts as surer.
pub fn nms(candidates: &[Detection], iou_threshold: f32, agnostic: bool) -> Vec<usize> {
    nms_limited(candidates, iou_threshold, agnostic, usize::MAX)
}

/// As [`nms`], but stops after `limit` boxes: the first `limit` entries of its answer.
pub fn nms_limited(
    candidates: &[Detection],
    iou_threshold: f32,
    agnostic: bool,
    limit: usize,
) -> Vec<usize> {
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by(|&a, &b| {
        candidates[b]
            .confidence
            .total_cmp(&candidates[a].confidence)
    });
    let mut suppressor = Suppressor::new(iou_threshold, agnostic);
    order
        .into_iter()
        .filter(|&index| suppressor.keeps(candidates[index].bbox, candidates[index].class))
        .take(limit)
        .collect()
}

/// The boxes kept so far; takes candidates one by one in descending confidence.
pub(crate) struct Suppressor {
    iou_threshold: f32,
    agnostic: bool,
    kept: BTreeMap<usize, Vec<Kept>>,
}

struct Kept {
    bbox: BoxXyxy,
    area: f32,
}

impl Suppressor {
    pub(crate) fn new(iou_threshold: f32, agnostic: bool) -> Self {
        Self {
            iou_threshold,
            agnostic,
            kept: BTreeMap::new(),
        }
    }

    /// Whether the candidate stays; if so, it suppresses those that follow.
    pub(crate) fn keeps(&mut self, bbox: BoxXyxy, class: usize) -> bool {
        let area = bbox.area();
        let rivals = self
            .kept
            .entry(if self.agnostic { 0 } else { class })
            .or_default();
        let suppressed = rivals
            .iter()
            .any(|rival| overlap(rival, &bbox, area) > self.iou_threshold);
        if !suppressed {
            rivals.push(Kept { bbox, area });
        }
        !suppressed
    }
}

fn overlap(rival: &Kept, bbox: &BoxXyxy, area: f32) -> f32 {
    let width = rival.bbox.x2.min(bbox.x2) - rival.bbox.x1.max(bbox.x1);
    let height = rival.bbox.y2.min(bbox.y2) - rival.bbox.y1.max(bbox.y1);
    if width <= 0.0 || height <= 0.0 {
        return 0.0;
    }
    let intersection = width * height;
    intersection / (rival.area + area - intersection)
}
