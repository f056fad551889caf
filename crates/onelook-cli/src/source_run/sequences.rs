//! Which frames follow one another: those of a video, and images until a video comes.

use std::time::Duration;

use onelook::ImageResult;
use onelook::media::SourceFrame;
use onelook::tracking::{FrameTracker, FrameTrackerState, TrackerSettings};
use onelook::types::{FrameView, Prediction};

use serde::{Deserialize, Serialize};

use crate::output::SequencePosition;

/// The sequences of a source that runs in turn, and the tracker of the one at hand.
pub struct Sequences {
    tracker: Option<TrackerSettings>,
    image_period: f64,
    current: Option<Sequence>,
}

struct Sequence {
    number: usize,
    /// Which video it is; `None` for images.
    video: Option<usize>,
    frames: u64,
    /// Time of its last frame, for those whose time nobody knows.
    time: Duration,
    /// Whether every frame so far has a time after that of the one before.
    times_rise: bool,
    tracker: Option<FrameTracker>,
}

/// How a sequence goes on in another program.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SequenceState {
    number: usize,
    video: Option<usize>,
    frames: u64,
    time: Duration,
    times_rise: bool,
    tracker: Option<FrameTrackerState>,
}

impl Sequences {
    /// Goes on with a sequence of another program.
    pub fn resume(&mut self, state: SequenceState) {
        self.current = Some(Sequence {
            number: state.number,
            video: state.video,
            frames: state.frames,
            time: state.time,
            times_rise: state.times_rise,
            tracker: state.tracker.map(FrameTracker::resume),
        });
    }

    /// How the sequence at hand goes on.
    pub fn state(&self) -> Option<SequenceState> {
        self.current.as_ref().map(|sequence| SequenceState {
            number: sequence.number,
            video: sequence.video,
            frames: sequence.frames,
            time: sequence.time,
            times_rise: sequence.times_rise,
            tracker: sequence.tracker.as_ref().map(FrameTracker::state),
        })
    }

    /// The time of the last frame, where all frames so far have times and each a later one than that before.
    pub fn reliable_time(&self) -> Option<Duration> {
        let sequence = self.current.as_ref().filter(|it| it.times_rise);
        sequence.map(|sequence| sequence.time)
    }

    /// `image_rate` is how many images make a second.
    pub fn new(tracker: Option<TrackerSettings>, image_rate: f64) -> Self {
        Self {
            tracker,
            image_period: 1.0 / image_rate,
            current: None,
        }
    }

    /// Number of the sequence at hand.
    pub fn current(&self) -> Option<usize> {
        self.current.as_ref().map(|sequence| sequence.number)
    }

    /// Goes on to this frame. A new sequence has a tracker that has seen nothing.
    pub fn advance(&mut self, image: &SourceFrame) -> SequencePosition {
        let video = image.video.as_ref().map(|_| image.index);
        let number = self.current().unwrap_or(0) + 1;
        let current = self.current.take().filter(|it| it.video == video);
        let sequence = self.current.insert(current.unwrap_or_else(|| Sequence {
            number,
            video,
            frames: 0,
            time: Duration::ZERO,
            times_rise: true,
            tracker: self.tracker.as_ref().map(FrameTracker::new),
        }));
        if image.video.is_none() {
            sequence.time = Duration::from_secs_f64(sequence.frames as f64 * self.image_period);
        }
        let is_later = |time: Duration| sequence.frames == 0 || time > sequence.time;
        sequence.times_rise &= image.timestamp.is_some_and(is_later);
        sequence.time = image.timestamp.unwrap_or(sequence.time);
        sequence.frames += 1;
        SequencePosition {
            number: sequence.number,
            frame: sequence.frames,
            time: sequence.time,
        }
    }

    /// Gives the objects of the frame at hand their ids, if they are tracked.
    pub fn track(&mut self, frame: &FrameView<'_>, time: Duration, result: &mut ImageResult) {
        let tracker = self.current.as_mut().and_then(|it| it.tracker.as_mut());
        if let (Some(tracker), Prediction::Instances(found)) = (tracker, &result.prediction) {
            result.prediction =
                Prediction::Instances(tracker.update(frame, time, found, &result.suppressed));
        }
    }
}

#[cfg(test)]
mod tests {
    use onelook::media::{SourceError, VideoPosition};

    use super::*;

    fn frame(index: usize, video: Option<u64>, millis: Option<u64>) -> SourceFrame {
        SourceFrame {
            name: String::new(),
            path: None,
            index,
            video: video.map(|frame| VideoPosition {
                frame,
                frames: None,
                info: None,
                is_live: false,
                arrived: None,
            }),
            timestamp: millis.map(Duration::from_millis),
            decode: Duration::ZERO,
            image: Err(SourceError::Nothing),
        }
    }

    #[test]
    fn images_are_one_sequence_and_each_video_is_one() {
        let mut sequences = Sequences::new(None, 10.0);
        let frames = [
            (frame(0, None, None), (1, 1, 0)),
            (frame(1, None, None), (1, 2, 100)),
            (frame(2, Some(1), Some(40)), (2, 1, 40)),
            (frame(2, Some(2), None), (2, 2, 40)),
            (frame(3, Some(1), Some(0)), (3, 1, 0)),
            (frame(4, None, None), (4, 1, 0)),
        ];
        for (frame, (number, count, millis)) in frames {
            let time = Duration::from_millis(millis);
            let expected = SequencePosition {
                number,
                frame: count,
                time,
            };
            assert_eq!(sequences.advance(&frame), expected);
        }
    }
}
