//! Synthetic tracks, a line and a zone: what the tests of analytics have in common.

#![allow(dead_code, reason = "not every test needs all of it")]

use onelook_types::{BoxXyxy, Instance, Instances};
use onelook_vision::analytics::{
    Analytics, AnalyticsOptions, BandOptions, Event, Line, LineRule, Point, Zone, ZoneOptions,
};

/// Frames per second of the scenes.
pub const RATE: f64 = 25.0;

/// Width and height of all boxes, so that the default band is 4 pixels.
pub const SIZE: [f32; 2] = [40.0, 100.0];

/// A track on one frame: number, class, bottom centre.
pub type Row = (u64, usize, [f32; 2]);

pub fn instances(rows: &[Row]) -> Instances {
    let object = |&(id, class, [x, y]): &Row| {
        let bbox = BoxXyxy {
            x1: x - SIZE[0] / 2.0,
            y1: y - SIZE[1],
            x2: x + SIZE[0] / 2.0,
            y2: y,
        };
        let mut object = Instance::new(bbox, class, 0.5);
        object.track_id = Some(id);
        object
    };
    rows.iter().map(object).collect()
}

/// An upright line at x 100 from y 500 up to y 100: in is leftwards.
pub fn line(rule: BandOptions) -> AnalyticsOptions {
    AnalyticsOptions {
        lines: vec![Line {
            name: "line".to_owned(),
            start: Point::new(100.0, 500.0),
            end: Point::new(100.0, 100.0),
            rule: LineRule::Band(rule),
        }],
        ..AnalyticsOptions::default()
    }
}

/// A square from (100, 100) to (300, 300).
pub fn zone(options: ZoneOptions) -> AnalyticsOptions {
    let corners = [
        [100.0, 100.0],
        [300.0, 100.0],
        [300.0, 300.0],
        [100.0, 300.0],
    ];
    AnalyticsOptions {
        zones: vec![Zone {
            name: "zone".to_owned(),
            corners: corners.map(|[x, y]| Point::new(x, y)).to_vec(),
            options,
        }],
        ..AnalyticsOptions::default()
    }
}

pub fn run(
    options: &AnalyticsOptions,
    frames: impl IntoIterator<Item = Vec<Row>>,
) -> (Analytics, Vec<Event>) {
    let mut analytics = Analytics::new(options).unwrap();
    let mut events = Vec::new();
    for (index, rows) in frames.into_iter().enumerate() {
        events.extend(analytics.update(index as f64 / RATE, &instances(&rows)));
    }
    (analytics, events)
}
