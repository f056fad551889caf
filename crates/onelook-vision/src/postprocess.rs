//! Network outputs in, detections on the original picture out.
//!
//! Keeps what is sure enough, drops what overlaps something surer (unless the network was trained to
//! answer once per object), scales boxes back. The answer for one picture of a batch never depends
//! on the others, on a clock or on the number of threads.

pub(crate) mod rank;

use onelook_types::{
    BoxXyxy, DetectHead, Detection, Detections, HeadOutputs, LetterboxPlacement, Tensor, Thresholds,
};

use crate::VisionError;
use crate::head::{self, Level};
use crate::letterbox::scale_back;
use crate::nms::Suppressor;
use rank::Candidate;

/// Only so many candidates, the surest, take part in the suppression.
pub const MAX_CANDIDATES: usize = 30_000;

/// The detections on picture `batch_index` of the batch, the surest first.
///
/// Equally sure ones come in the order of their anchors (finest level first, row by row), then of
/// their classes. Boxes with a coordinate that is no number are dropped.
pub fn postprocess(
    outputs: &[Tensor],
    batch_index: usize,
    head: &DetectHead,
    thresholds: &Thresholds,
    placement: &LetterboxPlacement,
) -> Result<Detections, VisionError> {
    let found = if head.outputs == HeadOutputs::DecodedEndToEnd {
        read_rows(outputs, batch_index, head, thresholds)?
    } else {
        let levels = head::levels(outputs, batch_index, head)?;
        if head.end_to_end {
            take_surest(&levels, thresholds)
        } else {
            suppress(&levels, thresholds)
        }
    };
    let items = found
        .into_iter()
        .map(|detection| Detection {
            bbox: scale_back(detection.bbox, placement),
            ..detection
        })
        .collect();
    Ok(Detections { items })
}

/// One-to-many heads: candidates, then suppression until enough are kept.
fn suppress(levels: &[Level<'_>], thresholds: &Thresholds) -> Vec<Detection> {
    let admits = |class| thresholds.admits(class);
    let candidates = if thresholds.multi_label {
        rank::all_labels(levels, thresholds.confidence, admits, MAX_CANDIDATES)
    } else {
        rank::best_labels(levels, thresholds.confidence, admits, MAX_CANDIDATES)
    };
    let mut boxes = BoxCache::new(levels);
    let mut suppressor = Suppressor::new(thresholds.iou, thresholds.agnostic);
    candidates
        .iter()
        .map(|candidate| boxes.detection(candidate))
        .filter(|found| is_finite(&found.bbox) && suppressor.keeps(found.bbox, found.class))
        .take(thresholds.max_detections)
        .collect()
}

/// End-to-end heads: the surest pairs of anchor and class; the class filter comes last.
fn take_surest(levels: &[Level<'_>], thresholds: &Thresholds) -> Vec<Detection> {
    let (confidence, limit) = (thresholds.confidence, thresholds.max_detections);
    let candidates = if thresholds.agnostic {
        rank::best_labels(levels, confidence, |_| true, limit)
    } else {
        rank::all_labels(levels, confidence, |_| true, limit)
    };
    let mut boxes = BoxCache::new(levels);
    candidates
        .iter()
        .filter(|candidate| thresholds.admits(candidate.class))
        .map(|candidate| boxes.detection(candidate))
        .filter(|found| is_finite(&found.bbox))
        .collect()
}

/// Exported end-to-end models: rows of two corners, confidence, class.
fn read_rows(
    outputs: &[Tensor],
    picture: usize,
    head: &DetectHead,
    thresholds: &Thresholds,
) -> Result<Vec<Detection>, VisionError> {
    let batch = head::batch_size(outputs, head)?;
    if picture >= batch {
        return Err(VisionError::BatchIndex {
            index: picture,
            batch,
        });
    }
    if outputs[0].shape()[2] != 6 {
        let expected = "rows of 6 values".to_owned();
        return Err(head::wrong_shape(0, expected, &outputs[0]));
    }
    let (rows, _) = head::picture_values(&outputs[0], picture).as_chunks::<6>();
    let mut found: Vec<Detection> = rows
        .iter()
        .filter(|row| row[4] > thresholds.confidence && row[5] >= 0.0)
        .map(|&[x1, y1, x2, y2, confidence, class]| Detection {
            bbox: BoxXyxy { x1, y1, x2, y2 },
            class: class as usize,
            confidence,
        })
        .filter(|found| found.class < head.classes && is_finite(&found.bbox))
        .collect();
    found.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
    found.truncate(thresholds.max_detections);
    found.retain(|found| thresholds.admits(found.class));
    Ok(found)
}

fn is_finite(bbox: &BoxXyxy) -> bool {
    [bbox.x1, bbox.y1, bbox.x2, bbox.y2]
        .iter()
        .all(|side| side.is_finite())
}

/// Boxes by anchor: with many classes per anchor each is decoded once.
struct BoxCache<'a> {
    levels: &'a [Level<'a>],
    boxes: Vec<Vec<Option<BoxXyxy>>>,
}

impl<'a> BoxCache<'a> {
    fn new(levels: &'a [Level<'a>]) -> Self {
        let boxes = levels.iter().map(|level| vec![None; level.cells]).collect();
        Self { levels, boxes }
    }

    fn detection(&mut self, candidate: &Candidate) -> Detection {
        let slot = &mut self.boxes[candidate.level][candidate.cell];
        let bbox = *slot.get_or_insert_with(|| self.levels[candidate.level].bbox(candidate.cell));
        Detection {
            bbox,
            class: candidate.class,
            confidence: candidate.score,
        }
    }
}
