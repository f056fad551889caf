//! Crossings of a directed line: sightings in, directions out, totals kept.
//!
//! A track's first sighting sets its side. The other side is confirmed beyond a band along the line, or
//! after some time beyond the line; the crossing counts if the way from the last point on the old side to
//! the first confirmed one on the new side meets the segment. Whoever jumps the line between two
//! sightings crosses it; whoever goes round its end does not.

mod line_zone;
mod object_counter;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::error::{AnalyticsError, at_least};
use super::event::Direction;
use super::geometry::{Anchor, Point, Segment};
use super::tracks::{Sighting, has_passed};
use line_zone::LineZone;
use object_counter::ObjectCounter;

/// Which definition of a crossing counts.
#[derive(Debug, Clone, PartialEq)]
pub enum LineRule {
    /// A confirmed side and a way that meets the segment.
    Band(BandOptions),
    /// As `LineZone` of supervision (MIT) counts: all anchors on the other side, between the
    /// perpendiculars at the line's ends, for `threshold` sightings in a row. It forgets a track that is
    /// unseen for `threshold` + 1 frames, but at least 2.
    Supervision {
        /// The points that must all be over the line.
        anchors: Vec<Anchor>,
        /// Least number of sightings in a row, 1 or above.
        threshold: usize,
    },
    /// As the object counter of ultralytics counts: each track once, when the way between its last two
    /// box centres meets the segment. In is rightwards over a line that is more upright than level, else
    /// downwards, whatever the line's direction.
    Ultralytics,
}

impl LineRule {
    /// supervision's own defaults: four corners, one sighting.
    pub fn supervision() -> Self {
        Self::Supervision {
            anchors: Anchor::CORNERS.to_vec(),
            threshold: 1,
        }
    }
}

impl Default for LineRule {
    fn default() -> Self {
        Self::Band(BandOptions::default())
    }
}

/// When the other side of a line is confirmed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BandOptions {
    /// The point of the box that crosses.
    pub anchor: Anchor,
    /// Distance from the line that confirms a side, in heights of the box.
    pub band: f64,
    /// Factor on the band for a track that has crossed the line before: what moves to and fro on the line
    /// is more often a box that trembles.
    pub return_factor: f64,
    /// Seconds without interruption on the other side that confirm it within the band.
    pub steady: f64,
    /// Whether a track counts at most once.
    pub once: bool,
}

impl Default for BandOptions {
    fn default() -> Self {
        Self {
            anchor: Anchor::BottomCentre,
            band: 0.04,
            return_factor: 1.5,
            steady: 2.0,
            once: false,
        }
    }
}

/// Crossings so far, by class.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LineTotals {
    /// To the left of the line's direction, by class.
    pub ins: BTreeMap<usize, u64>,
    /// To its right, by class.
    pub outs: BTreeMap<usize, u64>,
    /// Tracks that crossed at least once.
    pub tracks: u64,
}

impl LineTotals {
    /// In and out, all classes together.
    pub fn sums(&self) -> [u64; 2] {
        [self.ins.values().sum(), self.outs.values().sum()]
    }

    pub(super) fn add(&mut self, crossing: &Crossing, class: usize) {
        let counts = match crossing.direction {
            Direction::In => &mut self.ins,
            Direction::Out => &mut self.outs,
        };
        *counts.entry(class).or_default() += 1;
        self.tracks += u64::from(crossing.is_first);
    }
}

/// A sighting that crosses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Crossing {
    /// Index into the sightings of the frame.
    pub(super) index: usize,
    pub(super) direction: Direction,
    /// Whether this track has not crossed the line before.
    pub(super) is_first: bool,
}

/// A line's rule and what it knows of each track.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum LineCounter {
    Band(BandCounter),
    Supervision(LineZone),
    Ultralytics(ObjectCounter),
}

impl LineCounter {
    pub(super) fn new(
        segment: Segment,
        rule: &LineRule,
        memory: f64,
    ) -> Result<Self, AnalyticsError> {
        Ok(match rule {
            LineRule::Band(options) => {
                at_least("band", options.band, 0.0, "of box heights, 0 or above")?;
                at_least("return_factor", options.return_factor, 1.0, "1 or above")?;
                at_least("steady", options.steady, 0.0, "of seconds, 0 or above")?;
                Self::Band(BandCounter {
                    segment,
                    options: options.clone(),
                    memory,
                    tracks: BTreeMap::new(),
                })
            }
            LineRule::Supervision { anchors, threshold } => {
                at_least("anchors", anchors.len() as f64, 1.0, "1 or above")?;
                at_least("threshold", *threshold as f64, 1.0, "1 or above")?;
                Self::Supervision(LineZone::new(segment, anchors.clone(), *threshold))
            }
            LineRule::Ultralytics => Self::Ultralytics(ObjectCounter::new(segment, memory)),
        })
    }

    /// Who crosses on this frame.
    pub(super) fn update(&mut self, time: f64, sightings: &[Sighting]) -> Vec<Crossing> {
        match self {
            Self::Band(counter) => counter.update(time, sightings),
            Self::Supervision(counter) => counter.update(sightings),
            Self::Ultralytics(counter) => counter.update(time, sightings),
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct BandCounter {
    segment: Segment,
    options: BandOptions,
    memory: f64,
    tracks: BTreeMap<u64, BandTrack>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct BandTrack {
    seen: f64,
    /// The confirmed side, and the last point there.
    side: Direction,
    last: Point,
    /// Since when it is on the other side.
    over_since: Option<f64>,
    has_crossed: bool,
}

impl BandCounter {
    fn update(&mut self, time: f64, sightings: &[Sighting]) -> Vec<Crossing> {
        let memory = self.memory;
        self.tracks.retain(|_, track| time - track.seen <= memory);
        let crossed = sightings
            .iter()
            .enumerate()
            .filter_map(|(index, sighting)| {
                // The lost track keeps its state: its id may come back.
                if let Some(lost) = sighting.continues.and_then(|id| self.tracks.get(&id)) {
                    self.tracks.insert(sighting.id, lost.clone());
                }
                self.see(index, time, sighting)
            });
        crossed.collect()
    }

    fn see(&mut self, index: usize, time: f64, sighting: &Sighting) -> Option<Crossing> {
        let point = self.options.anchor.of(&sighting.bbox);
        let distance = self.segment.distance_left(point);
        let side = match distance {
            0.0 => None,
            distance if distance > 0.0 => Some(Direction::In),
            _ => Some(Direction::Out),
        };
        let Some(track) = self.tracks.get_mut(&sighting.id) else {
            let track = BandTrack {
                seen: time,
                side: side?,
                last: point,
                over_since: None,
                has_crossed: false,
            };
            self.tracks.insert(sighting.id, track);
            return None;
        };
        track.seen = time;
        let side = side?;
        if side == track.side {
            (track.last, track.over_since) = (point, None);
            return None;
        }
        let since = *track.over_since.get_or_insert(time);
        let factor = match track.has_crossed {
            true => self.options.return_factor,
            false => 1.0,
        };
        let band = self.options.band * sighting.height() * factor;
        if distance.abs() <= band && !has_passed(since, time, self.options.steady) {
            return None;
        }
        let way = Segment {
            start: track.last,
            end: point,
        };
        (track.side, track.last, track.over_since) = (side, point, None);
        let is_first = !track.has_crossed;
        let counts = way.crosses(&self.segment) && (is_first || !self.options.once);
        track.has_crossed |= counts;
        counts.then_some(Crossing {
            index,
            direction: side,
            is_first,
        })
    }
}
