//! Totals of lines and zones in words.

use onelook::vision::analytics::Analytics;

use crate::console::Console;
use crate::failure::Failure;

/// A line per line and zone, each behind `prefix`.
pub fn print_totals(analytics: &Analytics, prefix: &str, console: &Console) -> Result<(), Failure> {
    for (name, totals) in analytics.lines() {
        let [ins, outs] = totals.sums();
        let tracks = totals.tracks;
        console.line(format!(
            "{prefix}line {name}: {ins} in, {outs} out, by {tracks} tracks"
        ))?;
    }
    for (index, (name, totals)) in analytics.zones().enumerate() {
        let mean = totals.dwell_mean().unwrap_or_default();
        console.line(format!(
            "{prefix}zone {name}: {} entered, {} born inside, {} left, {} lost inside, {} still inside, at most \
             {} at once, dwell {mean:.2} s on average, {:.2} s at most",
            totals.entered,
            totals.born_inside,
            totals.left,
            totals.lost_inside,
            analytics.occupants(index).count(),
            totals.most_at_once,
            totals.dwell_longest,
        ))?;
    }
    Ok(())
}
