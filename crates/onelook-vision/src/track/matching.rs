//! Costs of pairs of a track and a detection, and the pairs of least total cost.

use onelook_types::{BoxXyxy, Instances};

use super::assignment::{Assignment, CostMatrix, assign};
use super::is_trackable;
use super::lifecycle::{Track, Tracks};
use super::overlap::iou;

/// What pairs are judged by.
#[derive(Debug, Clone, Copy)]
pub(super) struct MatchBy {
    pub box_of: BoxOf,
    /// The overlap is multiplied by the detection's confidence.
    pub fuse_score: bool,
    /// A pair of two classes is never matched.
    pub per_class: bool,
}

/// Where a track is taken to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BoxOf {
    /// Where its filter says.
    Filter,
    /// Where it was seen last.
    LastSighting,
}

/// Matches some of the tracks with some of the detections; the answer names both by their own index.
pub(super) fn matched(
    tracks: &Tracks,
    rows: &[usize],
    detections: &Instances,
    columns: &[usize],
    by: MatchBy,
    limit: f64,
) -> Assignment {
    matched_with(tracks, rows, detections, columns, by, limit, |_, _| 0.0)
}

/// As [`matched`], with a further cost of each pair.
pub(super) fn matched_with(
    tracks: &Tracks,
    rows: &[usize],
    detections: &Instances,
    columns: &[usize],
    by: MatchBy,
    limit: f64,
    further: impl Fn(&Track, &BoxXyxy) -> f64,
) -> Assignment {
    let place = |&row: &usize| match by.box_of {
        BoxOf::Filter => tracks[row].filter.bbox(),
        BoxOf::LastSighting => tracks[row].last_sighting().1,
    };
    let places: Vec<BoxXyxy> = rows.iter().map(place).collect();
    let costs = CostMatrix::new(rows.len(), columns.len(), |row, column| {
        let (track, detection) = (&tracks[rows[row]], columns[column]);
        if by.per_class && track.class != detections.classes()[detection] {
            return f64::INFINITY;
        }
        let bbox = &detections.boxes()[detection];
        let distance = 1.0 - iou(&places[row], bbox);
        let cost = match by.fuse_score {
            // In f32 and in this order, as the reference computes it.
            true => 1.0 - (1.0 - distance) * detections.scores()[detection],
            false => distance,
        };
        f64::from(cost) + further(track, bbox)
    });
    assign(&costs, limit).named(rows, columns)
}

/// Detections of at least the high threshold, and those above the low one.
pub(super) fn split_by_score(
    detections: &Instances,
    high: f32,
    low: f32,
) -> (Vec<usize>, Vec<usize>) {
    let is_above_low = |&index: &usize| {
        let score = detections.scores()[index];
        is_trackable(&detections.boxes()[index]) && (score >= high || score > low)
    };
    (0..detections.len())
        .filter(is_above_low)
        .partition(|&index| detections.scores()[index] >= high)
}
