//! Who is inside of a polygon: sightings in, arrivals and departures out, occupancy and dwell times kept.
//!
//! A track is inside when it was so without interruption for a while, and has left when it was outside or
//! unseen for a while, so that a box that trembles on the edge neither enters nor leaves.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::error::{AnalyticsError, at_least};
use super::event::EventKind;
use super::geometry::{Anchor, Point, contains};
use super::tracks::{Sighting, has_passed};

/// When a track is inside of a zone, and when many are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ZoneOptions {
    /// The point of the box that must be inside.
    pub anchor: Anchor,
    /// Seconds without interruption inside after which a track has entered.
    pub enter_after: f64,
    /// Seconds outside after which it has left.
    pub leave_after: f64,
    /// Seconds unseen after which it has left.
    pub lost_after: f64,
    /// When the zone is crowded.
    pub crowd: Option<CrowdOptions>,
}

impl Default for ZoneOptions {
    fn default() -> Self {
        Self {
            anchor: Anchor::BottomCentre,
            enter_after: 0.2,
            leave_after: 1.0,
            lost_after: 1.0,
            crowd: None,
        }
    }
}

/// When a zone is crowded, a queue is long, a place is taken.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CrowdOptions {
    /// Least number of objects.
    pub count: usize,
    /// Seconds for which there must be so many.
    pub after: f64,
    /// The crowd lasts as long as there are so many; not above `count`.
    pub release_count: usize,
    /// Seconds for which there must be fewer before it has ended.
    pub release_after: f64,
}

impl CrowdOptions {
    /// At least `count` for `after` seconds; ended when fewer for as long.
    pub fn new(count: usize, after: f64) -> Self {
        Self {
            count,
            after,
            release_count: count,
            release_after: after,
        }
    }
}

/// What has happened in a zone so far.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ZoneTotals {
    /// Tracks that came in from outside.
    pub entered: u64,
    /// The same by class.
    pub entered_by_class: BTreeMap<usize, u64>,
    /// Tracks that were first seen inside, or again inside after they were lost there.
    pub born_inside: u64,
    /// Tracks that went out.
    pub left: u64,
    /// Tracks that were last seen inside.
    pub lost_inside: u64,
    /// Seconds that those who left or were lost had been inside, together.
    pub dwell_sum: f64,
    /// The longest of these times.
    pub dwell_longest: f64,
    /// The most objects that were inside at once.
    pub most_at_once: usize,
}

impl ZoneTotals {
    /// Mean seconds inside of those who left or were lost.
    pub fn dwell_mean(&self) -> Option<f64> {
        let ended = self.left + self.lost_inside;
        (ended > 0).then(|| self.dwell_sum / ended as f64)
    }

    fn add(&mut self, kind: &EventKind, class: usize) {
        match *kind {
            EventKind::Entered {
                born_inside: true, ..
            } => self.born_inside += 1,
            EventKind::Entered { .. } => {
                self.entered += 1;
                *self.entered_by_class.entry(class).or_default() += 1;
            }
            EventKind::Left { dwell, lost, .. } => {
                let ended = if lost {
                    &mut self.lost_inside
                } else {
                    &mut self.left
                };
                *ended += 1;
                self.dwell_sum += dwell;
                self.dwell_longest = self.dwell_longest.max(dwell);
            }
            _ => {}
        }
    }
}

/// A track that is in a zone now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Occupant {
    /// The tracker's number.
    pub track_id: u64,
    /// By vote of all sightings so far.
    pub class: usize,
    /// When it was first seen inside.
    pub since: f64,
    /// When it was last seen inside.
    pub last_inside: f64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ZoneCounter {
    corners: Vec<Point>,
    options: ZoneOptions,
    memory: f64,
    tracks: BTreeMap<u64, ZoneTrack>,
    crowd: Crowd,
    pub(super) totals: ZoneTotals,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct ZoneTrack {
    last: Sighting,
    seen: f64,
    /// First sighting of an uninterrupted stay, confirmed or not.
    since: Option<f64>,
    last_inside: f64,
    outside_since: Option<f64>,
    is_inside: bool,
    was_outside: bool,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Crowd {
    /// When it started, once it is reported.
    started: Option<f64>,
    /// Since when the count has been as it takes to start, or to end.
    changing_since: Option<f64>,
}

/// What happened, and with whom.
pub(super) type ZoneChange = (EventKind, Option<Sighting>);

impl ZoneCounter {
    pub(super) fn new(
        corners: Vec<Point>,
        options: &ZoneOptions,
        memory: f64,
    ) -> Result<Self, AnalyticsError> {
        let seconds = |setting, value| at_least(setting, value, 0.0, "of seconds, 0 or above");
        seconds("enter_after", options.enter_after)?;
        seconds("leave_after", options.leave_after)?;
        seconds("lost_after", options.lost_after)?;
        if let Some(crowd) = &options.crowd {
            at_least("crowd.count", crowd.count as f64, 1.0, "1 or above")?;
            seconds("crowd.after", crowd.after)?;
            seconds("crowd.release_after", crowd.release_after)?;
            let above = crowd.count as f64 - crowd.release_count as f64;
            at_least("crowd.count", above, 0.0, "not below crowd.release_count")?;
        }
        Ok(Self {
            corners,
            options: options.clone(),
            memory,
            tracks: BTreeMap::new(),
            crowd: Crowd::default(),
            totals: ZoneTotals::default(),
        })
    }

    /// Who is inside now, seen on this frame or hidden for a moment.
    pub(super) fn occupants(&self) -> impl Iterator<Item = Occupant> + '_ {
        let inside = self.tracks.iter().filter(|(_, track)| track.is_inside);
        inside.map(|(&track_id, track)| Occupant {
            track_id,
            class: track.last.class,
            since: track.since.unwrap_or(track.last_inside),
            last_inside: track.last_inside,
        })
    }

    pub(super) fn update(&mut self, time: f64, sightings: &[Sighting]) -> Vec<ZoneChange> {
        let mut changes = Vec::new();
        for sighting in sightings {
            if let Some(lost) = sighting.continues.and_then(|id| self.tracks.remove(&id)) {
                self.tracks.insert(sighting.id, lost);
            }
            let is_in = contains(&self.corners, self.options.anchor.of(&sighting.bbox));
            let track = self.tracks.entry(sighting.id);
            let track = track.or_insert(ZoneTrack {
                last: *sighting,
                seen: time,
                since: None,
                last_inside: time,
                outside_since: None,
                is_inside: false,
                was_outside: !is_in,
            });
            (track.last, track.seen) = (*sighting, time);
            let kind = track.see(time, is_in, &self.options);
            changes.extend(kind.map(|kind| (kind, Some(*sighting))));
        }
        for track in self.tracks.values_mut() {
            if track.seen < time {
                let kind = track.miss(time, &self.options);
                changes.extend(kind.map(|kind| (kind, Some(track.last))));
            }
        }
        let memory = self.memory;
        self.tracks.retain(|_, track| time - track.seen <= memory);
        for (kind, sighting) in &changes {
            self.totals
                .add(kind, sighting.map_or(0, |sighting| sighting.class));
        }
        let count = self.occupants().count();
        self.totals.most_at_once = self.totals.most_at_once.max(count);
        if let Some(options) = &self.options.crowd {
            changes.extend(
                self.crowd
                    .update(time, count, options)
                    .map(|kind| (kind, None)),
            );
        }
        changes
    }
}

impl ZoneTrack {
    fn see(&mut self, time: f64, is_in: bool, options: &ZoneOptions) -> Option<EventKind> {
        if is_in {
            (self.last_inside, self.outside_since) = (time, None);
            let since = *self.since.get_or_insert(time);
            if self.is_inside || !has_passed(since, time, options.enter_after) {
                return None;
            }
            self.is_inside = true;
            let born_inside = !self.was_outside;
            return Some(EventKind::Entered { since, born_inside });
        }
        self.was_outside = true;
        if !self.is_inside {
            self.since = None;
            return None;
        }
        let outside_since = *self.outside_since.get_or_insert(time);
        has_passed(outside_since, time, options.leave_after).then(|| self.leave(false))
    }

    /// On a frame without it. One that was last seen outside has left, seen or not.
    fn miss(&mut self, time: f64, options: &ZoneOptions) -> Option<EventKind> {
        let outside = self.outside_since;
        let has_left = outside.is_some_and(|since| has_passed(since, time, options.leave_after));
        let is_lost = has_passed(self.seen, time, options.lost_after);
        if !self.is_inside {
            if is_lost {
                self.since = None;
            }
            return None;
        }
        (has_left || is_lost).then(|| self.leave(outside.is_none()))
    }

    fn leave(&mut self, lost: bool) -> EventKind {
        let since = self.since.take().unwrap_or(self.last_inside);
        (self.is_inside, self.outside_since) = (false, None);
        self.was_outside = !lost;
        EventKind::Left {
            last_inside: self.last_inside,
            dwell: self.last_inside - since,
            lost,
        }
    }
}

impl Crowd {
    fn update(&mut self, time: f64, count: usize, options: &CrowdOptions) -> Option<EventKind> {
        let (is_changing, after) = match self.started {
            None => (count >= options.count, options.after),
            Some(_) => (count < options.release_count, options.release_after),
        };
        if !is_changing {
            self.changing_since = None;
            return None;
        }
        let since = *self.changing_since.get_or_insert(time);
        if !has_passed(since, time, after) {
            return None;
        }
        self.changing_since = None;
        match self.started.take() {
            None => {
                self.started = Some(since);
                Some(EventKind::CrowdStarted { count })
            }
            Some(started) => Some(EventKind::CrowdEnded {
                count,
                duration: since - started,
            }),
        }
    }
}
