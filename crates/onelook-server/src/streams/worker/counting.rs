//! What happens on a frame of a stream: at its lines, in its zones and on its ground, as events and totals.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use onelook::types::Instances;
use onelook::vision::analytics::{Anchor, Event, ZoneTotals};
use onelook::{event_record, totals_record};
use serde_json::{Value, json};

use super::Running;
use crate::streams::count_history::PlaceTotals;
use crate::streams::live_frame::{LiveFrame, scaled};
use crate::streams::snapshots::SnapshotRequest;

impl Running {
    /// In pixels of the first frame, for which places hold: a camera that changes its size keeps its counts.
    pub(super) fn in_reference(&self, size: [usize; 2], found: &Instances) -> Instances {
        let reference = self.reference.unwrap_or(size);
        let factor = |axis: usize| reference[axis] as f64 / size[axis].max(1) as f64;
        scaled(found, [factor(0), factor(1)])
    }

    /// What happens at lines and in zones.
    pub(super) fn count(&mut self, time: f64, found: &Instances) -> Vec<Event> {
        let mut events = Vec::new();
        for (_, counter) in &mut self.places {
            events.extend(counter.update(time, found));
        }
        if let Some(heatmap) = self.entry.heatmap().as_mut() {
            heatmap.map.update(time, found);
        }
        events
    }

    /// How fast each object moves, where the ground is known.
    pub(super) fn measure(&mut self, time: f64, found: &Instances) -> Vec<Option<f64>> {
        let (Some(meter), Some(ids)) = (&mut self.speeds, found.track_ids()) else {
            return Vec::new();
        };
        meter.update(time, found);
        let rounded = |speed: f64| (speed * 100.0).round() / 100.0;
        ids.iter().map(|id| meter.speed(*id).map(rounded)).collect()
    }

    /// Tells an event, with the frame on which its object is marked.
    pub(super) fn record(
        &self,
        event: &Event,
        size: [usize; 2],
        live: Option<&Arc<LiveFrame>>,
        names: &[String],
    ) {
        let mut record = event_record(event);
        let object = event.object;
        let class = object.map(|object| object.class);
        let name = class.and_then(|class| names.get(class).cloned());
        let found = object.map(|object| {
            Instances::new(vec![object.bbox], vec![object.class], vec![object.score])
                .with_track_ids(vec![object.track_id])
        });
        if let Some(object) = object {
            let at = Anchor::BottomCentre.of(&object.bbox);
            record["position"] = json!([at.x, at.y]);
            let speed = self
                .speeds
                .as_ref()
                .and_then(|meter| meter.speed(object.track_id));
            if let Some(speed) = speed {
                record["speed"] = json!((speed * 100.0).round() / 100.0);
            }
        }
        let snapshot = live.map(|frame| {
            let reference = self.reference.unwrap_or(size);
            let factor = |axis: usize| size[axis] as f64 / reference[axis].max(1) as f64;
            let found = found.map(|found| scaled(&found, [factor(0), factor(1)]));
            SnapshotRequest {
                found: found.unwrap_or_else(|| frame.found().clone()),
                frame: Arc::clone(frame),
            }
        });
        self.entry.record(record, name, snapshot);
    }

    pub(super) fn write_totals(&self) {
        let mut totals = totals_record(self.places.iter().map(|(_, counter)| counter));
        let [lines, zones] = ["lines", "zones"].map(|key| match totals[key].take() {
            Value::Array(records) => records,
            _ => Vec::new(),
        });
        let sinks = self.entry.sinks();
        sinks.set_totals(&self.config.name, &lines, &zones);
        let mut figures = self.entry.figures();
        (figures.lines, figures.zones) = (lines, zones);
    }

    /// Adds what was counted so far to the history.
    pub(super) fn write_history(&self) {
        let lines = self.places.iter().flat_map(|(_, counter)| counter.lines());
        let lines = lines.map(|(name, totals)| PlaceTotals::Line(name, totals.sums()));
        let zones = self.places.iter().flat_map(|(_, counter)| {
            let inside = |(index, (name, totals)): (usize, (_, &ZoneTotals))| {
                PlaceTotals::Zone(name, counter.occupants(index).count(), totals.entered)
            };
            counter.zones().enumerate().map(inside)
        });
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
        let now_s = since_1970.map_or(0, |time| time.as_secs());
        let totals: Vec<PlaceTotals<'_>> = lines.chain(zones).collect();
        self.entry.history().add(now_s, &totals);
    }
}
