//! What happened at a line or in a zone, with the same fields for every kind.

use onelook_types::BoxXyxy;
use serde::{Deserialize, Serialize};

/// Something that happened at a place.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// When it was known, in seconds of the stream: the time of the frame.
    pub time: f64,
    /// The name of the line or the zone.
    pub place: String,
    /// What happened.
    pub kind: EventKind,
    /// Whose doing it was; nobody's for a crowd.
    pub object: Option<EventObject>,
}

/// The object of an event, as it was last seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EventObject {
    /// The tracker's number.
    pub track_id: u64,
    /// The class by vote of all sightings so far.
    pub class: usize,
    /// Confidence of the last sighting, 0 to 1.
    pub score: f32,
    /// The box of the last sighting, in pixels.
    pub bbox: BoxXyxy,
    /// How fast it moves on the calibrated plane, in metres per second, where there is one.
    pub speed: Option<f64>,
}

/// Which way a line was crossed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Direction {
    /// To the left of the line's direction, on the screen: upwards over a line drawn from left to right.
    In,
    /// To its right.
    Out,
}

/// What can happen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum EventKind {
    /// An object crossed a line.
    Crossed {
        /// Which way.
        direction: Direction,
    },
    /// An object is inside of a zone for long enough.
    Entered {
        /// When it was first seen inside.
        since: f64,
        /// Whether it was never seen outside before.
        born_inside: bool,
    },
    /// An object that was inside is outside, or unseen, for long enough.
    Left {
        /// When it was last seen inside.
        last_inside: f64,
        /// Seconds from when it was first seen inside to when it was last.
        dwell: f64,
        /// Whether it is unseen rather than outside.
        lost: bool,
    },
    /// A zone holds many objects for long enough.
    CrowdStarted {
        /// How many.
        count: usize,
    },
    /// It no longer does, for long enough.
    CrowdEnded {
        /// How many are left.
        count: usize,
        /// Seconds since it started.
        duration: f64,
    },
}

impl EventKind {
    /// A word for machines.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Crossed { .. } => "crossed",
            Self::Entered { .. } => "entered",
            Self::Left { .. } => "left",
            Self::CrowdStarted { .. } => "crowd_started",
            Self::CrowdEnded { .. } => "crowd_ended",
        }
    }

    /// Events of one object at one place that are repetitions of each other.
    pub(super) fn repetition_key(&self) -> (&'static str, Option<Direction>) {
        match *self {
            Self::Crossed { direction } => (self.name(), Some(direction)),
            _ => (self.name(), None),
        }
    }
}
