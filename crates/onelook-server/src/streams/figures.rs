//! A stream's figures as metrics.

use serde_json::Value;

use super::entry::{Figures, State};
use crate::metrics::StreamMetrics;

/// Writes the figures of a stream. Its lines and zones are bounded, and so are the labels.
pub fn write(metrics: &StreamMetrics, stream: &str, figures: &Figures) {
    for state in State::ALL {
        let gauge = metrics.state.with_label_values(&[stream, state.name()]);
        gauge.set(i64::from(state == figures.state));
    }
    for (what, count) in [
        ("received", figures.frames_in),
        ("run", figures.frames_run),
        ("replaced", figures.drops.replaced),
        ("over_rate", figures.drops.over_rate),
        ("too_old", figures.drops.too_old),
    ] {
        let counter = metrics.frames.with_label_values(&[stream, what]);
        counter.inc_by(count);
    }
    let failures = metrics.failures.with_label_values(&[stream]);
    failures.inc_by(figures.failures);
    if let Some(age) = figures.age_ms() {
        metrics.age.with_label_values(&[stream]).set(age / 1e3);
    }
    for line in &figures.lines {
        for direction in ["in", "out"] {
            let labels = [stream, name(line), direction];
            let counter = metrics.crossings.with_label_values(&labels);
            counter.inc_by(line[direction].as_u64().unwrap_or(0));
        }
    }
    for zone in &figures.zones {
        let gauge = metrics.inside.with_label_values(&[stream, name(zone)]);
        gauge.set(zone["inside"].as_i64().unwrap_or(0));
    }
}

fn name(place: &Value) -> &str {
    place["name"].as_str().unwrap_or_default()
}
