//! ByteTrack (arXiv:2110.06864), as the Python reference defines it: every box counts, those of low
//! confidence only for tracks that would be lost.
//!
//! Time plays no role: the buffer is in frames.

use onelook_types::Instances;
use serde::{Deserialize, Serialize};

use super::camera_motion::CameraMotion;
use super::kalman::BoxForm;
use super::lifecycle::{LifeRules, State, Tracks};
use super::matching::{BoxOf, MatchBy, matched, split_by_score};
use super::{FrameInfo, Tracker, TrackerState};

/// What decides between tracking and losing an object.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ByteTrackOptions {
    /// Least confidence of detections that are matched first.
    pub high_threshold: f32,
    /// Detections above this confidence are matched second.
    pub low_threshold: f32,
    /// Least confidence of a detection that begins a track.
    pub new_threshold: f32,
    /// Frames for which a lost track is kept.
    pub buffer: u64,
    /// A pair of the first matching costs less than this.
    pub match_threshold: f64,
    /// The first matching's cost counts the detection's confidence.
    pub fuse_score: bool,
    /// Tracks and detections of different classes are never matched.
    pub per_class: bool,
}

impl Default for ByteTrackOptions {
    fn default() -> Self {
        Self {
            high_threshold: 0.25,
            low_threshold: 0.1,
            new_threshold: 0.25,
            buffer: 30,
            match_threshold: 0.8,
            fuse_score: true,
            per_class: false,
        }
    }
}

/// The second matching, by overlap alone.
pub(super) const LOW_MATCH_THRESHOLD: f64 = 0.5;
/// The matching of tracks that were seen once.
pub(super) const UNCONFIRMED_MATCH_THRESHOLD: f64 = 0.7;

/// ByteTrack for one stream.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ByteTrack {
    options: ByteTrackOptions,
    follows_camera: bool,
    tracks: Tracks,
}

impl ByteTrack {
    /// A tracker that has seen nothing.
    pub fn new(options: ByteTrackOptions) -> Self {
        Self::with_form(options, BoxForm::AspectHeight)
    }

    /// The same matching with boxes described in another way.
    pub(super) fn with_form(options: ByteTrackOptions, form: BoxForm) -> Self {
        Self {
            options,
            follows_camera: form == BoxForm::WidthHeight,
            tracks: Tracks::new(LifeRules {
                form,
                history: 1,
                confirm_after: 2,
                first_frame_is_young: false,
                noise_by_score: false,
                camera_first: false,
            }),
        }
    }
}

impl Tracker for ByteTrack {
    fn update(&mut self, detections: &Instances, frame: &FrameInfo) -> Instances {
        let options = self.options;
        let by_overlap = MatchBy {
            box_of: BoxOf::Filter,
            fuse_score: false,
            per_class: options.per_class,
        };
        let by_score = MatchBy {
            fuse_score: options.fuse_score,
            ..by_overlap
        };
        let (high, low) = split_by_score(detections, options.high_threshold, options.low_threshold);
        let tracks = &mut self.tracks;
        tracks.predict(&match self.follows_camera {
            true => frame.camera_motion,
            false => CameraMotion::STILL,
        });
        let pool = tracks.of_states(&[State::Tracked, State::Lost]);
        let unconfirmed = tracks.of_states(&[State::Unconfirmed]);

        let first = matched(
            tracks,
            &pool,
            detections,
            &high,
            by_score,
            options.match_threshold,
        );
        let mut unseen = first.rows;
        unseen.retain(|&track| tracks[track].state == State::Tracked);
        tracks.see(&first.pairs, detections);

        let second = matched(
            tracks,
            &unseen,
            detections,
            &low,
            by_overlap,
            LOW_MATCH_THRESHOLD,
        );
        tracks.see(&second.pairs, detections);
        tracks.lose(&second.rows);

        let third = matched(
            tracks,
            &unconfirmed,
            detections,
            &first.columns,
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
        TrackerState::ByteTrack(self.clone())
    }
}
