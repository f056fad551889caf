//! Results of frames to message brokers, and an event for each object that is followed for the first time.

use std::collections::BTreeMap;
use std::rc::Rc;

use onelook::record::class_name;
use onelook_server::StreamResults;
use serde_json::json;

use super::predicted::{Keep, PredictedImage, Sink, SinkState};
use super::seen_ids::SeenIds;
use crate::delivery::Delivery;
use crate::failure::Failure;

/// Hands results to the delivery.
pub struct Published<'a> {
    delivery: Rc<Delivery>,
    names: &'a [String],
    /// Whether objects that appear are events.
    tells_objects: bool,
    seen: BTreeMap<usize, SeenIds>,
}

impl<'a> Published<'a> {
    /// Hands them to this delivery; objects that another program has told of are not told of again.
    pub fn new(
        delivery: Rc<Delivery>,
        names: &'a [String],
        tells_objects: bool,
        keep: Keep,
    ) -> Self {
        Self {
            delivery,
            names,
            tells_objects,
            seen: match keep {
                Keep::Nothing => BTreeMap::new(),
                Keep::State(state) => state.seen_ids,
            },
        }
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

    fn checkpoint(&mut self) -> Result<SinkState, Failure> {
        Ok(SinkState {
            seen_ids: self.seen.clone(),
            ..SinkState::default()
        })
    }

    fn end_of(&mut self, sequence: usize) -> Result<(), Failure> {
        self.seen.remove(&sequence);
        Ok(())
    }
}
