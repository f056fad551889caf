//! The life of tracks in ByteTrack and its kin: begun, confirmed by a second sighting, lost, found
//! again, dropped. Which detection a track is on a frame is decided by each tracker.

use onelook_types::{BoxXyxy, Instances};
use serde::{Deserialize, Serialize};

use super::camera_motion::CameraMotion;
use super::corners::{Motion, motion};
use super::kalman::{BoxFilter, BoxForm};
use super::overlap::iou;
use super::{Report, reported};
use crate::saved_box;

/// Two tracks closer than this are the same object.
const DUPLICATE_DISTANCE: f32 = 0.15;
/// What is left of a measurement's variance at full confidence.
const MIN_VARIANCE: f64 = 0.05;

/// In what the trackers differ.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct LifeRules {
    pub form: BoxForm,
    /// How many sightings of each track are remembered.
    pub history: usize,
    /// Sightings after which a track is confirmed.
    pub confirm_after: usize,
    /// Tracks without enough sightings move on, but do not grow, and are dropped when they are missed,
    /// those of the first frame too. They come behind the others on the frame that confirms them.
    pub first_frame_is_young: bool,
    /// The more confident a detection, the more exact its box.
    pub noise_by_score: bool,
    /// The camera's motion comes before the prediction, and a track that is found again remembers its
    /// filtered box, not its detection.
    pub camera_first: bool,
}

/// The tracks of one stream: those on the last frame, then the lost.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Tracks {
    rules: LifeRules,
    frame: u64,
    last_id: u64,
    changes: u64,
    tracks: Vec<Track>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Track {
    id: u64,
    pub filter: BoxFilter,
    /// The filter after its last sighting.
    seen_filter: BoxFilter,
    pub state: State,
    pub class: usize,
    /// Its last sightings by frame, at least one.
    #[serde(with = "saved_box::sightings")]
    pub sightings: Vec<(u64, BoxXyxy)>,
    sighting_count: usize,
    /// Confidence of its last sighting and of the one before, which is the same for the first.
    pub scores: [f32; 2],
    /// As it was when it was last seen without a gap.
    pub motion: Motion,
    first_frame: u64,
    /// The frame on which it began, was found again or was lost.
    changed_frame: u64,
    /// How many such changes came before.
    change: u64,
    /// Whether it was lost before its last change.
    is_found_again: bool,
    /// Its time was over once. It may be found on the next frame still, as in the reference, but is
    /// dropped as soon as it is lost again.
    is_expired: bool,
    /// Which detection it was on its last frame.
    detection: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum State {
    /// Not seen often enough.
    Unconfirmed,
    /// Seen on this frame.
    Tracked,
    /// Not seen for a while.
    Lost,
}

impl Track {
    /// Where and when it was seen last.
    pub fn last_sighting(&self) -> (u64, BoxXyxy) {
        *self
            .sightings
            .last()
            .expect("a track begins with a sighting")
    }

    /// Whether it was lost until this frame.
    pub fn is_found_again_on(&self, frame: u64) -> bool {
        self.state != State::Lost && self.is_found_again && self.changed_frame == frame
    }
}

impl std::ops::Index<usize> for Tracks {
    type Output = Track;

    fn index(&self, index: usize) -> &Track {
        &self.tracks[index]
    }
}

impl Tracks {
    /// No tracks.
    pub fn new(rules: LifeRules) -> Self {
        Self {
            rules,
            frame: 0,
            last_id: 0,
            changes: 0,
            tracks: Vec::new(),
        }
    }

    /// Goes on to the next frame, to which the camera moved so.
    pub fn predict(&mut self, camera_motion: &CameraMotion) {
        self.frame += 1;
        for track in &mut self.tracks {
            let is_young = track.sighting_count < self.rules.confirm_after;
            if self.rules.camera_first && camera_motion.is_sound() {
                track.filter.follow_camera(camera_motion);
            }
            if track.state == State::Lost || (self.rules.first_frame_is_young && is_young) {
                track.filter.stop_growing();
            }
            if track.state != State::Unconfirmed || self.rules.first_frame_is_young {
                track.filter.predict();
            }
            if !self.rules.camera_first && camera_motion.is_sound() {
                track.filter.follow_camera(camera_motion);
            }
        }
    }

    /// Tracks of these states, by index.
    pub fn of_states(&self, states: &[State]) -> Vec<usize> {
        let of = |state| (0..self.tracks.len()).filter(move |&t| self.tracks[t].state == state);
        states.iter().flat_map(|&state| of(state)).collect()
    }

    /// As [`see`](Self::see), and the filter goes through the time since the last sighting again, as if
    /// the track had been seen on a straight way (observation-centric re-update of OC-SORT).
    pub fn see_after_gap(&mut self, pairs: &[(usize, usize)], detections: &Instances) {
        for &(track, detection) in pairs {
            let track = &mut self.tracks[track];
            let (frame, from) = track.last_sighting();
            track.filter = track.seen_filter;
            track
                .filter
                .follow(&from, &detections.boxes()[detection], self.frame - frame);
        }
        self.see(pairs, detections);
    }

    /// These tracks have been seen as these detections.
    pub fn see(&mut self, pairs: &[(usize, usize)], detections: &Instances) {
        for &(track, detection) in pairs {
            let track = &mut self.tracks[track];
            let bbox = detections.boxes()[detection];
            let score = detections.scores()[detection];
            let variance = match self.rules.noise_by_score {
                true => (1.0 - f64::from(score)).max(MIN_VARIANCE),
                false => 1.0,
            };
            track.filter.correct(&bbox, variance);
            track.seen_filter = track.filter;
            if track.sightings.len() == self.rules.history {
                track.sightings.remove(0);
            }
            let remembered = match self.rules.camera_first && track.state == State::Lost {
                true => track.filter.bbox(),
                false => bbox,
            };
            track.sightings.push((self.frame, remembered));
            track.sighting_count += 1;
            let is_young = track.sighting_count < self.rules.confirm_after;
            let is_found_again = track.state == State::Lost;
            let is_confirmed_late =
                self.rules.first_frame_is_young && track.state == State::Unconfirmed && !is_young;
            if is_found_again || is_confirmed_late {
                track.is_found_again = is_found_again;
                track.changed_frame = self.frame;
                track.change = self.changes;
                self.changes += 1;
            }
            if !is_found_again {
                track.motion = motion(&track.sightings);
            }
            track.state = match track.state {
                State::Unconfirmed | State::Lost if is_young => State::Unconfirmed,
                _ => State::Tracked,
            };
            track.scores = [score, track.scores[0]];
            track.class = detections.classes()[detection];
            track.detection = detection;
        }
    }

    /// These tracks are lost from this frame on.
    pub fn lose(&mut self, tracks: &[usize]) {
        for &track in tracks {
            let track = &mut self.tracks[track];
            track.state = State::Lost;
            track.changed_frame = self.frame;
            track.change = self.changes;
            self.changes += 1;
        }
    }

    /// A track begins with this detection; on the first frame it counts as confirmed.
    pub fn begin(&mut self, detection: usize, detections: &Instances) {
        self.last_id += 1;
        let bbox = detections.boxes()[detection];
        let filter = BoxFilter::new(self.rules.form, &bbox);
        self.tracks.push(Track {
            id: self.last_id,
            filter,
            seen_filter: filter,
            state: match self.frame {
                1 => State::Tracked,
                _ => State::Unconfirmed,
            },
            class: detections.classes()[detection],
            sightings: vec![(self.frame, bbox)],
            sighting_count: 1,
            scores: [detections.scores()[detection]; 2],
            motion: Motion::default(),
            first_frame: self.frame,
            changed_frame: self.frame,
            change: self.changes,
            is_found_again: false,
            is_expired: false,
            detection,
        });
        self.changes += 1;
    }

    /// Drops the unconfirmed that were not seen, the lost whose time is over, and duplicates.
    pub fn sweep(&mut self, buffer: u64, per_class: bool) {
        let frame = self.frame;
        let LifeRules {
            first_frame_is_young,
            confirm_after,
            ..
        } = self.rules;
        self.tracks.retain_mut(|track| match track.state {
            State::Tracked => true,
            State::Unconfirmed => track.last_sighting().0 == frame,
            State::Lost if first_frame_is_young && track.sighting_count < confirm_after => false,
            State::Lost => {
                let was_expired = track.is_expired;
                track.is_expired |= frame - track.last_sighting().0 > buffer;
                !was_expired
            }
        });
        // Those that go on, new ones, those found again; then the lost.
        self.tracks.sort_by_key(|track| {
            let is_lost = track.state == State::Lost;
            let is_found_again = track.is_found_again;
            (is_lost, track.changed_frame, is_found_again, track.change)
        });
        self.remove_duplicates(per_class);
    }

    /// Of a track and a lost one in the same place, the younger goes.
    fn remove_duplicates(&mut self, per_class: bool) {
        let mut is_duplicate = vec![false; self.tracks.len()];
        let age = |track: &Track| track.last_sighting().0 - track.first_frame;
        let boxes: Vec<BoxXyxy> = self
            .tracks
            .iter()
            .map(|track| track.filter.bbox())
            .collect();
        let lost = self.of_states(&[State::Lost]);
        for (t, tracked) in self.tracks.iter().enumerate() {
            if tracked.state == State::Lost {
                continue;
            }
            for &l in &lost {
                let is_comparable = !per_class || self.tracks[l].class == tracked.class;
                if is_comparable && 1.0 - iou(&boxes[t], &boxes[l]) < DUPLICATE_DISTANCE {
                    let younger = if age(tracked) > age(&self.tracks[l]) {
                        l
                    } else {
                        t
                    };
                    is_duplicate[younger] = true;
                }
            }
        }
        let mut is_duplicate = is_duplicate.into_iter();
        self.tracks.retain(|_| is_duplicate.next() != Some(true));
    }

    /// Whether a track of the last frame is not confirmed yet.
    pub fn has_unconfirmed(&self) -> bool {
        let mut tracks = self.tracks.iter();
        tracks.any(|track| track.state == State::Unconfirmed)
    }

    /// How many frames came.
    pub fn frame(&self) -> u64 {
        self.frame
    }

    /// Tracks that were seen on this frame, confirmed or not.
    pub fn on_frame(&self) -> impl Iterator<Item = &Track> {
        let frame = self.frame;
        self.tracks
            .iter()
            .filter(move |track| track.last_sighting().0 == frame)
    }

    /// The confirmed tracks on this frame.
    pub fn report(&self, detections: &Instances) -> Instances {
        let seen = self
            .tracks
            .iter()
            .filter(|track| track.state == State::Tracked);
        let report = |track: &Track| Report {
            detection: track.detection,
            bbox: track.filter.bbox(),
            id: track.id,
        };
        reported(detections, seen.map(report))
    }
}
