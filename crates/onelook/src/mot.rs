//! Recorded tracks in the format of the MOTChallenge: a line per box,
//! `frame,id,left,top,width,height,confidence,class`, frames from 1, pixels.
//!
//! Text in, objects by frame out. Never reads a file.

use std::collections::{BTreeMap, BTreeSet};

use onelook_types::{BoxXyxy, Instance, Instances};

use crate::printable::printable;

/// Six days of a camera: going through all of them, empty ones too, takes seconds.
const MAX_FRAME: u64 = 1 << 24;
/// More boxes than any tracker reports of one frame.
const MAX_BOXES_PER_FRAME: usize = 10_000;
const MAX_CLASS: f64 = 65_535.0;
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

/// Which rows are read, and how.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct MotOptions {
    /// Least confidence; ground truth marks rows that are to be ignored with a confidence of 0.
    pub min_confidence: f32,
    /// Whether the eighth column is the class, as in MOT16 and later; before, it is a coordinate. Without,
    /// all boxes are of class 0.
    pub classes: bool,
}

/// Tracked objects by frame, each frame's in the order of the file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MotTracks {
    frames: BTreeMap<u64, Instances>,
    /// Rows with a negative id, which belong to no track and are left out.
    pub untracked: usize,
}

impl MotTracks {
    /// Reads lines; empty ones are passed over.
    ///
    /// # Errors
    /// The first line that is not understood, or that repeats an id on one frame.
    pub fn parse(text: &str, options: &MotOptions) -> Result<Self, MotError> {
        let mut frames: BTreeMap<u64, Vec<Instance<'_>>> = BTreeMap::new();
        let mut ids: BTreeSet<(u64, u64)> = BTreeSet::new();
        let mut untracked = 0;
        for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            if line.trim().is_empty() {
                continue;
            }
            let refuse = |reason| MotError {
                line: index + 1,
                reason,
            };
            let (frame, object) = row(line, options.classes).map_err(refuse)?;
            if object.score < options.min_confidence {
                continue;
            }
            let Some(id) = object.track_id else {
                untracked += 1;
                continue;
            };
            if !ids.insert((frame, id)) {
                return Err(refuse(format!("frame {frame} has id {id} twice")));
            }
            let objects = frames.entry(frame).or_default();
            if objects.len() == MAX_BOXES_PER_FRAME {
                return Err(refuse(format!(
                    "frame {frame} has more than {MAX_BOXES_PER_FRAME} boxes"
                )));
            }
            objects.push(object);
        }
        let frames = frames.into_iter();
        Ok(Self {
            frames: frames
                .map(|(frame, objects)| (frame, objects.into_iter().collect()))
                .collect(),
            untracked,
        })
    }

    /// The number of the last frame that has an object; 0 where none has.
    pub fn last_frame(&self) -> u64 {
        self.frames.keys().next_back().copied().unwrap_or(0)
    }

    /// How many different ids there are.
    pub fn tracks(&self) -> usize {
        let ids = self.frames.values().filter_map(Instances::track_ids);
        ids.flatten().collect::<BTreeSet<_>>().len()
    }

    /// The objects of a frame.
    pub fn frame(&self, number: u64) -> &Instances {
        const NONE: &Instances = &Instances::EMPTY;
        self.frames.get(&number).unwrap_or(NONE)
    }
}

/// What the file `seqinfo.ini` beside a sequence says of it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct SequenceInfo {
    /// Frames per second: `frameRate`.
    pub frame_rate: Option<f64>,
    /// How many frames there are: `seqLength`.
    pub frames: Option<u64>,
    /// Width and height in pixels: `imWidth` and `imHeight`.
    pub image: Option<[usize; 2]>,
}

impl SequenceInfo {
    /// Reads the keys that are known; others are passed over.
    ///
    /// # Errors
    /// The first known key whose value is no number that makes sense.
    pub fn parse(text: &str) -> Result<Self, MotError> {
        let mut values: BTreeMap<&str, f64> = BTreeMap::new();
        for (index, line) in text.lines().enumerate() {
            let Some((key, value)) = line.split_once('=') else {
                continue;
            };
            let (key, value) = (key.trim(), value.trim());
            let most = match key {
                "frameRate" => 1000.0,
                "seqLength" => MAX_FRAME as f64,
                "imWidth" | "imHeight" => 1e6,
                _ => continue,
            };
            let number = value.parse().ok();
            let number = number.filter(|number: &f64| *number > 0.0 && *number <= most);
            let number = number.ok_or_else(|| MotError {
                line: index + 1,
                reason: format!(
                    "{key} '{}' is not a number above 0, up to {most}",
                    shortened(value)
                ),
            })?;
            values.insert(key, number);
        }
        let side = |key| values.get(key).map(|&side| side as usize);
        Ok(Self {
            frame_rate: values.get("frameRate").copied(),
            frames: values.get("seqLength").map(|&frames| frames as u64),
            image: side("imWidth")
                .zip(side("imHeight"))
                .map(|(width, height)| [width, height]),
        })
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_read_by_frame_in_the_order_of_the_file() {
        let text = "\u{feff}2,7,10,20,30.5,40,0.9,-1,-1,-1\r\n\n 1.0, 3, 1, 2, 3, 4, 1\n2,5,0,0,1,1,0.5\n2,-1,0,0,1,1,0.5\n2,8,0,0,1,1,0.1\n";
        let options = MotOptions {
            min_confidence: 0.2,
            classes: false,
        };
        let tracks = MotTracks::parse(text, &options).unwrap();
        assert_eq!((tracks.last_frame(), tracks.untracked), (2, 1));
        let rows: Vec<_> = tracks.frame(2).iter().collect();
        assert_eq!(rows.len(), 2);
        assert_eq!((rows[0].track_id, rows[1].track_id), (Some(7), Some(5)));
        let bbox = rows[0].bbox;
        assert_eq!(
            [bbox.x1, bbox.y1, bbox.x2, bbox.y2],
            [10.0, 20.0, 40.5, 60.0]
        );
        assert!(tracks.frame(3).is_empty());
        assert_eq!(MotTracks::parse("", &options).unwrap().last_frame(), 0);
    }

    #[test]
    fn a_sequence_has_a_rate_a_length_and_a_size() {
        let text = "[Sequence]\nname=A\nframeRate=7\nseqLength = 795\nimWidth=768\nimHeight=576\n";
        let info = SequenceInfo::parse(text).unwrap();
        assert_eq!((info.frame_rate, info.frames), (Some(7.0), Some(795)));
        assert_eq!(info.image, Some([768, 576]));
        assert_eq!(SequenceInfo::parse("").unwrap(), SequenceInfo::default());
        for text in [
            "\nframeRate=0",
            "\nframeRate=nan",
            "\nseqLength=1e30",
            "\nimWidth=-4",
        ] {
            assert_eq!(SequenceInfo::parse(text).unwrap_err().line, 2, "{text}");
        }
    }

    #[test]
    fn the_eighth_column_is_the_class_where_that_is_said() {
        let options = MotOptions {
            classes: true,
            ..MotOptions::default()
        };
        let tracks = MotTracks::parse("1,1,0,0,1,1,1,3,0.5", &options).unwrap();
        assert_eq!(tracks.frame(1).classes(), [3]);
        let error = MotTracks::parse("1,1,0,0,1,1,1,-1,-1,-1", &options).unwrap_err();
        assert!(error.to_string().contains("class -1"), "{error}");
    }

    #[test]
    fn a_line_that_is_no_box_is_named() {
        for (row, reason) in [
            ("1,2,1,2,3", "5 columns"),
            ("0,2,1,2,3,4,0.5", "frame 0"),
            ("1.5,2,1,2,3,4,0.5", "frame 1.5"),
            ("1e12,2,1,2,3,4,0.5", "frame 1000000000000"),
            ("1,1e17,1,2,3,4,0.5", "id 1"),
            ("1,2,nan,2,3,4,0.5", "'nan'"),
            ("1,2,inf,2,3,4,0.5", "'inf'"),
            ("1,2,1e300,2,3,4,0.5", "too large"),
            ("1,2,1,2,-3,4,0.5", "-3 wide"),
            ("1,1,1,2,3,4,0.5", "id 1 twice"),
            ("frame,id,left,top,w,h,conf", "'frame'"),
        ] {
            let text = format!("1,1,1,2,3,4,0.5\n{row}\n");
            let error = MotTracks::parse(&text, &MotOptions::default()).unwrap_err();
            assert_eq!(error.line, 2, "{row}");
            assert!(error.reason.contains(reason), "{row}: {error}");
        }
    }
}
