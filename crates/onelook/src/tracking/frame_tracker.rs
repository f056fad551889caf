//! Tracks objects on the frames of one stream: frames and what was found on them in, tracks out.

use std::borrow::Cow;
use std::time::Duration;

use onelook_types::{FrameView, Instance, Instances};
use onelook_vision::track::optical_flow::CameraMotionEstimator;
use onelook_vision::track::{FrameInfo, Tracker, TrackerState};
use serde::{Deserialize, Serialize};

use super::TrackerSettings;

/// A tracker of one stream, with what it wants to know of the frames.
pub struct FrameTracker {
    tracker: Box<dyn Tracker>,
    camera: Option<CameraMotionEstimator>,
    passes_untracked: bool,
    wants_suppressed: bool,
}

/// All that a [`FrameTracker`] knows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FrameTrackerState {
    tracker: TrackerState,
    camera: Option<CameraMotionEstimator>,
    passes_untracked: bool,
    wants_suppressed: bool,
}

impl FrameTracker {
    /// One that goes on from here.
    pub fn resume(state: FrameTrackerState) -> Self {
        Self {
            tracker: state.tracker.into_tracker(),
            camera: state.camera,
            passes_untracked: state.passes_untracked,
            wants_suppressed: state.wants_suppressed,
        }
    }

    /// All that it knows.
    pub fn state(&self) -> FrameTrackerState {
        FrameTrackerState {
            tracker: self.tracker.state(),
            camera: self.camera.clone(),
            passes_untracked: self.passes_untracked,
            wants_suppressed: self.wants_suppressed,
        }
    }

    /// One that has seen nothing.
    pub fn new(settings: &TrackerSettings) -> Self {
        Self {
            tracker: settings.options.build(),
            camera: settings.camera_motion.then(CameraMotionEstimator::default),
            passes_untracked: settings.options.passes_untracked(),
            wants_suppressed: settings.options.wants_suppressed(),
        }
    }

    /// Whether it takes boxes that suppression dropped.
    pub fn wants_suppressed(&self) -> bool {
        self.wants_suppressed
    }

    /// The objects that are tracked on the next frame, which comes `time` after the start; their boxes end at
    /// the edges of the frame. `suppressed` are boxes that non-maximum suppression dropped, for trackers that
    /// [want them](onelook_vision::track::TrackerOptions::wants_suppressed); others do not look at them.
    /// The reference's trackers pass detections on without an id where
    /// [they do](onelook_vision::track::TrackerOptions::passes_untracked).
    pub fn update(
        &mut self,
        frame: &FrameView<'_>,
        time: Duration,
        found: &Instances,
        suppressed: &Instances,
    ) -> Instances {
        let offered: Cow<'_, Instances> = match self.wants_suppressed && !suppressed.is_empty() {
            true => Cow::Owned(found.iter().chain(suppressed).collect()),
            false => Cow::Borrowed(found),
        };
        let camera = self.camera.as_mut();
        let info = FrameInfo {
            time,
            camera_motion: camera
                .map(|camera| camera.estimate(frame))
                .unwrap_or_default(),
            suppressed: offered.len() - found.len(),
        };
        let tracked = self.tracker.update(&offered, &info);
        match tracked.is_empty() && self.passes_untracked && !self.tracker.has_unconfirmed() {
            true => found.clone(),
            false => clipped(tracked, [frame.width(), frame.height()]),
        }
    }
}

fn clipped(objects: Instances, size: [usize; 2]) -> Instances {
    let mut boxes = objects.boxes().iter();
    if boxes.all(|bbox| bbox.clipped(size) == *bbox) {
        return objects;
    }
    // The masks and key points that rows borrow are copied.
    let rows = objects.iter().map(|object| Instance {
        bbox: object.bbox.clipped(size),
        ..object
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracking::tracker;
    use onelook_types::{BoxXyxy, Frame};

    fn object(score: f32) -> Instances {
        let bbox = BoxXyxy {
            x1: -10.0,
            y1: 10.0,
            x2: 30.0,
            y2: 40.0,
        };
        Instances::new(vec![bbox], vec![3], vec![score])
    }

    /// Ids of the objects of each frame, `None` for those without one.
    fn ids(name: &str, scores: &[f32]) -> Vec<Vec<Option<u64>>> {
        let mut tracker = FrameTracker::new(&tracker(name).unwrap());
        let frame = Frame::filled(64, 48, [0; 3]).unwrap();
        let frames = scores.iter().enumerate().map(|(number, &score)| {
            let time = Duration::from_millis(40 * number as u64);
            let seen = tracker.update(&(&frame).into(), time, &object(score), &Instances::EMPTY);
            seen.iter().map(|object| object.track_id).collect()
        });
        frames.collect()
    }

    #[test]
    fn detections_pass_where_the_reference_tracks_nothing_and_waits_for_nothing() {
        let scores = [0.2, 0.9, 0.9];
        let expected = [vec![None], vec![], vec![Some(1)]];
        assert_eq!(ids("bytetrack", &scores), expected);
        assert!(ids("default", &scores)[0].is_empty());
    }

    /// Two objects that cross, are lost and come back, with detections of changing confidence.
    fn crossing(frame: u64) -> Instances {
        let bbox = |x: f32| BoxXyxy {
            x1: x,
            y1: 10.0,
            x2: x + 20.0,
            y2: 40.0,
        };
        let step = frame as f32 * 1.3;
        let boxes = vec![bbox(step), bbox(60.0 - step)];
        let scores = vec![0.9 - step / 100.0, 0.4];
        match frame % 7 {
            3 => Instances::EMPTY,
            5 => Instances::new(vec![boxes[0]], vec![0], vec![0.15]),
            _ => Instances::new(boxes, vec![0, 1], scores),
        }
    }

    #[test]
    fn a_tracker_that_was_saved_on_any_frame_goes_on_to_the_bit() {
        for name in ["default", "bytetrack", "botsort", "ocsort", "tracktrack"] {
            let mut whole = FrameTracker::new(&tracker(name).unwrap());
            let mut resumed = FrameTracker::new(&tracker(name).unwrap());
            for number in 0..40 {
                let value = (number * 5) as u8;
                let frame = Frame::filled(96, 64, [value, value / 2, 9]).unwrap();
                let time = Duration::from_millis(40 * number);
                let found = crossing(number);
                let expected = whole.update(&(&frame).into(), time, &found, &Instances::EMPTY);
                let saved = postcard::to_stdvec(&resumed.state()).unwrap();
                resumed = FrameTracker::resume(postcard::from_bytes(&saved).unwrap());
                let seen = resumed.update(&(&frame).into(), time, &found, &Instances::EMPTY);
                assert_eq!(seen, expected, "{name}, frame {number}");
            }
        }
    }

    #[test]
    fn boxes_end_at_the_edges_of_the_frame() {
        let mut tracker = FrameTracker::new(&tracker("bytetrack").unwrap());
        let frame = Frame::filled(64, 48, [0; 3]).unwrap();
        let seen = tracker.update(
            &(&frame).into(),
            Duration::ZERO,
            &object(0.9),
            &Instances::EMPTY,
        );
        assert_eq!((seen.boxes()[0].x1, seen.boxes()[0].x2), (0.0, 30.0));
        assert_eq!(
            (seen.classes(), seen.track_ids()),
            (&[3][..], Some(&[1][..]))
        );
    }
}
