//! Crossings as the object counter of ultralytics counts them: each track once, by its box's centre.
//!
//! In and out follow the movement alone, whatever the line's direction.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::super::event::Direction;
use super::super::geometry::{Anchor, Point, Segment};
use super::super::tracks::Sighting;
use super::Crossing;

/// Most tracks that are known to have been counted; the lowest ids are forgotten first.
const MOST_COUNTED: usize = 1 << 20;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in super::super) struct ObjectCounter {
    segment: Segment,
    memory: f64,
    /// When and where each track was seen last.
    last: BTreeMap<u64, (f64, Point)>,
    counted: BTreeSet<u64>,
}

impl ObjectCounter {
    pub(super) fn new(segment: Segment, memory: f64) -> Self {
        Self {
            segment,
            memory,
            last: BTreeMap::new(),
            counted: BTreeSet::new(),
        }
    }

    pub(super) fn update(&mut self, time: f64, sightings: &[Sighting]) -> Vec<Crossing> {
        let memory = self.memory;
        self.last.retain(|_, (seen, _)| time - *seen <= memory);
        let crossed = sightings
            .iter()
            .enumerate()
            .filter_map(|(index, sighting)| {
                let end = Anchor::Centre.of(&sighting.bbox);
                let (_, start) = self.last.insert(sighting.id, (time, end))?;
                let way = Segment { start, end };
                if self.counted.contains(&sighting.id) || !way.meets(&self.segment) {
                    return None;
                }
                self.counted.insert(sighting.id);
                if self.counted.len() > MOST_COUNTED {
                    self.counted.pop_first();
                }
                Some(Crossing {
                    index,
                    direction: self.direction(&way),
                    is_first: true,
                })
            });
        crossed.collect()
    }

    fn direction(&self, way: &Segment) -> Direction {
        let Segment { start, end } = self.segment;
        let is_upright = (end.x - start.x).abs() < (end.y - start.y).abs();
        let is_in = match is_upright {
            true => way.end.x > way.start.x,
            false => way.end.y > way.start.y,
        };
        if is_in { Direction::In } else { Direction::Out }
    }
}
