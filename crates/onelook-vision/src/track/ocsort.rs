//! OC-SORT (arXiv:2203.14360), as the Python reference defines it: what was seen counts for more than
//! what the filter says. A pair costs more when it turns the track's direction, and what the filter
//! misses may be found where it was seen last.

use onelook_types::{BoxXyxy, Instances};
use serde::{Deserialize, Serialize};

use super::bytetrack::{ByteTrackOptions, LOW_MATCH_THRESHOLD, UNCONFIRMED_MATCH_THRESHOLD};
use super::camera_motion::CameraMotion;
use super::kalman::BoxForm;
use super::lifecycle::{LifeRules, State, Track, Tracks};
use super::matching::{BoxOf, MatchBy, matched, matched_with, split_by_score};
use super::{FrameInfo, Tracker, TrackerState};

/// What decides between tracking and losing an object.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct OcSortOptions {
    /// Thresholds that mean what they mean for ByteTrack.
    pub base: ByteTrackOptions,
    /// A track's direction is that from this many frames back to its last sighting.
    pub direction_frames: u32,
    /// What a pair costs that turns the direction by half a circle.
    pub direction_weight: f64,
    /// Detections of low confidence are matched too, as in ByteTrack.
    pub use_low: bool,
}

impl Default for OcSortOptions {
    fn default() -> Self {
        Self {
            base: ByteTrackOptions::default(),
            direction_frames: 3,
            direction_weight: 0.2,
            use_low: false,
        }
    }
}

/// Pixels; a shorter way has no direction.
const NO_WAY: f64 = 1e-6;

/// OC-SORT for one stream.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OcSort {
    options: OcSortOptions,
    tracks: Tracks,
}

impl OcSort {
    /// A tracker that has seen nothing.
    pub fn new(options: OcSortOptions) -> Self {
        let history = options.direction_frames as usize + 1;
        Self {
            options,
            tracks: Tracks::new(LifeRules {
                form: BoxForm::AspectHeight,
                history,
                confirm_after: 2,
                first_frame_is_young: false,
                noise_by_score: false,
                camera_first: false,
            }),
        }
    }

    /// What it costs to turn the track towards this box.
    fn turn(&self, track: &Track, bbox: &BoxXyxy) -> f64 {
        let (now, last) = track.last_sighting();
        let mut before = track.sightings.iter().rev().skip(1);
        let frames = u64::from(self.options.direction_frames);
        // The last sighting that is so many frames ago, or else the first one.
        let is_far = |&&(frame, _): &&(u64, BoxXyxy)| now - frame >= frames;
        let Some(&(_, from)) = before.clone().find(is_far).or_else(|| before.next_back()) else {
            return 0.0;
        };
        let (a, b) = (step(&from, &last), step(&last, bbox));
        let way = b[0].hypot(b[1]);
        if way <= NO_WAY {
            return 0.0;
        }
        let length = a[0].hypot(a[1]) * way;
        let cosine = (a[0] * b[0] + a[1] * b[1]) / length.max(1e-6);
        self.options.direction_weight * cosine.clamp(-1.0, 1.0).acos() / std::f64::consts::PI
    }
}

/// From the centre of one box to that of another.
fn step(from: &BoxXyxy, to: &BoxXyxy) -> [f64; 2] {
    let centre =
        |bbox: &BoxXyxy| [(bbox.x1 + bbox.x2) / 2.0, (bbox.y1 + bbox.y2) / 2.0].map(f64::from);
    let ([x1, y1], [x2, y2]) = (centre(from), centre(to));
    [x2 - x1, y2 - y1]
}

impl Tracker for OcSort {
    fn update(&mut self, detections: &Instances, _: &FrameInfo) -> Instances {
        let options = self.options.base;
        let by_overlap = MatchBy {
            box_of: BoxOf::Filter,
            fuse_score: false,
            per_class: options.per_class,
        };
        let by_score = MatchBy {
            fuse_score: options.fuse_score,
            ..by_overlap
        };
        let by_last_sighting = MatchBy {
            box_of: BoxOf::LastSighting,
            ..by_score
        };
        let (high, low) = split_by_score(detections, options.high_threshold, options.low_threshold);
        self.tracks.predict(&CameraMotion::STILL);
        let pool = self.tracks.of_states(&[State::Tracked, State::Lost]);
        let unconfirmed = self.tracks.of_states(&[State::Unconfirmed]);

        let first = matched_with(
            &self.tracks,
            &pool,
            detections,
            &high,
            by_score,
            options.match_threshold,
            |track, bbox| self.turn(track, bbox),
        );
        self.tracks.see(&first.pairs, detections);
        let tracks = &mut self.tracks;

        let (tracked, lost): (Vec<usize>, Vec<usize>) = first
            .rows
            .iter()
            .partition(|&&track| tracks[track].state == State::Tracked);
        let again = matched(
            tracks,
            &tracked,
            detections,
            &first.columns,
            by_last_sighting,
            options.match_threshold,
        );
        tracks.see_after_gap(&again.pairs, detections);
        let found = matched(
            tracks,
            &lost,
            detections,
            &again.columns,
            by_last_sighting,
            options.match_threshold,
        );
        tracks.see_after_gap(&found.pairs, detections);
        let mut unseen = again.rows;
        if self.options.use_low {
            let second = matched(
                tracks,
                &unseen,
                detections,
                &low,
                by_overlap,
                LOW_MATCH_THRESHOLD,
            );
            tracks.see(&second.pairs, detections);
            unseen = second.rows;
        }
        tracks.lose(&unseen);

        let third = matched(
            tracks,
            &unconfirmed,
            detections,
            &found.columns,
            by_score,
            UNCONFIRMED_MATCH_THRESHOLD,
        );
        tracks.see(&third.pairs, detections);
        for detection in third.columns {
            if detections.scores()[detection] >= options.new_threshold {
                tracks.begin(detection, detections);
            }
        }
        tracks.sweep(options.buffer, options.per_class);
        tracks.report(detections)
    }

    fn has_unconfirmed(&self) -> bool {
        self.tracks.has_unconfirmed()
    }

    fn state(&self) -> TrackerState {
        TrackerState::OcSort(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use onelook_types::Instance;

    use super::*;

    fn at(x: f32) -> BoxXyxy {
        BoxXyxy {
            x1: x,
            y1: 0.0,
            x2: x + 40.0,
            y2: 100.0,
        }
    }

    #[test]
    fn what_stands_still_pays_for_no_turn() {
        let mut tracker = OcSort::new(OcSortOptions::default());
        for x in [0.0, 2.0, 4.0] {
            let seen = [Instance::new(at(x), 0, 0.9)].into_iter().collect();
            tracker.update(&seen, &FrameInfo::default());
        }
        let [track] = tracker.tracks.of_states(&[State::Tracked])[..] else {
            panic!("one track");
        };
        let turn = |x| tracker.turn(&tracker.tracks[track], &at(x));
        assert_eq!(turn(4.0), 0.0);
        assert!(turn(6.0) < 1e-6 && turn(2.0) > 0.19);
    }
}
