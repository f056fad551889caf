//! TrackTrack (Shim et al., CVPR 2025) without appearance, as the Python reference defines it: every
//! detection down to the low threshold is offered to every track at once, those of low confidence and
//! those that non-maximum suppression dropped at a price, and pairs that prefer each other are taken
//! round by round.

use onelook_types::{BoxXyxy, Instances};
use serde::{Deserialize, Serialize};

use super::assignment::{Assignment, CostMatrix, mutual_pairs};
use super::kalman::BoxForm;
use super::lifecycle::{LifeRules, State, Track, Tracks};
use super::overlap::{height_iou, iou};
use super::{FrameInfo, Tracker, TrackerState, corners, is_trackable};

/// A pair that overlaps by no more costs as much as any pair can.
const MIN_IOU: f32 = 0.1;
const MAX_COST: f64 = 1.0;

/// What decides between tracking and losing an object.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TrackTrackOptions {
    /// Least confidence of detections that are offered without a price.
    pub high_threshold: f32,
    /// Detections above this confidence are offered at all.
    pub low_threshold: f32,
    /// A detection above this confidence may begin a track.
    pub new_threshold: f32,
    /// Frames for which a lost track is kept.
    pub buffer: u64,
    /// A pair of the first round costs less than this.
    pub match_threshold: f64,
    /// By how much that falls from round to round.
    pub threshold_step: f64,
    /// What the overlap counts in the cost.
    pub overlap_weight: f64,
    /// What a confidence that changes counts in the cost.
    pub score_weight: f64,
    /// What corners that turn count in the cost.
    pub turn_weight: f64,
    /// What a detection below the high threshold costs in addition.
    pub low_penalty: f64,
    /// What a box that non-maximum suppression dropped costs in addition.
    pub suppressed_penalty: f64,
    /// A detection that overlaps a track by more than this begins none.
    pub new_max_iou: f32,
    /// Sightings after which a track is confirmed.
    pub confirm_after: usize,
    /// Tracks and detections of different classes are never matched.
    pub per_class: bool,
}

impl Default for TrackTrackOptions {
    fn default() -> Self {
        Self {
            high_threshold: 0.6,
            low_threshold: 0.25,
            new_threshold: 0.7,
            buffer: 30,
            match_threshold: 0.7,
            threshold_step: 0.05,
            overlap_weight: 1.0,
            score_weight: 0.1,
            turn_weight: 0.05,
            low_penalty: 0.2,
            suppressed_penalty: 0.4,
            new_max_iou: 0.55,
            confirm_after: 3,
            per_class: false,
        }
    }
}

/// TrackTrack for one stream.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TrackTrack {
    options: TrackTrackOptions,
    tracks: Tracks,
}

impl TrackTrack {
    /// A tracker that has seen nothing.
    pub fn new(options: TrackTrackOptions) -> Self {
        let rules = LifeRules {
            form: BoxForm::WidthHeight,
            history: corners::FRAMES as usize + 1,
            confirm_after: options.confirm_after,
            first_frame_is_young: true,
            noise_by_score: true,
            camera_first: true,
        };
        Self {
            options,
            tracks: Tracks::new(rules),
        }
    }

    /// Pairs of these tracks and detections that prefer each other. Detections from `kept` on are those
    /// that were suppressed.
    fn matched(
        &self,
        rows: &[usize],
        detections: &Instances,
        kept: usize,
        columns: &[usize],
    ) -> Assignment {
        let options = &self.options;
        let boxes: Vec<BoxXyxy> = rows.iter().map(|&t| self.tracks[t].filter.bbox()).collect();
        let costs = CostMatrix::new(rows.len(), columns.len(), |row, column| {
            let (track, detection) = (&self.tracks[rows[row]], columns[column]);
            if options.per_class && track.class != detections.classes()[detection] {
                return f64::INFINITY;
            }
            let (bbox, score) = (
                &detections.boxes()[detection],
                detections.scores()[detection],
            );
            let plain = iou(&boxes[row], bbox);
            if plain <= MIN_IOU {
                return MAX_COST;
            }
            let overlap = plain * height_iou(&boxes[row], bbox);
            let [last, before] = track.scores;
            let score_change = f64::from((2.0 * last - before - score).abs());
            let turn = self.turn(track, bbox) * f64::from(score);
            let penalty = if detection >= kept {
                options.suppressed_penalty
            } else if score < options.high_threshold {
                options.low_penalty
            } else {
                0.0
            };
            let cost = options.overlap_weight * f64::from(1.0 - overlap)
                + options.score_weight * score_change
                + options.turn_weight * turn
                + penalty;
            cost.clamp(0.0, MAX_COST)
        });
        mutual_pairs(&costs, options.match_threshold, options.threshold_step).named(rows, columns)
    }

    /// How much the corners turn, as a part of half a circle.
    fn turn(&self, track: &Track, bbox: &BoxXyxy) -> f64 {
        let then = self.tracks.frame().checked_sub(corners::FRAMES);
        let mut sightings = track.sightings.iter();
        let from = sightings.find(|(frame, _)| Some(*frame) == then);
        let (_, from) = from.copied().unwrap_or(track.last_sighting());
        corners::turn(&track.motion, &from, bbox)
    }
}

impl Tracker for TrackTrack {
    fn update(&mut self, detections: &Instances, frame: &FrameInfo) -> Instances {
        let options = self.options;
        let (boxes, scores) = (detections.boxes(), detections.scores());
        let kept = detections.len().saturating_sub(frame.suppressed);
        let is_offered = |d: &usize| match *d < kept {
            true => scores[*d] > options.low_threshold,
            false => scores[*d] > options.high_threshold,
        };
        let all: Vec<usize> = (0..detections.len())
            .filter(|d| is_trackable(&boxes[*d]) && is_offered(d))
            .collect();
        self.tracks.predict(&frame.camera_motion);
        let pool = self.tracks.of_states(&[State::Tracked, State::Lost]);
        let unconfirmed = self.tracks.of_states(&[State::Unconfirmed]);

        let first = self.matched(&pool, detections, kept, &all);
        self.tracks.see(&first.pairs, detections);
        let mut unseen = first.rows;
        unseen.retain(|&track| self.tracks[track].state == State::Tracked);
        self.tracks.lose(&unseen);

        let mut high = first.columns;
        high.retain(|&detection| detection < kept && scores[detection] >= options.high_threshold);
        let second = self.matched(&unconfirmed, detections, kept, &high);
        self.tracks.see(&second.pairs, detections);

        let mut new = second.columns;
        new.retain(|&detection| scores[detection] > options.new_threshold);
        new.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
        // As in the reference, tracks that were found again block none.
        let mut occupied: Vec<BoxXyxy> = self
            .tracks
            .on_frame()
            .filter(|track| !track.is_found_again_on(self.tracks.frame()))
            .map(|track| track.filter.bbox())
            .collect();
        for detection in new {
            let bbox = boxes[detection];
            if occupied
                .iter()
                .all(|other| iou(other, &bbox) <= options.new_max_iou)
            {
                occupied.push(bbox);
                self.tracks.begin(detection, detections);
            }
        }
        self.tracks.sweep(options.buffer, options.per_class);
        self.tracks.report(detections)
    }

    fn has_unconfirmed(&self) -> bool {
        self.tracks.has_unconfirmed()
    }

    fn state(&self) -> TrackerState {
        TrackerState::TrackTrack(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use onelook_types::Instance;

    fn person(x: f32, score: f32) -> Instance<'static> {
        let bbox = BoxXyxy {
            x1: x,
            y1: 100.0,
            x2: x + 50.0,
            y2: 250.0,
        };
        Instance::new(bbox, 0, score)
    }

    /// Ids after frames of objects, the last ones of which were suppressed.
    fn ids(frames: &[(&[Instance<'static>], usize)]) -> Vec<Vec<u64>> {
        let mut tracker = TrackTrack::new(TrackTrackOptions::default());
        let frames = frames.iter().map(|&(objects, suppressed)| {
            let frame = FrameInfo {
                suppressed,
                ..FrameInfo::default()
            };
            let seen = tracker.update(&objects.iter().cloned().collect(), &frame);
            seen.iter().filter_map(|object| object.track_id).collect()
        });
        frames.collect()
    }

    #[test]
    fn a_suppressed_box_goes_on_with_a_confirmed_track_and_begins_none() {
        let (a, b) = (person(0.0, 0.9), person(300.0, 0.9));
        let both: &[_] = &[a, b];
        let frames = [(both, 0), (both, 0), (both, 0)];
        let with = [&frames[..], &[(both, 1)]].concat();
        assert_eq!(ids(&with)[3], [1, 2]);
        let without = [&frames[..], &[(&both[..1], 0)]].concat();
        assert_eq!(ids(&without)[3], [1]);
        let alone: &[_] = &[person(600.0, 0.9)];
        assert_eq!(ids(&[(alone, 1), (alone, 1), (alone, 1)]), [[0; 0]; 3]);
    }

    #[test]
    fn a_pair_that_hardly_overlaps_costs_most() {
        let frames: Vec<[Instance<'static>; 1]> = [0.0, 0.0, 0.0, 42.0, 42.0, 42.0]
            .map(|x| [person(x, 0.9)])
            .to_vec();
        let frames: Vec<(&[_], usize)> = frames.iter().map(|it| (&it[..], 0)).collect();
        assert_eq!(ids(&frames)[2], [1]);
        assert_eq!(ids(&frames)[5], [2]);
    }
}
