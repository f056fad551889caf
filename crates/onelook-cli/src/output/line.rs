//! A line per image: `image 1/2 /p/bus.jpg: 640x480 4 persons, 1 bus, 36.4ms`, or per frame:
//! `video 1/1 (frame 3/200) /p/clip.mp4: 480x640 2 persons (1, 4), 12.1ms`, with the ids of what is tracked.

use std::collections::BTreeMap;

use onelook::printable::printable;
use onelook::record::class_name;
use onelook::types::Instances;

use super::predicted::{PredictedImage, Sink};
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
    fn write(&mut self, image: &PredictedImage<'_>) -> Result<(), Failure> {
        let place = format!("{}/{}", image.position, image.total);
        let place = match image.video {
            None => format!("image {place}"),
            Some(video) => {
                let of = video
                    .frames
                    .map_or(String::new(), |frames| format!("/{frames}"));
                format!("video {place} (frame {}{of})", video.frame)
            }
        };
        let [height, width] = image.result.input;
        let found = counts(image.result.instances(), self.names);
        let time = image.result.speed.inference.as_secs_f64() * 1e3;
        self.console.line(format!(
            "{place} {}: {height}x{width} {found}, {time:.1}ms",
            printable(image.source)
        ))
    }
}

/// `4 persons, 1 bus`, by class number; `2 persons (1, 4)` where they are tracked.
fn counts(instances: &Instances, names: &[String]) -> String {
    let mut ids: BTreeMap<usize, Vec<Option<u64>>> = BTreeMap::new();
    for found in instances {
        ids.entry(found.class).or_default().push(found.track_id);
    }
    if ids.is_empty() {
        return "(no detections)".to_owned();
    }
    let words = ids.iter_mut().map(|(&class, ids)| {
        let plural = if ids.len() > 1 { "s" } else { "" };
        let count = format!("{} {}{plural}", ids.len(), class_name(names, class));
        ids.sort_unstable();
        let ids: Vec<String> = ids.iter().flatten().map(u64::to_string).collect();
        match ids.is_empty() {
            true => count,
            false => format!("{count} ({})", ids.join(", ")),
        }
    });
    words.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use onelook::types::{BoxXyxy, Instance};

    #[test]
    fn classes_are_counted_in_their_order() {
        let names = ["person".to_owned(), "bus".to_owned()];
        let rows = [1, 0, 0].map(|class| Instance::new(BoxXyxy::default(), class, 0.5));
        assert_eq!(
            counts(&Instances::from_iter(rows), &names),
            "2 persons, 1 bus"
        );
        assert_eq!(counts(&Instances::default(), &names), "(no detections)");
        let tracked = Instances::from_iter(rows).with_track_ids(vec![3, 9, 4]);
        let expected = "2 persons (4, 9), 1 bus (3)";
        assert_eq!(counts(&tracked, &names), expected);
    }
}
