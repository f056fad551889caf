//! Events and totals of lines and zones as JSON: what is written to files and sent to others.
//!
//! The names of the fields are kept; new ones may be added.

use std::collections::BTreeMap;

use onelook_vision::analytics::{Analytics, Direction, Event, EventKind, LineTotals, ZoneTotals};
use serde_json::{Value, json};

/// An event as a JSON object: `time` in seconds, `place`, `event`, what its kind has besides, and
/// `track_id`, `class`, `confidence` and `box` of the object where there is one.
pub fn event_record(event: &Event) -> Value {
    let mut record = json!({
        "time": event.time,
        "place": event.place,
        "event": event.kind.name(),
    });
    let details = match event.kind {
        EventKind::Crossed { direction } => json!({"direction": direction_name(direction)}),
        EventKind::Entered { since, born_inside } => {
            json!({"since": since, "born_inside": born_inside})
        }
        EventKind::Left {
            last_inside,
            dwell,
            lost,
        } => json!({"last_inside": last_inside, "dwell": dwell, "lost": lost}),
        EventKind::CrowdStarted { count } => json!({"count": count}),
        EventKind::CrowdEnded { count, duration } => json!({"count": count, "duration": duration}),
    };
    let object = event.object.map_or(json!({}), |object| {
        let bbox = object.bbox;
        let mut fields = json!({
            "track_id": object.track_id,
            "class": object.class,
            "confidence": object.score,
            "box": [bbox.x1, bbox.y1, bbox.x2, bbox.y2],
        });
        if let Some(speed) = object.speed {
            fields["speed"] = json!(speed);
        }
        fields
    });
    for part in [details, object] {
        if let (Value::Object(record), Value::Object(part)) = (&mut record, part) {
            record.extend(part);
        }
    }
    record
}

/// `in` or `out`.
pub fn direction_name(direction: Direction) -> &'static str {
    match direction {
        Direction::In => "in",
        Direction::Out => "out",
    }
}

/// The totals of all lines and zones of these counters so far.
pub fn totals_record<'a>(counters: impl IntoIterator<Item = &'a Analytics>) -> Value {
    let (mut lines, mut zones) = (Vec::new(), Vec::new());
    for analytics in counters {
        lines.extend(analytics.lines().map(line_record));
        let of_zones = analytics.zones().enumerate();
        zones.extend(of_zones.map(|(index, zone)| zone_record(analytics, index, zone)));
    }
    json!({"lines": lines, "zones": zones})
}

fn line_record((name, totals): (&str, &LineTotals)) -> Value {
    let [ins, outs] = totals.sums();
    json!({
        "name": name,
        "in": ins,
        "out": outs,
        "in_by_class": by_class(&totals.ins),
        "out_by_class": by_class(&totals.outs),
        "tracks": totals.tracks,
    })
}

fn zone_record(analytics: &Analytics, index: usize, (name, totals): (&str, &ZoneTotals)) -> Value {
    json!({
        "name": name,
        "entered": totals.entered,
        "entered_by_class": by_class(&totals.entered_by_class),
        "born_inside": totals.born_inside,
        "left": totals.left,
        "lost_inside": totals.lost_inside,
        "inside": analytics.occupants(index).count(),
        "inside_by_class": by_class(&analytics.occupancy(index)),
        "most_at_once": totals.most_at_once,
        "dwell_mean": totals.dwell_mean(),
        "dwell_longest": totals.dwell_longest,
    })
}

fn by_class<T: Copy + serde::Serialize>(counts: &BTreeMap<usize, T>) -> Value {
    json!(counts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use onelook_types::BoxXyxy;
    use onelook_vision::analytics::{AnalyticsOptions, EventObject};

    #[test]
    fn an_event_has_the_fields_of_its_kind_and_of_its_object() {
        let object = EventObject {
            track_id: 7,
            class: 2,
            score: 0.5,
            bbox: BoxXyxy {
                x1: 1.0,
                y1: 2.0,
                x2: 3.0,
                y2: 4.5,
            },
            speed: Some(1.25),
        };
        let event = Event {
            time: 1.5,
            place: "gate".to_owned(),
            kind: EventKind::Crossed {
                direction: Direction::Out,
            },
            object: Some(object),
        };
        let expected = r#"{"time":1.5,"place":"gate","event":"crossed","direction":"out","track_id":7,"class":2,"confidence":0.5,"box":[1.0,2.0,3.0,4.5],"speed":1.25}"#;
        assert_eq!(event_record(&event).to_string(), expected);
        let crowd = Event {
            kind: EventKind::CrowdStarted { count: 3 },
            object: None,
            ..event
        };
        let expected = r#"{"time":1.5,"place":"gate","event":"crowd_started","count":3}"#;
        assert_eq!(event_record(&crowd).to_string(), expected);
    }

    #[test]
    fn totals_without_places_are_empty_lists() {
        let analytics = Analytics::new(&AnalyticsOptions::default()).unwrap();
        let text = totals_record([&analytics]).to_string();
        assert_eq!(text, r#"{"lines":[],"zones":[]}"#);
    }
}
