//! Results of frames to message brokers, and an event for each object that is followed for the first time.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use onelook::record::class_name;
use onelook_server::StreamResults;
use serde_json::json;

use super::predicted::{PredictedImage, Sink};
use crate::delivery::Delivery;
use crate::failure::Failure;

/// Ids that are remembered of a sequence. Lower ones are known.
const MAX_IDS: usize = 4096;

/// Hands results to the delivery.
pub struct Published<'a> {
    delivery: Rc<Delivery>,
    names: &'a [String],
    /// Whether objects that appear are events.
    tells_objects: bool,
    seen: BTreeMap<usize, SeenIds>,
}

/// Ids that were seen.
#[derive(Default)]
struct SeenIds {
    ids: BTreeSet<u64>,
    /// All below are known.
    floor: u64,
}

impl<'a> Published<'a> {
    pub fn new(delivery: Rc<Delivery>, names: &'a [String], tells_objects: bool) -> Self {
        Self {
            delivery,
            names,
            tells_objects,
            seen: BTreeMap::new(),
        }
    }
}

impl SeenIds {
    /// Whether the id is new.
    fn insert(&mut self, id: u64) -> bool {
        if id < self.floor || !self.ids.insert(id) {
            return false;
        }
        if self.ids.len() > MAX_IDS
            && let Some(lowest) = self.ids.pop_first()
        {
            self.floor = lowest + 1;
        }
        true
    }
}

impl Sink for Published<'_> {
    fn write(&mut self, image: &PredictedImage<'_>) -> Result<(), Failure> {
        let found = image.result.instances();
        let position = image.sequence;
        let time = position.time.as_secs_f64();
        let sinks = self.delivery.sinks();
        sinks.set_results(&StreamResults {
            stream: image.source,
            frame: position.frame,
            time,
            size: image.size(),
            found,
            names: self.names,
        });
        if !self.tells_objects {
            return Ok(());
        }
        let seen = self.seen.entry(position.number).or_default();
        for object in found.iter() {
            let Some(id) = object.track_id.filter(|id| seen.insert(*id)) else {
                continue;
            };
            sinks.publish(&json!({
                "event": "appeared",
                "stream": image.source,
                "frame": position.frame,
                "time": (time * 1e6).round() / 1e6,
                "track_id": id,
                "class": object.class,
                "name": class_name(self.names, object.class),
                "confidence": object.score,
                "box": [object.bbox.x1, object.bbox.y1, object.bbox.x2, object.bbox.y2],
            }));
        }
        Ok(())
    }

    fn end_of(&mut self, sequence: usize) -> Result<(), Failure> {
        self.seen.remove(&sequence);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_id_is_new_once_in_bounded_memory() {
        let mut seen = SeenIds::default();
        assert!(seen.insert(2) && seen.insert(1) && !seen.insert(2));
        let limit = MAX_IDS as u64;
        assert!((3..=2 * limit).all(|id| seen.insert(id)));
        assert!(!seen.insert(1) && seen.ids.len() == MAX_IDS);
    }
}
