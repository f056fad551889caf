//! Tracked objects: each has an id, once on a frame.

use std::collections::{BTreeMap, BTreeSet};

use onelook_types::{Instance, Instances};

use super::{MAX_ROWS, MotError, for_each_line, row};

/// More boxes than any tracker reports of one frame.
const MAX_BOXES_PER_FRAME: usize = 10_000;

/// Which rows are read, and how.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct MotOptions {
    /// Least confidence; all rows if absent. Ground truth marks rows that are to be ignored with a
    /// confidence of 0, results of a tracker that gives none have -1.
    pub min_confidence: Option<f32>,
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
    /// Rows below the least confidence, which are left out.
    pub below_confidence: usize,
}

impl MotTracks {
    /// Reads lines; empty ones are passed over.
    ///
    /// # Errors
    /// The first line that is not understood, or that repeats an id on one frame.
    pub fn parse(text: &str, options: &MotOptions) -> Result<Self, MotError> {
        let mut frames: BTreeMap<u64, Vec<Instance<'_>>> = BTreeMap::new();
        let mut ids: BTreeSet<(u64, u64)> = BTreeSet::new();
        let (mut untracked, mut below_confidence) = (0, 0);
        for_each_line(text, MAX_ROWS, |line| {
            let (frame, object) = row(line, options.classes)?;
            if options
                .min_confidence
                .is_some_and(|least| object.score < least)
            {
                below_confidence += 1;
                return Ok(());
            }
            let Some(id) = object.track_id else {
                untracked += 1;
                return Ok(());
            };
            if !ids.insert((frame, id)) {
                return Err(format!("frame {frame} has id {id} twice"));
            }
            let objects = frames.entry(frame).or_default();
            if objects.len() == MAX_BOXES_PER_FRAME {
                return Err(format!(
                    "frame {frame} has more than {MAX_BOXES_PER_FRAME} boxes"
                ));
            }
            objects.push(object);
            Ok(())
        })?;
        let frames = frames.into_iter();
        Ok(Self {
            frames: frames
                .map(|(frame, objects)| (frame, objects.into_iter().collect()))
                .collect(),
            untracked,
            below_confidence,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_read_by_frame_in_the_order_of_the_file() {
        let text = "\u{feff}2,7,10,20,30.5,40,0.9,-1,-1,-1\r\n\n 1.0, 3, 1, 2, 3, 4, 1\n2,5,0,0,1,1,0.5\n2,-1,0,0,1,1,0.5\n2,8,0,0,1,1,0.1\n";
        let options = MotOptions {
            min_confidence: Some(0.2),
            classes: false,
        };
        let tracks = MotTracks::parse(text, &options).unwrap();
        assert_eq!((tracks.last_frame(), tracks.untracked), (2, 1));
        assert_eq!(tracks.below_confidence, 1);
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
    fn results_without_confidences_are_read_unless_some_confidence_is_asked_for() {
        let text = "1,1,0,0,1,1,-1,-1,-1,-1\n2,1,0,0,1,1,-1,-1,-1,-1\n";
        let tracks = MotTracks::parse(text, &MotOptions::default()).unwrap();
        assert_eq!((tracks.last_frame(), tracks.below_confidence), (2, 0));
        let options = MotOptions {
            min_confidence: Some(0.0),
            ..MotOptions::default()
        };
        let tracks = MotTracks::parse(text, &options).unwrap();
        assert_eq!((tracks.last_frame(), tracks.below_confidence), (0, 2));
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
            ("1,2,1,2,3,4,1e300", "confidence 1e300"),
            ("1,2,1,2,3,4,-4e38", "confidence -4e38"),
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
