//! Recorded detections and tracks in the format of the MOTChallenge: a line per box,
//! `frame,id,left,top,width,height,confidence,class`, frames from 1, pixels.
//!
//! Text in, objects by frame out, and tracks back to lines. Never reads a file.

mod detections;
mod sequence;
mod tracks;

use std::fmt::Write as _;

use onelook_types::{BoxXyxy, Instance};

use crate::printable::printable;
pub use detections::MotDetections;
pub use sequence::SequenceInfo;
pub use tracks::{MotOptions, MotTracks};

/// Six days of a camera: going through all of them, empty ones too, takes seconds.
const MAX_FRAME: u64 = 1 << 24;
const MAX_CLASS: f64 = 65_535.0;
/// More boxes than a busy camera has in half a day; they are held in memory.
const MAX_ROWS: usize = 1 << 23;
/// Columns up to the confidence.
const COLUMNS: usize = 7;

/// A line that is no box.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct MotError {
    /// Which line, from 1.
    pub line: usize,
    /// What is wrong with it and what would be right.
    pub reason: String,
}

/// Does something with each line that is not empty; more than `max_rows` of them are an error.
fn for_each_line(
    text: &str,
    max_rows: usize,
    mut take: impl FnMut(&str) -> Result<(), String>,
) -> Result<(), MotError> {
    let lines = text.trim_start_matches('\u{feff}').lines().enumerate();
    let rows = lines.filter(|(_, line)| !line.trim().is_empty());
    for (row, (index, line)) in rows.enumerate() {
        let taken = match row < max_rows {
            true => take(line),
            false => Err(format!(
                "there are more than {max_rows} boxes: cut the file into parts"
            )),
        };
        taken.map_err(|reason| MotError {
            line: index + 1,
            reason,
        })?;
    }
    Ok(())
}

/// The frame and the object of a line; a negative id is none.
fn row(line: &str, has_class: bool) -> Result<(u64, Instance<'static>), String> {
    let expected = COLUMNS + usize::from(has_class);
    let mut words = line.split(',').map(str::trim);
    let mut numbers = [0.0_f64; COLUMNS + 1];
    for (index, number) in numbers[..expected].iter_mut().enumerate() {
        let word = words.next().ok_or_else(|| {
            let class = if has_class { ",class" } else { "" };
            format!(
                "it has {index} columns, expected at least {expected}: \
                 frame,id,left,top,width,height,confidence{class}"
            )
        })?;
        let parsed = word.parse().ok().filter(|number: &f64| number.is_finite());
        *number = parsed.ok_or_else(|| format!("'{}' is not a number", shortened(word)))?;
    }
    let [frame, id, left, top, width, height, score, class] = numbers;
    whole("frame", frame, 1.0, MAX_FRAME as f64)?;
    // Larger ones are no longer exact.
    let largest_id = (1_u64 << 53) as f64;
    whole("id", id, -largest_id, largest_id)?;
    whole("class", class, 0.0, MAX_CLASS)?;
    let bbox = BoxXyxy {
        x1: left as f32,
        y1: top as f32,
        x2: (left + width) as f32,
        y2: (top + height) as f32,
    };
    if !bbox.is_finite() {
        return Err("its box is too large".to_owned());
    }
    if !(score as f32).is_finite() {
        return Err(format!("confidence {score:e} is too large"));
    }
    if width < 0.0 || height < 0.0 {
        return Err(format!("its box is {width} wide and {height} high"));
    }
    let mut object = Instance::new(bbox, class as usize, score as f32);
    object.track_id = (id >= 0.0).then_some(id as u64);
    Ok((frame as u64, object))
}

fn whole(name: &str, value: f64, least: f64, most: f64) -> Result<(), String> {
    match value.fract() == 0.0 && (least..=most).contains(&value) {
        true => Ok(()),
        false => Err(format!(
            "{name} {value} is not a whole number from {least} to {most}"
        )),
    }
}

/// A word from a file, short enough for an error.
fn shortened(word: &str) -> String {
    printable(&word.chars().take(40).collect::<String>()).into_owned()
}

/// Adds a line for a tracked object; one without an id has -1.
pub fn write_track(lines: &mut String, frame: u64, object: &Instance<'_>) {
    let bbox = object.bbox;
    let [x1, y1, x2, y2] = [bbox.x1, bbox.y1, bbox.x2, bbox.y2].map(f64::from);
    let id = object.track_id.map_or(-1, |id| id as i64);
    // Writing to a string does not fail.
    let _ = writeln!(
        lines,
        "{frame},{id},{x1:.2},{y1:.2},{:.2},{:.2},{:.4},-1,-1,-1",
        x2 - x1,
        y2 - y1,
        object.score
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_only_so_many_rows() {
        let rows = |text: &str| {
            let mut rows = 0;
            for_each_line(text, 2, |_| {
                rows += 1;
                Ok(())
            })
            .map(|()| rows)
        };
        assert_eq!(rows("a\n\n\nb\n\n"), Ok(2));
        let error = rows("a\n\nb\nc\n").unwrap_err();
        assert_eq!(error.line, 4);
        assert!(error.reason.contains("more than 2 boxes"), "{error}");
    }

    #[test]
    fn a_track_becomes_a_line() {
        let bbox = BoxXyxy {
            x1: 1.0,
            y1: 2.5,
            x2: 11.0,
            y2: 22.5,
        };
        let mut object = Instance::new(bbox, 0, 0.5);
        let mut lines = String::new();
        write_track(&mut lines, 3, &object);
        object.track_id = Some(7);
        write_track(&mut lines, 4, &object);
        assert_eq!(
            lines,
            "3,-1,1.00,2.50,10.00,20.00,0.5000,-1,-1,-1\n4,7,1.00,2.50,10.00,20.00,0.5000,-1,-1,-1\n"
        );
    }
}
