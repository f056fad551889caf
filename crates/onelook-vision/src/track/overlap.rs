//! How much boxes of tracks and of detections overlap, in f32 as the reference computes it.

use onelook_types::BoxXyxy;

/// Intersection over union; a box without area overlaps nothing.
pub(super) fn iou(a: &BoxXyxy, b: &BoxXyxy) -> f32 {
    let width = (a.x2.min(b.x2) - a.x1.max(b.x1)).max(0.0);
    let height = (a.y2.min(b.y2) - a.y1.max(b.y1)).max(0.0);
    let intersection = width * height;
    let areas = (a.x2 - a.x1) * (a.y2 - a.y1) + (b.x2 - b.x1) * (b.y2 - b.y1);
    intersection / (areas - intersection + 1e-7)
}

/// What the heights of two boxes have in common of what they span together; 0 for boxes apart.
pub(super) fn height_iou(a: &BoxXyxy, b: &BoxXyxy) -> f32 {
    let common = (a.y2.min(b.y2) - a.y1.max(b.y1)).max(0.0);
    common / (a.y2.max(b.y2) - a.y1.min(b.y1))
}
