//! What tracked objects do at lines and in zones: frames of tracks with their time in, events and totals out.
//!
//! Takes the columns of [`Instances`] that trackers fill and the time of each frame in seconds of the
//! stream. Knows no clock, no file and no stream: whoever has several keeps an [`Analytics`] for each.

mod error;
mod event;
mod geometry;
mod heatmap;
mod line;
mod place;
mod plane;
mod tracks;
mod zone;

use std::borrow::Cow;
use std::collections::BTreeMap;

use onelook_types::Instances;
use serde::{Deserialize, Serialize};

pub use error::AnalyticsError;
pub use event::{Direction, Event, EventKind, EventObject};
pub use geometry::{Anchor, Point, Segment};
pub use heatmap::{Heatmap, HeatmapOptions, HeatmapSource};
pub use line::{BandOptions, LineRule, LineTotals};
pub use place::{Coordinates, Line, Zone};
pub use plane::{GroundPlane, SpeedOptions};
pub use tracks::JoinOptions;
pub use zone::{CrowdOptions, Occupant, ZoneOptions, ZoneTotals};

use error::at_least;
use line::LineCounter;
use place::PlaceChecker;
use plane::SpeedMeter;
use tracks::{Sighting, Tracks};
use zone::ZoneCounter;

/// What is counted, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct AnalyticsOptions {
    /// The unit of all points of lines and zones.
    pub coordinates: Coordinates,
    /// Width and height of the images in pixels. Without it, fractions are impossible, and points outside
    /// of the image are not refused.
    pub image: Option<[usize; 2]>,
    /// Lines that are crossed.
    pub lines: Vec<Line>,
    /// Zones that are entered and left.
    pub zones: Vec<Zone>,
    /// When a new track continues a lost one; never when absent. Compatible rules of lines never join.
    pub join: Option<JoinOptions>,
    /// Seconds for which an unseen track is remembered. One that comes back in time on the other side of
    /// a line has crossed it; one that comes back later begins anew.
    pub memory: f64,
    /// Seconds in which an event of the same kind, place and track is counted but not reported again.
    pub repeat_after: f64,
    /// Measures speeds.
    pub speed: Option<SpeedOptions>,
}

impl Default for AnalyticsOptions {
    fn default() -> Self {
        Self {
            coordinates: Coordinates::Pixels,
            image: None,
            lines: Vec::new(),
            zones: Vec::new(),
            join: Some(JoinOptions::default()),
            memory: 30.0,
            repeat_after: 0.0,
            speed: None,
        }
    }
}

/// Lines and zones of one stream, with what has happened there so far.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Analytics {
    tracks: Tracks,
    lines: Vec<(String, LineCounter, LineTotals)>,
    zones: Vec<(String, ZoneCounter)>,
    speed: Option<SpeedMeter>,
    time: f64,
    repeat_after: f64,
    reported: BTreeMap<RepetitionKey, f64>,
}

/// Place, kind, direction and track of an event.
type RepetitionKey = (String, Cow<'static, str>, Option<Direction>, Option<u64>);

impl Analytics {
    /// Nothing has happened yet.
    ///
    /// # Errors
    /// A line, a zone or a setting that makes no sense; the text says which and what would do.
    pub fn new(options: &AnalyticsOptions) -> Result<Self, AnalyticsError> {
        at_least("memory", options.memory, 0.0, "of seconds, 0 or above")?;
        at_least(
            "repeat_after",
            options.repeat_after,
            0.0,
            "of seconds, 0 or above",
        )?;
        options.join.as_ref().map_or(Ok(()), JoinOptions::check)?;
        // One memory for all, so that nothing outlives the tracks it belongs to.
        let lost_after = options.zones.iter().map(|zone| zone.options.lost_after);
        let memory = lost_after.fold(options.memory, f64::max);
        let mut places = PlaceChecker::new(options.coordinates, options.image)?;
        let mut lines = Vec::with_capacity(options.lines.len());
        for line in &options.lines {
            let counter = LineCounter::new(places.segment(line)?, &line.rule, memory)?;
            lines.push((line.name.clone(), counter, LineTotals::default()));
        }
        let mut zones = Vec::with_capacity(options.zones.len());
        for zone in &options.zones {
            let corners = places.corners(zone)?;
            let counter = ZoneCounter::new(corners, &zone.options, memory)?;
            zones.push((zone.name.clone(), counter));
        }
        Ok(Self {
            tracks: Tracks::new(options.join, memory),
            lines,
            zones,
            speed: options.speed.clone().map(SpeedMeter::new).transpose()?,
            time: 0.0,
            repeat_after: options.repeat_after,
            reported: BTreeMap::new(),
        })
    }

    /// What happens with this frame, `time` seconds into the stream; frames without objects count too.
    ///
    /// Objects without a track id, or with an infinite or NaN box, are left out. A time that is before
    /// the last one, or NaN, counts as the last one.
    pub fn update(&mut self, time: f64, instances: &Instances) -> Vec<Event> {
        self.time = if time.is_finite() {
            time.max(self.time)
        } else {
            self.time
        };
        let time = self.time;
        let sightings = self.tracks.update(time, instances);
        if let Some(meter) = &mut self.speed {
            meter.update(time, &sightings);
        }
        let mut events = Vec::new();
        let speed = &self.speed;
        let event = |place: &str, kind, sighting: Option<Sighting>| Event {
            time,
            place: place.to_owned(),
            kind,
            object: sighting.map(|it| EventObject {
                track_id: it.id,
                class: it.class,
                score: it.score,
                bbox: it.bbox,
                speed: speed.as_ref().and_then(|meter| meter.speed(it.id)),
            }),
        };
        for (name, counter, totals) in &mut self.lines {
            for crossing in counter.update(time, &sightings) {
                let sighting = sightings[crossing.index];
                let direction = crossing.direction;
                totals.add(&crossing, sighting.class);
                events.push(event(
                    name,
                    EventKind::Crossed { direction },
                    Some(sighting),
                ));
            }
        }
        for (name, counter) in &mut self.zones {
            for (kind, sighting) in counter.update(time, &sightings) {
                events.push(event(name, kind, sighting));
            }
        }
        self.without_repetitions(events)
    }

    fn without_repetitions(&mut self, mut events: Vec<Event>) -> Vec<Event> {
        let (time, repeat_after) = (self.time, self.repeat_after);
        if repeat_after > 0.0 {
            self.reported
                .retain(|_, reported| time - *reported < repeat_after);
            events.retain(|event| {
                let (kind, direction) = event.kind.repetition_key();
                let track = event.object.map(|object| object.track_id);
                let key = (event.place.clone(), kind.into(), direction, track);
                let is_new = !self.reported.contains_key(&key);
                if is_new {
                    self.reported.insert(key, time);
                }
                is_new
            });
        }
        events
    }

    /// The lines in their order: names and crossings so far.
    pub fn lines(&self) -> impl Iterator<Item = (&str, &LineTotals)> {
        self.lines
            .iter()
            .map(|(name, _, totals)| (name.as_str(), totals))
    }

    /// The zones in their order: names and what has happened so far.
    pub fn zones(&self) -> impl Iterator<Item = (&str, &ZoneTotals)> {
        self.zones
            .iter()
            .map(|(name, counter)| (name.as_str(), &counter.totals))
    }

    /// Who is in the zone of this index now, seen on the last frame or hidden for a moment.
    pub fn occupants(&self, zone: usize) -> impl Iterator<Item = Occupant> + '_ {
        let counter = self.zones.get(zone).map(|(_, counter)| counter);
        counter.into_iter().flat_map(ZoneCounter::occupants)
    }

    /// How many objects of each class are in the zone of this index now.
    pub fn occupancy(&self, zone: usize) -> BTreeMap<usize, usize> {
        let mut counts = BTreeMap::new();
        for occupant in self.occupants(zone) {
            *counts.entry(occupant.class).or_default() += 1;
        }
        counts
    }

    /// How fast a track moves on the calibrated plane, in metres per second.
    pub fn speed(&self, track_id: u64) -> Option<f64> {
        self.speed.as_ref()?.speed(track_id)
    }
}
