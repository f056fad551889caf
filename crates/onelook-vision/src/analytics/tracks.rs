//! Tracked objects frame by frame: classes by vote, and new tracks that continue lost ones.
//!
//! Takes the columns of [`Instances`] and the frame's time, gives sightings. Forgets tracks that are
//! unseen for long, so that its memory depends on what is in view alone.

use std::collections::{BTreeMap, BTreeSet};

use onelook_types::{BoxXyxy, Instances};
use serde::{Deserialize, Serialize};

use super::error::{AnalyticsError, at_least};
use super::geometry::{Anchor, Point};
use crate::saved_box::SavedBox;

/// When a new track continues a lost one, so that an id that changes near a line loses no crossing.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct JoinOptions {
    /// Longest time between the last sighting of the one and the first of the other, in seconds.
    pub within: f64,
    /// Longest way between the place where the lost one would be by now, at its last speed, and the new
    /// one, in heights of its box.
    pub distance: f64,
    /// Most that the heights of the boxes may differ by: 0.4 for 0.6 to 1 / 0.6 times.
    pub height_change: f64,
}

impl Default for JoinOptions {
    fn default() -> Self {
        Self {
            within: 1.0,
            distance: 0.5,
            height_change: 0.4,
        }
    }
}

impl JoinOptions {
    pub(super) fn check(&self) -> Result<(), AnalyticsError> {
        at_least("join.within", self.within, 0.0, "of seconds, 0 or above")?;
        at_least("join.distance", self.distance, 0.0, "0 or above")?;
        match (0.0..1.0).contains(&self.height_change) {
            true => Ok(()),
            false => Err(AnalyticsError::Setting {
                setting: "join.height_change",
                value: self.height_change,
                expected: "from 0 to below 1",
            }),
        }
    }
}

/// One object on one frame.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Sighting {
    pub(super) id: u64,
    #[serde(with = "SavedBox")]
    pub(super) bbox: BoxXyxy,
    pub(super) score: f32,
    /// By vote of all sightings so far.
    pub(super) class: usize,
    /// The lost track whose state this new one takes over.
    pub(super) continues: Option<u64>,
}

impl Sighting {
    pub(super) fn height(&self) -> f64 {
        f64::from(self.bbox.height())
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Track {
    seen: f64,
    at: Point,
    height: f64,
    /// Pixels per second; smoothed.
    velocity: Point,
    sightings: usize,
    /// Whether another track has taken over its state, which happens once.
    is_continued: bool,
    /// Sum of the confidences per class.
    votes: BTreeMap<usize, f64>,
}

/// Whether so many seconds have passed, give or take the rounding of sums of frame times.
pub(super) fn has_passed(since: f64, time: f64, seconds: f64) -> bool {
    time - since >= seconds - 1e-6
}

/// Most pairs of a new and a lost track that are compared on a frame; further new ones continue none.
const MOST_PAIRS: usize = 1 << 20;

/// Weight of the newest step in the velocity.
const VELOCITY_GAIN: f64 = 0.3;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Tracks {
    join: Option<JoinOptions>,
    memory: f64,
    tracks: BTreeMap<u64, Track>,
}

impl Tracks {
    /// `memory` is how many seconds an unseen track is remembered.
    pub(super) fn new(join: Option<JoinOptions>, memory: f64) -> Self {
        Self {
            join,
            memory,
            tracks: BTreeMap::new(),
        }
    }

    /// The objects of one frame that have a track and a finite box; of rows with one id, the first.
    pub(super) fn update(&mut self, time: f64, instances: &Instances) -> Vec<Sighting> {
        let memory = self.memory;
        self.tracks.retain(|_, track| time - track.seen <= memory);
        let mut here = BTreeMap::new();
        for (row, instance) in instances.iter().enumerate() {
            if let Some(id) = instance.track_id.filter(|_| instance.bbox.is_finite()) {
                here.entry(id).or_insert(row);
            }
        }
        let mut rows: Vec<(usize, u64)> = here.iter().map(|(&id, &row)| (row, id)).collect();
        rows.sort_unstable();
        let joins = self.joins(time, instances, &here);
        let mut sightings = Vec::with_capacity(rows.len());
        for (row, id) in rows {
            let instance = instances.get(row).expect("a row of this frame");
            let at = Anchor::BottomCentre.of(&instance.bbox);
            let height = f64::from(instance.bbox.height());
            let continues = joins.get(&id).copied();
            let lost = continues.and_then(|lost| self.tracks.get_mut(&lost));
            let votes = lost.map(|lost| {
                lost.is_continued = true;
                lost.votes.clone()
            });
            let track = self.tracks.entry(id).or_insert_with(|| Track {
                seen: time,
                at,
                height,
                velocity: Point::default(),
                sightings: 0,
                is_continued: false,
                votes: votes.unwrap_or_default(),
            });
            track.see(time, at, height);
            *track.votes.entry(instance.class).or_default() += f64::from(instance.score.max(0.0));
            sightings.push(Sighting {
                id,
                bbox: instance.bbox,
                score: instance.score,
                class: track.class(),
                continues,
            });
        }
        sightings
    }

    /// The lost track that each new one continues: pairs by distance, the nearest first.
    fn joins(
        &self,
        time: f64,
        instances: &Instances,
        here: &BTreeMap<u64, usize>,
    ) -> BTreeMap<u64, u64> {
        let mut joins = BTreeMap::new();
        let Some(join) = self.join else {
            return joins;
        };
        let is_lost = |(id, track): &(&u64, &Track)| {
            !track.is_continued && !here.contains_key(id) && time - track.seen <= join.within + 1e-6
        };
        let lost: Vec<(&u64, &Track)> = self.tracks.iter().filter(is_lost).collect();
        let is_new = |(id, _): &(&u64, &usize)| !self.tracks.contains_key(id);
        let mut pairs = Vec::new();
        let most_new = MOST_PAIRS / lost.len().max(1);
        for (&new, &row) in here.iter().filter(is_new).take(most_new) {
            let bbox = &instances.boxes()[row];
            let distances = lost.iter().filter_map(|&(&old, track)| {
                let distance = track.distance_to(time, bbox, &join)?;
                (distance < join.distance).then_some((distance, new, old))
            });
            pairs.extend(distances);
        }
        pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut taken = BTreeSet::new();
        for (_, new, old) in pairs {
            if !joins.contains_key(&new) && taken.insert(old) {
                joins.insert(new, old);
            }
        }
        joins
    }
}

impl Track {
    /// From where it would be by now to the box, in heights of its own; none where the boxes' heights
    /// differ too much.
    fn distance_to(&self, time: f64, bbox: &BoxXyxy, join: &JoinOptions) -> Option<f64> {
        let ratio = f64::from(bbox.height()) / self.height;
        let least = 1.0 - join.height_change;
        let unseen = time - self.seen;
        let expected = Point::new(
            self.at.x + self.velocity.x * unseen,
            self.at.y + self.velocity.y * unseen,
        );
        let distance = Anchor::BottomCentre.of(bbox).distance(expected);
        (ratio > least && ratio < 1.0 / least).then_some(distance / self.height)
    }

    fn see(&mut self, time: f64, at: Point, height: f64) {
        let elapsed = time - self.seen;
        if elapsed > 0.0 {
            let gain = if self.sightings > 1 {
                VELOCITY_GAIN
            } else {
                1.0
            };
            let smooth = |old: f64, from: f64, to: f64| old + gain * ((to - from) / elapsed - old);
            self.velocity = Point::new(
                smooth(self.velocity.x, self.at.x, at.x),
                smooth(self.velocity.y, self.at.y, at.y),
            );
        }
        (self.seen, self.at, self.height) = (time, at, height);
        self.sightings += 1;
    }

    /// The class of the most votes; of equal ones the lowest.
    fn class(&self) -> usize {
        let most = self.votes.iter().rev().max_by(|a, b| a.1.total_cmp(b.1));
        most.map_or(0, |(&class, _)| class)
    }
}

#[cfg(test)]
mod tests {
    use onelook_types::Instance;

    use super::*;

    #[test]
    fn no_more_pairs_are_compared_than_may() {
        let all_at_once = |first: u64| -> Instances {
            let bbox = BoxXyxy {
                x1: 0.0,
                y1: 0.0,
                x2: 10.0,
                y2: 20.0,
            };
            let object = |id| Instance {
                track_id: Some(id),
                ..Instance::new(bbox, 0, 0.9)
            };
            (first..first + 2000).map(object).collect()
        };
        let mut tracks = Tracks::new(Some(JoinOptions::default()), 10.0);
        tracks.update(0.0, &all_at_once(0));
        let sightings = tracks.update(0.1, &all_at_once(2000));
        let continued = sightings.iter().filter(|one| one.continues.is_some());
        assert_eq!(
            (sightings.len(), continued.count()),
            (2000, MOST_PAIRS / 2000)
        );
    }
}
