//! Crossings as `LineZone` of supervision 0.31 (MIT) counts them: all anchors of the box over the line.
//!
//! Counts tracks by the tracker's ids; a new track never continues a lost one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::event::Direction;
use super::super::geometry::{Anchor, Segment};
use super::super::tracks::Sighting;
use super::Crossing;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in super::super) struct LineZone {
    segment: Segment,
    anchors: Vec<Anchor>,
    threshold: usize,
    tracks: BTreeMap<u64, LineZoneTrack>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct LineZoneTrack {
    confirmed: Direction,
    latest: Direction,
    /// Sightings in a row on the latest side.
    run: usize,
    /// Sightings on either side.
    sightings: usize,
    frames_absent: usize,
    has_crossed: bool,
}

impl LineZone {
    pub(super) fn new(segment: Segment, anchors: Vec<Anchor>, threshold: usize) -> Self {
        Self {
            segment,
            anchors,
            threshold,
            tracks: BTreeMap::new(),
        }
    }

    pub(super) fn update(&mut self, sightings: &[Sighting]) -> Vec<Crossing> {
        let longest_absence = self.threshold.saturating_add(1);
        self.tracks.retain(|id, track| {
            let is_here = sightings.iter().any(|sighting| sighting.id == *id);
            track.frames_absent = if is_here { 0 } else { track.frames_absent + 1 };
            track.frames_absent < longest_absence
        });
        let crossed = sightings
            .iter()
            .enumerate()
            .filter_map(|(index, sighting)| {
                let side = self.side(sighting)?;
                let track = self.tracks.entry(sighting.id);
                let track = track.or_insert(LineZoneTrack {
                    confirmed: side,
                    latest: side,
                    run: 0,
                    sightings: 0,
                    frames_absent: 0,
                    has_crossed: false,
                });
                track.run = if side == track.latest {
                    track.run + 1
                } else {
                    1
                };
                track.latest = side;
                track.sightings += 1;
                let is_held = track.run >= self.threshold && track.sightings > self.threshold;
                if side == track.confirmed || !is_held {
                    return None;
                }
                track.confirmed = side;
                let is_first = !std::mem::replace(&mut track.has_crossed, true);
                Some(Crossing {
                    index,
                    direction: side,
                    is_first,
                })
            });
        crossed.collect()
    }

    /// The side that all anchors are on, if they are between the line's ends; on the line is out.
    fn side(&self, sighting: &Sighting) -> Option<Direction> {
        let points = || self.anchors.iter().map(|anchor| anchor.of(&sighting.bbox));
        if !points().all(|point| (0.0..=1.0).contains(&self.segment.along(point))) {
            return None;
        }
        let is_left = |point| self.segment.distance_left(point) > 0.0;
        let left = points().filter(|&point| is_left(point)).count();
        match left {
            0 => Some(Direction::Out),
            left if left == self.anchors.len() => Some(Direction::In),
            _ => None,
        }
    }
}
