//! Boxes that non-maximum suppression dropped and that a tracker may still take (TrackTrack, Shim et
//! al., CVPR 2025): the same outputs, suppressed much less, without what was kept.

use onelook_types::{Head, Instances, LetterboxPlacement, Prediction, Tensor, Thresholds};

use crate::VisionError;
use crate::postprocess::postprocess;

/// Boxes that overlap another by more are dropped here too.
const IOU: f32 = 0.95;
/// A box that overlaps a kept one by so much is that one.
const SAME_IOU: f32 = 0.97;
/// Less confident boxes are nothing to a tracker.
const CONFIDENCE: f32 = 0.6;

/// What [`postprocess`] with these thresholds dropped of image `index`, `kept` being what it gave;
/// highest score first, only confidences above 0.6.
///
/// # Errors
/// As [`postprocess`].
pub fn suppressed(
    outputs: &[Tensor],
    index: usize,
    head: &Head,
    thresholds: &Thresholds,
    placement: &LetterboxPlacement,
    kept: &Instances,
) -> Result<Instances, VisionError> {
    let looser = Thresholds {
        iou: IOU,
        confidence: thresholds.confidence.max(CONFIDENCE),
        ..thresholds.clone()
    };
    let found = match postprocess(outputs, index, head, &looser, placement)? {
        Prediction::Instances(found) => found,
        Prediction::Classification(_) => return Ok(Instances::default()),
    };
    let is_new = |&row: &usize| {
        let bbox = &found.boxes()[row];
        kept.boxes().iter().all(|other| bbox.iou(other) < SAME_IOU)
    };
    let rows: Vec<usize> = (0..found.len()).filter(is_new).collect();
    Ok(found.select(&rows))
}
