//! Tracks objects on the frames of one stream: frames and what was found on them in, tracks out.

use std::time::Duration;

use onelook_types::{FrameView, Instances};
use onelook_vision::track::optical_flow::CameraMotionEstimator;
use onelook_vision::track::{FrameInfo, Tracker};

use super::TrackerSettings;

/// A tracker of one stream, with what it wants to know of the frames.
pub struct FrameTracker {
    tracker: Box<dyn Tracker>,
    camera: Option<CameraMotionEstimator>,
}

impl FrameTracker {
    /// One that has seen nothing.
    pub fn new(settings: &TrackerSettings) -> Self {
        Self {
            tracker: settings.options.build(),
            camera: settings.camera_motion.then(CameraMotionEstimator::default),
        }
    }

    /// The objects that are tracked on the next frame, which comes `time` after the start.
    pub fn update(
        &mut self,
        frame: &FrameView<'_>,
        time: Duration,
        found: &Instances,
    ) -> Instances {
        let camera = self.camera.as_mut();
        let info = FrameInfo {
            time,
            camera_motion: camera
                .map(|camera| camera.estimate(frame))
                .unwrap_or_default(),
        };
        self.tracker.update(found, &info)
    }
}
