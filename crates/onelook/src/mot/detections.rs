//! Detections, which have no ids yet.

use std::collections::BTreeMap;

use onelook_types::{Instance, Instances};

use super::{MAX_ROWS, MotError, for_each_line, row};

/// More boxes than any detector reports of one frame: what compares all with all stays affordable.
const MAX_BOXES_PER_FRAME: usize = 1000;

/// Detections by frame, each frame's in the order of the file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MotDetections {
    frames: BTreeMap<u64, Instances>,
}

impl MotDetections {
    /// Reads lines; empty ones are passed over, and so are ids. All boxes are of
    /// class 0: the format has no classes for detections.
    ///
    /// # Errors
    /// The first line that is not understood.
    pub fn parse(text: &str) -> Result<Self, MotError> {
        let mut frames: BTreeMap<u64, Vec<Instance<'_>>> = BTreeMap::new();
        for_each_line(text, MAX_ROWS, |line| {
            let (frame, object) = row(line, false)?;
            let boxes = frames.entry(frame).or_default();
            if boxes.len() == MAX_BOXES_PER_FRAME {
                return Err(format!(
                    "frame {frame} has more than {MAX_BOXES_PER_FRAME} boxes"
                ));
            }
            boxes.push(Instance {
                track_id: None,
                ..object
            });
            Ok(())
        })?;
        let frames = frames.into_iter();
        Ok(Self {
            frames: frames
                .map(|(frame, boxes)| (frame, boxes.into_iter().collect()))
                .collect(),
        })
    }

    /// The number of the last frame that has a box; 0 where none has.
    pub fn last_frame(&self) -> u64 {
        self.frames.keys().next_back().copied().unwrap_or(0)
    }

    /// The detections of a frame.
    pub fn frame(&self, number: u64) -> &Instances {
        const NONE: &Instances = &Instances::EMPTY;
        self.frames.get(&number).unwrap_or(NONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_are_read_by_frame_in_the_order_of_the_file() {
        let text = "\u{feff}2,-1,10,20,30.5,40,0.9,-1,-1,-1\r\n\n 1.0, -1, 1, 2, 3, 4, 1\n2,-1,0,0,1,1,-0.5\n";
        let detections = MotDetections::parse(text).unwrap();
        assert_eq!(detections.last_frame(), 2);
        assert_eq!(detections.frame(1).scores(), [1.0]);
        assert_eq!(detections.frame(2).scores(), [0.9, -0.5]);
        let bbox = detections.frame(2).boxes()[0];
        assert_eq!(
            [bbox.x1, bbox.y1, bbox.x2, bbox.y2],
            [10.0, 20.0, 40.5, 60.0]
        );
        assert!(detections.frame(3).is_empty());
        assert_eq!(MotDetections::parse("").unwrap().last_frame(), 0);
    }

    #[test]
    fn a_frame_has_only_so_many_boxes() {
        let many = "1,-1,1,2,3,4,0.5\n".repeat(MAX_BOXES_PER_FRAME + 1);
        let error = MotDetections::parse(&many).unwrap_err();
        assert_eq!(error.line, MAX_BOXES_PER_FRAME + 1);
    }
}
