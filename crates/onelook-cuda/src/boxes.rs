//! The output of a plan that ends in boxes, as detections.

use onelook_types::{BoxXyxy, Detection, Detections};

use crate::kernels::nms::{Row, read_output};

/// What a plan found on an image.
#[derive(Debug, Clone, PartialEq)]
pub struct DetectResult {
    /// The detections, highest confidence first.
    pub detections: Detections,
    /// How many candidates there were. Beyond the capacity of the plan, candidates were dropped.
    pub candidates: u32,
}

/// What was found on each of so many images; nothing where the bytes are no such output.
pub fn read(output: &[u8], images: usize) -> Option<Vec<DetectResult>> {
    let part = output.len().checked_div(images)?;
    let of = |image: usize| {
        let (rows, candidates) = read_output(&output[image * part..][..part])?;
        let items = rows.iter().map(detection).collect();
        Some(DetectResult {
            detections: Detections { items },
            candidates,
        })
    };
    (0..images).map(of).collect()
}

fn detection(row: &Row) -> Detection {
    let [x1, y1, x2, y2] = row.corners;
    Detection {
        bbox: BoxXyxy { x1, y1, x2, y2 },
        class: row.class as usize,
        confidence: row.score,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_never_written_is_no_output() {
        let nothing = DetectResult {
            detections: Detections::default(),
            candidates: 0,
        };
        assert_eq!(read(&[0xff; 400], 2), None);
        assert_eq!(read(&[0; 400], 2), Some(vec![nothing; 2]));
        assert_eq!(read(&[], 1), None);
        assert_eq!(read(&[0; 400], 0), None);
    }
}
