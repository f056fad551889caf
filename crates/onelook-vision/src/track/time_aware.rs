//! The tracker that `default` names: it knows when each frame was taken, so frames that are dropped or
//! come unevenly change how far an object may have gone, not how long it is remembered.
//!
//! As in ByteTrack, detections of low confidence only keep tracks that would be lost. Departures:
//!
//! 1. Speeds, noise, the time until a track is confirmed and the time for which a lost one is kept are in
//!    seconds.
//! 2. A pair's overlap counts more when the heights agree, and the confidence of the detection counts less
//!    (square roots of both).
//! 3. A track has its id when it is confirmed: by the time over which it was seen, or by confidences that
//!    add up. What is seen once by mistake takes no id.

use std::time::Duration;

use onelook_types::{BoxXyxy, Instances};
use serde::{Deserialize, Serialize};

use super::assignment::{Assignment, CostMatrix, assign};
use super::kalman::TimedBoxFilter;
use super::matching::split_by_score;
use super::overlap::{height_iou, iou};
use super::{FrameInfo, Report, Tracker, TrackerState, reported};

/// What decides between tracking and losing an object.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TimeAwareOptions {
    /// Least confidence of detections that are matched first and may begin a track.
    pub high_threshold: f32,
    /// Detections above this confidence are matched second.
    pub low_threshold: f32,
    /// For how long a lost track is kept.
    pub buffer: Duration,
    /// After how long a track is confirmed that was seen on every frame.
    pub confirm_after: Duration,
    /// A track is also confirmed when the confidences of its detections add up to this.
    pub confirm_score: f32,
    /// Tracks and detections of different classes are never matched.
    pub per_class: bool,
}

impl Default for TimeAwareOptions {
    fn default() -> Self {
        Self {
            high_threshold: 0.25,
            low_threshold: 0.1,
            buffer: Duration::from_secs(2),
            confirm_after: Duration::from_millis(200),
            confirm_score: 2.0,
            per_class: false,
        }
    }
}

/// What a pair may cost: of a confirmed track and a detection of high confidence, of low confidence, and
/// of a track that is not confirmed.
const HIGH_LIMIT: f64 = 0.8;
const LOW_LIMIT: f64 = 0.5;
const UNCONFIRMED_LIMIT: f64 = 0.7;

/// The default tracker for one stream.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TimeAware {
    options: TimeAwareOptions,
    /// Time of the last frame.
    now: Option<Duration>,
    last_id: u64,
    tracks: Vec<Track>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Track {
    /// Absent until it is confirmed.
    id: Option<u64>,
    filter: TimedBoxFilter,
    class: usize,
    first_seen: Duration,
    last_seen: Duration,
    score_sum: f32,
    /// Which detection it is on this frame.
    detection: Option<usize>,
}

impl TimeAware {
    /// A tracker that has seen nothing.
    pub fn new(options: TimeAwareOptions) -> Self {
        Self {
            options,
            now: None,
            last_id: 0,
            tracks: Vec::new(),
        }
    }

    fn matched(
        &self,
        rows: &[usize],
        detections: &Instances,
        columns: &[usize],
        cost: impl Fn(&BoxXyxy, &BoxXyxy, f32) -> f64,
        limit: f64,
    ) -> Assignment {
        let boxes: Vec<BoxXyxy> = rows.iter().map(|&t| self.tracks[t].filter.bbox()).collect();
        let costs = CostMatrix::new(rows.len(), columns.len(), |row, column| {
            let detection = columns[column];
            let class = detections.classes()[detection];
            match self.options.per_class && self.tracks[rows[row]].class != class {
                true => f64::INFINITY,
                false => cost(
                    &boxes[row],
                    &detections.boxes()[detection],
                    detections.scores()[detection],
                ),
            }
        });
        assign(&costs, limit).named(rows, columns)
    }

    fn see(&mut self, pairs: &[(usize, usize)], detections: &Instances, now: Duration) {
        for &(track, detection) in pairs {
            let track = &mut self.tracks[track];
            track.filter.correct(&detections.boxes()[detection]);
            track.class = detections.classes()[detection];
            track.last_seen = now;
            track.score_sum += detections.scores()[detection];
            track.detection = Some(detection);
            let is_confirmed = now.saturating_sub(track.first_seen) >= self.options.confirm_after
                || track.score_sum >= self.options.confirm_score;
            if track.id.is_none() && is_confirmed {
                self.last_id += 1;
                track.id = Some(self.last_id);
            }
        }
    }

    fn begin(&mut self, detection: usize, detections: &Instances, now: Duration, is_first: bool) {
        // What is there from the start has nothing before it that could confirm it.
        self.last_id += u64::from(is_first);
        self.tracks.push(Track {
            id: is_first.then_some(self.last_id),
            filter: TimedBoxFilter::new(&detections.boxes()[detection]),
            class: detections.classes()[detection],
            first_seen: now,
            last_seen: now,
            score_sum: detections.scores()[detection],
            detection: Some(detection),
        });
    }
}

/// By overlap and how well the heights agree.
fn low_cost(track: &BoxXyxy, detection: &BoxXyxy, _: f32) -> f64 {
    f64::from(1.0 - iou(track, detection) * height_iou(track, detection).sqrt())
}

/// By the detection's confidence too.
fn high_cost(track: &BoxXyxy, detection: &BoxXyxy, score: f32) -> f64 {
    let agreement = (height_iou(track, detection) * score).sqrt();
    f64::from(1.0 - iou(track, detection) * agreement)
}

impl Tracker for TimeAware {
    fn update(&mut self, detections: &Instances, frame: &FrameInfo) -> Instances {
        let is_first = self.now.is_none();
        // A clock that was set back stands still.
        let now = self.now.map_or(frame.time, |last| last.max(frame.time));
        let seconds = now.saturating_sub(self.now.unwrap_or(now)).as_secs_f64();
        self.now = Some(now);
        let options = self.options;
        let (high, low) = split_by_score(detections, options.high_threshold, options.low_threshold);
        for track in &mut self.tracks {
            // What was not seen on the last frame keeps its size.
            track.filter.predict(seconds, track.detection.is_some());
            if frame.camera_motion.is_sound() {
                track.filter.follow_camera(&frame.camera_motion);
            }
        }
        let was_tracked: Vec<bool> = self
            .tracks
            .iter_mut()
            .map(|track| track.detection.take().is_some())
            .collect();
        let (confirmed, unconfirmed): (Vec<usize>, Vec<usize>) =
            (0..self.tracks.len()).partition(|&track| self.tracks[track].id.is_some());

        let first = self.matched(&confirmed, detections, &high, high_cost, HIGH_LIMIT);
        self.see(&first.pairs, detections, now);
        let mut unseen = first.rows;
        unseen.retain(|&track| was_tracked[track]);
        let second = self.matched(&unseen, detections, &low, low_cost, LOW_LIMIT);
        self.see(&second.pairs, detections, now);
        let third = self.matched(
            &unconfirmed,
            detections,
            &first.columns,
            high_cost,
            UNCONFIRMED_LIMIT,
        );
        self.see(&third.pairs, detections, now);
        for detection in third.columns {
            self.begin(detection, detections, now, is_first);
        }
        self.tracks.retain(|track| match track.id {
            Some(_) => now.saturating_sub(track.last_seen) <= options.buffer,
            None => track.detection.is_some(),
        });
        let report = |track: &Track| {
            Some(Report {
                detection: track.detection?,
                bbox: track.filter.bbox(),
                id: track.id?,
            })
        };
        reported(detections, self.tracks.iter().filter_map(report))
    }

    fn has_unconfirmed(&self) -> bool {
        self.tracks.iter().any(|track| track.id.is_none())
    }

    fn state(&self) -> TrackerState {
        TrackerState::TimeAware(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tracker() -> TimeAware {
        TimeAware::new(TimeAwareOptions::default())
    }

    /// One object of 40 x 100 pixels at this place.
    fn object(x: f32, score: f32) -> Instances {
        let bbox = BoxXyxy {
            x1: x,
            y1: 50.0,
            x2: x + 40.0,
            y2: 150.0,
        };
        Instances::new(vec![bbox], vec![0], vec![score])
    }

    fn ids(tracker: &mut TimeAware, detections: &Instances, millis: u64) -> Vec<u64> {
        let time = Duration::from_millis(millis);
        let seen = tracker.update(
            detections,
            &FrameInfo {
                time,
                ..FrameInfo::default()
            },
        );
        seen.iter().filter_map(|object| object.track_id).collect()
    }

    #[test]
    fn an_object_keeps_its_id_through_frames_that_come_unevenly() {
        let mut tracker = tracker();
        // 200 pixels a second.
        for millis in [0, 40, 80, 120, 360, 400, 680, 720] {
            assert_eq!(
                ids(&mut tracker, &object(millis as f32 / 5.0, 0.9), millis),
                [1]
            );
        }
    }

    #[test]
    fn an_id_is_taken_at_confirmation_and_not_by_what_is_seen_once() {
        let mut tracker = tracker();
        assert_eq!(ids(&mut tracker, &Instances::EMPTY, 0), []);
        assert_eq!(ids(&mut tracker, &object(500.0, 0.9), 40), []);
        assert_eq!(ids(&mut tracker, &object(10.0, 0.3), 80), []);
        assert_eq!(ids(&mut tracker, &object(10.0, 0.3), 120), []);
        assert_eq!(ids(&mut tracker, &object(10.0, 0.3), 280), [1]);
    }

    #[test]
    fn a_lost_object_is_remembered_for_seconds_not_frames() {
        for (gap, expected) in [(1900, 1), (2100, 2)] {
            let mut tracker = tracker();
            for millis in [0, 40, 80] {
                ids(&mut tracker, &object(10.0, 0.9), millis);
            }
            ids(&mut tracker, &Instances::EMPTY, 120);
            ids(&mut tracker, &Instances::EMPTY, 80 + gap - 1);
            let mut last = Vec::new();
            for millis in [0, 200, 400] {
                last = ids(&mut tracker, &object(10.0, 0.9), 80 + gap + millis);
            }
            assert_eq!(last, [expected], "{gap}");
        }
    }

    #[test]
    fn classes_are_kept_apart_where_that_is_wanted() {
        for (per_class, expected) in [(false, vec![1]), (true, vec![])] {
            let mut tracker = TimeAware::new(TimeAwareOptions {
                per_class,
                ..TimeAwareOptions::default()
            });
            ids(&mut tracker, &object(10.0, 0.9), 0);
            let row = object(10.0, 0.9);
            let other = Instances::new(row.boxes().to_vec(), vec![7], row.scores().to_vec());
            assert_eq!(ids(&mut tracker, &other, 40), expected);
        }
    }

    #[test]
    fn a_clock_that_goes_back_stands_still() {
        let mut tracker = tracker();
        for millis in [1000, 0, 500, 1040] {
            assert_eq!(ids(&mut tracker, &object(10.0, 0.9), millis), [1]);
        }
    }
}
