//! TrackTrack (Shim et al., CVPR 2025) without appearance, as the Python reference defines it: every
//! detection down to the low threshold is offered to every track at once, those of low confidence at a
//! price, and pairs that prefer each other are taken round by round.

use onelook_types::{BoxXyxy, Instances};

use super::assignment::{Assignment, CostMatrix, mutual_pairs};
use super::kalman::BoxForm;
use super::lifecycle::{LifeRules, State, Track, Tracks};
use super::overlap::{height_iou, iou};
use super::{FrameInfo, Tracker, corners, is_trackable};

/// What decides between tracking and losing an object.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrackTrackOptions {
    /// Least confidence of detections that are offered without a price.
    pub high_threshold: f32,
    /// Detections above this confidence are offered at all.
    pub low_threshold: f32,
    /// Least confidence of a detection that begins a track.
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
            new_max_iou: 0.55,
            confirm_after: 3,
            per_class: false,
        }
    }
}

/// TrackTrack for one stream.
#[derive(Debug, Clone)]
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
        };
        Self {
            options,
            tracks: Tracks::new(rules),
        }
    }

    /// Pairs of these tracks and detections that prefer each other.
    fn matched(&self, rows: &[usize], detections: &Instances, columns: &[usize]) -> Assignment {
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
            let overlap = iou(&boxes[row], bbox) * height_iou(&boxes[row], bbox);
            let [last, before] = track.scores;
            let score_change = f64::from((2.0 * last - before - score).abs());
            let turn = self.turn(track, bbox) * f64::from(score);
            let penalty = match score < options.high_threshold {
                true => options.low_penalty,
                false => 0.0,
            };
            options.overlap_weight * f64::from(1.0 - overlap)
                + options.score_weight * score_change
                + options.turn_weight * turn
                + penalty
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
        let all: Vec<usize> = (0..detections.len())
            .filter(|&d| is_trackable(&boxes[d]) && scores[d] > options.low_threshold)
            .collect();
        self.tracks.predict(&frame.camera_motion);
        let pool = self.tracks.of_states(&[State::Tracked, State::Lost]);
        let unconfirmed = self.tracks.of_states(&[State::Unconfirmed]);

        let first = self.matched(&pool, detections, &all);
        self.tracks.see(&first.pairs, detections);
        let mut unseen = first.rows;
        unseen.retain(|&track| self.tracks[track].state == State::Tracked);
        self.tracks.lose(&unseen);

        let mut high = first.columns;
        high.retain(|&detection| scores[detection] >= options.high_threshold);
        let second = self.matched(&unconfirmed, detections, &high);
        self.tracks.see(&second.pairs, detections);

        let mut new = second.columns;
        new.retain(|&detection| scores[detection] >= options.new_threshold);
        new.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
        let mut occupied: Vec<BoxXyxy> = self
            .tracks
            .on_frame()
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
}
