//! BoT-SORT (arXiv:2206.14651) without appearance: ByteTrack's matching, boxes by width and height, and
//! the camera's motion taken out of the predictions.

use onelook_types::Instances;

use super::bytetrack::{ByteTrack, ByteTrackOptions};
use super::kalman::BoxForm;
use super::{FrameInfo, Tracker};

/// BoT-SORT for one stream.
#[derive(Debug, Clone)]
pub struct BotSort(ByteTrack);

impl BotSort {
    /// A tracker that has seen nothing; its options mean what they mean for ByteTrack.
    pub fn new(options: ByteTrackOptions) -> Self {
        Self(ByteTrack::with_form(options, BoxForm::WidthHeight))
    }
}

impl Tracker for BotSort {
    fn update(&mut self, detections: &Instances, frame: &FrameInfo<'_>) -> Instances {
        self.0.update(detections, frame)
    }
}
