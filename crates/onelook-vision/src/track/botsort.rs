//! BoT-SORT (arXiv:2206.14651) without appearance: ByteTrack's matching, boxes by width and height, and
//! the camera's motion taken out of the predictions.

use onelook_types::Instances;
use serde::{Deserialize, Serialize};

use super::bytetrack::{ByteTrack, ByteTrackOptions};
use super::kalman::BoxForm;
use super::{FrameInfo, Tracker, TrackerState};

/// BoT-SORT for one stream.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BotSort(ByteTrack);

impl BotSort {
    /// A tracker that has seen nothing; its options mean what they mean for ByteTrack.
    pub fn new(options: ByteTrackOptions) -> Self {
        Self(ByteTrack::with_form(options, BoxForm::WidthHeight))
    }
}

impl Tracker for BotSort {
    fn update(&mut self, detections: &Instances, frame: &FrameInfo) -> Instances {
        self.0.update(detections, frame)
    }

    fn has_unconfirmed(&self) -> bool {
        self.0.has_unconfirmed()
    }

    fn state(&self) -> TrackerState {
        TrackerState::BotSort(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use onelook_types::BoxXyxy;

    use super::super::camera_motion::CameraMotion;
    use super::*;

    /// The camera jumps by more than the object's width.
    #[test]
    fn an_object_is_followed_over_a_jump_of_the_camera_that_is_known() {
        for (camera_motion, expected) in [
            (CameraMotion::STILL, 0),
            (CameraMotion::shift(80.0, 5.0), 1),
        ] {
            let mut tracker = BotSort::new(ByteTrackOptions::default());
            let at = |x: f32, y: f32| {
                let bbox = BoxXyxy {
                    x1: x,
                    y1: y,
                    x2: x + 40.0,
                    y2: y + 100.0,
                };
                Instances::new(vec![bbox], vec![0], vec![0.9])
            };
            tracker.update(&at(10.0, 10.0), &FrameInfo::default());
            let frame = FrameInfo {
                camera_motion,
                ..FrameInfo::default()
            };
            assert_eq!(tracker.update(&at(90.0, 15.0), &frame).len(), expected);
        }
    }
}
