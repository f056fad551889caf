//! Non-maximum suppression: of boxes that overlap much, the one of the highest score stays.
//!
//! Greedy, deterministic and without a time limit: the outcome depends on the candidates alone.

use std::collections::BTreeMap;

use onelook_types::{BoxXyxy, Instances};

/// The candidates that stay, as indices into `candidates`, highest score first.
///
/// A candidate is dropped when it overlaps one of a higher score that stays by more than
/// `iou_threshold`; candidates of different classes never suppress each other unless `agnostic`. Among
/// candidates of equal scores the one that comes first counts as higher.
pub fn nms(candidates: &Instances, iou_threshold: f32, agnostic: bool) -> Vec<usize> {
    nms_limited(candidates, iou_threshold, agnostic, usize::MAX)
}

/// As [`nms`], but stops after `limit` boxes: the first `limit` entries of its answer.
pub fn nms_limited(
    candidates: &Instances,
    iou_threshold: f32,
    agnostic: bool,
    limit: usize,
) -> Vec<usize> {
    let (boxes, classes, scores) = (
        candidates.boxes(),
        candidates.classes(),
        candidates.scores(),
    );
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    let mut suppressor = Suppressor::new(iou_threshold, agnostic);
    order
        .into_iter()
        .filter(|&index| suppressor.keeps(boxes[index], classes[index]))
        .take(limit)
        .collect()
}

/// The boxes kept so far; takes candidates one by one in descending confidence.
pub(crate) struct Suppressor {
    iou_threshold: f32,
    agnostic: bool,
    kept: BTreeMap<usize, Kept>,
}

impl Suppressor {
    pub(crate) fn new(iou_threshold: f32, agnostic: bool) -> Self {
        Self {
            iou_threshold: iou_threshold.max(0.0),
            agnostic,
            kept: BTreeMap::new(),
        }
    }

    /// Whether the candidate stays; if so, it suppresses those that follow.
    pub(crate) fn keeps(&mut self, bbox: BoxXyxy, class: usize) -> bool {
        let class = if self.agnostic { 0 } else { class };
        let rivals = self.kept.entry(class).or_default();
        let stays = !rivals.any_overlaps(&bbox, self.iou_threshold);
        if stays {
            rivals.push(&bbox);
        }
        stays
    }
}

/// Boxes that are compared with a candidate at once.
const LANES: usize = 16;

/// Kept boxes of one class, in blocks that the compiler turns into vector instructions.
#[derive(Default)]
struct Kept {
    blocks: Vec<Block>,
    length: usize,
}

/// Sides and areas by lane. A free lane holds a box that overlaps nothing.
struct Block {
    x1: [f32; LANES],
    y1: [f32; LANES],
    x2: [f32; LANES],
    y2: [f32; LANES],
    area: [f32; LANES],
}

impl Kept {
    fn push(&mut self, bbox: &BoxXyxy) {
        let lane = self.length % LANES;
        if lane == 0 {
            self.blocks.push(Block::FREE);
        }
        self.length += 1;
        let block = self
            .blocks
            .last_mut()
            .expect("a block was just there or added");
        block.x1[lane] = bbox.x1;
        block.y1[lane] = bbox.y1;
        block.x2[lane] = bbox.x2;
        block.y2[lane] = bbox.y2;
        block.area[lane] = bbox.area();
    }

    fn any_overlaps(&self, bbox: &BoxXyxy, threshold: f32) -> bool {
        let area = bbox.area();
        self.blocks
            .iter()
            .any(|block| block.any_overlaps(bbox, area, threshold))
    }
}

impl Block {
    const FREE: Self = Self {
        x1: [f32::INFINITY; LANES],
        y1: [f32::INFINITY; LANES],
        x2: [f32::NEG_INFINITY; LANES],
        y2: [f32::NEG_INFINITY; LANES],
        area: [0.0; LANES],
    };

    fn any_overlaps(&self, bbox: &BoxXyxy, area: f32, threshold: f32) -> bool {
        let mut any = false;
        for lane in 0..LANES {
            let width = least(self.x2[lane], bbox.x2) - most(self.x1[lane], bbox.x1);
            let height = least(self.y2[lane], bbox.y2) - most(self.y1[lane], bbox.y1);
            let intersection = most(width, 0.0) * most(height, 0.0);
            any |= intersection / (self.area[lane] + area - intersection) > threshold;
        }
        any
    }
}

/// As `f32::min` for numbers, but one instruction: NaN may come out as either.
fn least(a: f32, b: f32) -> f32 {
    if a < b { a } else { b }
}

/// As `f32::max`, likewise.
fn most(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}
