//! Tracking: detections of one frame after the other in, the same objects with the same ids out.
//!
//! A tracker holds the state of one stream and nothing else: no clock (time is an argument), no images
//! (how the camera moved is an argument) and no ids shared with another stream. The same detections
//! give the same tracks.

mod assignment;
pub mod botsort;
pub mod bytetrack;
pub mod camera_motion;
mod corners;
mod kalman;
mod lifecycle;
mod matching;
pub mod ocsort;
pub mod optical_flow;
mod overlap;
pub mod time_aware;
pub mod tracktrack;

use std::time::Duration;

use onelook_types::{BoxXyxy, Instance, Instances};
use serde::{Deserialize, Serialize};

use botsort::BotSort;
use bytetrack::{ByteTrack, ByteTrackOptions};
use camera_motion::CameraMotion;
use ocsort::{OcSort, OcSortOptions};
use time_aware::{TimeAware, TimeAwareOptions};
use tracktrack::{TrackTrack, TrackTrackOptions};

/// Which tracker, and how it is set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TrackerOptions {
    /// The default: time counts, not frames.
    TimeAware(TimeAwareOptions),
    /// ByteTrack.
    ByteTrack(ByteTrackOptions),
    /// BoT-SORT, whose options mean what they mean for ByteTrack.
    BotSort(ByteTrackOptions),
    /// OC-SORT.
    OcSort(OcSortOptions),
    /// TrackTrack.
    TrackTrack(TrackTrackOptions),
}

impl TrackerOptions {
    /// The names that [`named`](Self::named) knows.
    pub const NAMES: [&'static str; 5] =
        ["default", "bytetrack", "botsort", "ocsort", "tracktrack"];

    /// The tracker of this name with its usual options.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "default" => Some(Self::TimeAware(TimeAwareOptions::default())),
            "bytetrack" => Some(Self::ByteTrack(ByteTrackOptions::default())),
            "botsort" => Some(Self::BotSort(ByteTrackOptions::default())),
            "ocsort" => Some(Self::OcSort(OcSortOptions::default())),
            "tracktrack" => Some(Self::TrackTrack(TrackTrackOptions::default())),
            _ => None,
        }
    }

    /// The same, and tracks keep their class or not.
    #[must_use]
    pub fn with_per_class(mut self, per_class: bool) -> Self {
        match &mut self {
            Self::TimeAware(options) => options.per_class = per_class,
            Self::ByteTrack(options) | Self::BotSort(options) => options.per_class = per_class,
            Self::OcSort(options) => options.base.per_class = per_class,
            Self::TrackTrack(options) => options.per_class = per_class,
        }
        self
    }

    /// Whether detections go on without an id while nothing is tracked and nothing waits to be confirmed,
    /// as the reference has it.
    pub fn passes_untracked(&self) -> bool {
        !matches!(self, Self::TimeAware(_))
    }

    /// Whether it takes boxes that non-maximum suppression dropped, besides those that it kept.
    pub fn wants_suppressed(&self) -> bool {
        matches!(self, Self::TrackTrack(_))
    }

    /// A tracker for one stream that has seen nothing.
    pub fn build(&self) -> Box<dyn Tracker> {
        match *self {
            Self::TimeAware(options) => Box::new(TimeAware::new(options)),
            Self::ByteTrack(options) => Box::new(ByteTrack::new(options)),
            Self::BotSort(options) => Box::new(BotSort::new(options)),
            Self::OcSort(options) => Box::new(OcSort::new(options)),
            Self::TrackTrack(options) => Box::new(TrackTrack::new(options)),
        }
    }
}

/// All that a tracker knows, to go on from in another program.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum TrackerState {
    /// Of the default tracker.
    TimeAware(TimeAware),
    /// Of ByteTrack.
    ByteTrack(ByteTrack),
    /// Of BoT-SORT.
    BotSort(BotSort),
    /// Of OC-SORT.
    OcSort(OcSort),
    /// Of TrackTrack.
    TrackTrack(TrackTrack),
}

impl TrackerState {
    /// A tracker that goes on from here.
    pub fn into_tracker(self) -> Box<dyn Tracker> {
        match self {
            Self::TimeAware(tracker) => Box::new(tracker),
            Self::ByteTrack(tracker) => Box::new(tracker),
            Self::BotSort(tracker) => Box::new(tracker),
            Self::OcSort(tracker) => Box::new(tracker),
            Self::TrackTrack(tracker) => Box::new(tracker),
        }
    }
}

/// Follows the objects of one stream.
pub trait Tracker: Send {
    /// Takes the detections of the next frame, which may be none, and gives the objects that are
    /// tracked on it.
    ///
    /// Each object is a row of `detections` (its class, score, mask and key points) with the track's
    /// filtered box and its id.
    fn update(&mut self, detections: &Instances, frame: &FrameInfo) -> Instances;

    /// Whether an object of the last frame waits for further sightings before it is given out.
    fn has_unconfirmed(&self) -> bool;

    /// All that it knows.
    fn state(&self) -> TrackerState;
}

/// What a tracker may know of a frame besides its detections.
#[derive(Debug, Clone, Copy, Default)]
pub struct FrameInfo {
    /// Time since the start of the stream.
    pub time: Duration,
    /// How the camera moved since the frame before; still where nothing else is known. ByteTrack and
    /// OC-SORT do not use it.
    pub camera_motion: CameraMotion,
    /// The last so many detections are boxes that non-maximum suppression dropped. Trackers that do not
    /// [want them](TrackerOptions::wants_suppressed) must be given none.
    pub suppressed: usize,
}

/// A tracked object: the row of its detection, its filtered box, its id.
struct Report {
    detection: usize,
    bbox: BoxXyxy,
    id: u64,
}

/// The rows of `detections` that are tracked, in the order of the reports.
fn reported(detections: &Instances, reports: impl IntoIterator<Item = Report>) -> Instances {
    let row = |report: Report| {
        let detection = detections.get(report.detection)?;
        Some(Instance {
            bbox: report.bbox,
            track_id: Some(report.id),
            ..detection
        })
    };
    reports.into_iter().filter_map(row).collect()
}

/// Whether a box can be tracked: it has an area, and finite numbers.
fn is_trackable(bbox: &BoxXyxy) -> bool {
    bbox.is_finite() && bbox.width() > 0.0 && bbox.height() > 0.0
}
