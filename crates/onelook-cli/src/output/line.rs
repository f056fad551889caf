//! A line per picture: `image 1/2 /p/bus.jpg: 640x480 4 persons, 1 bus, 36.4ms`.

use std::collections::BTreeMap;

use onelook::printable::printable;
use onelook::record::class_name;
use onelook::types::Detections;

use super::{Seen, Sink};
use crate::console::Console;
use crate::failure::Failure;

pub struct Lines<'a> {
    names: &'a [String],
    console: &'a Console,
}

impl<'a> Lines<'a> {
    pub fn new(names: &'a [String], console: &'a Console) -> Self {
        Self { names, console }
    }
}

impl Sink for Lines<'_> {
    fn accept(&mut self, seen: &Seen<'_>) -> Result<(), Failure> {
        let [position, total] = seen.position;
        let [height, width] = seen.prediction.input;
        let found = counts(&seen.prediction.detections, self.names);
        let time = seen.prediction.speed.inference.as_secs_f64() * 1e3;
        self.console.line(format!(
            "image {position}/{total} {}: {height}x{width} {found}, {time:.1}ms",
            printable(seen.source)
        ))
    }
}

/// `4 persons, 1 bus`, by class number.
fn counts(detections: &Detections, names: &[String]) -> String {
    let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
    for found in detections {
        *counts.entry(found.class).or_default() += 1;
    }
    if counts.is_empty() {
        return "(no detections)".to_owned();
    }
    let words = counts.iter().map(|(&class, &count)| {
        let plural = if count > 1 { "s" } else { "" };
        format!("{count} {}{plural}", class_name(names, class))
    });
    words.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use onelook::types::{BoxXyxy, Detection};

    #[test]
    fn classes_are_counted_in_their_order() {
        let names = ["person".to_owned(), "bus".to_owned()];
        let items = [1, 0, 0].map(|class| Detection {
            bbox: BoxXyxy::default(),
            class,
            confidence: 0.5,
        });
        let found = Detections {
            items: items.to_vec(),
        };
        assert_eq!(counts(&found, &names), "2 persons, 1 bus");
        assert_eq!(counts(&Detections::default(), &names), "(no detections)");
    }
}
