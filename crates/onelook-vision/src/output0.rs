//! The maps of a head as the one tensor that an exported model gives.

use onelook_types::{Head, OutputEncoding, Tensor};

use crate::VisionError;
use crate::head::{Level, Outputs, ROW_VALUES};
use crate::rank;

/// Rows of the tensor that an end-to-end head's maps decode to, where the levels have that many
/// anchors.
pub const END_TO_END_ROWS: usize = 300;

/// The first tensor that an exported model would give for these outputs; others that it has, such as
/// prototype masks, are outputs of the graph as they are.
///
/// Maps become `[batch, 4 + classes + extra, anchors]` (centre, size in pixels of the input, class
/// probabilities, mask coefficients of segmentation models), for an end-to-end head
/// `[batch, rows, 6 + extra]` with at most [`END_TO_END_ROWS`] rows (two corners, score, class, ...).
/// Decoded outputs come back as they are.
///
/// # Errors
/// The outputs do not fit the head, or the head is of a task that has no boxes.
pub fn decode_output0(
    outputs: &[Tensor],
    head: &Head,
    input_height: usize,
    input_width: usize,
) -> Result<Tensor, VisionError> {
    let outputs = Outputs::new(outputs, head)?;
    let Some(detect) = head.detect() else {
        return Ok(outputs.tensors[0].clone());
    };
    if detect.encoding != OutputEncoding::Maps {
        return Ok(outputs.tensors[0].clone());
    }
    outputs.check_grid(detect, input_height, input_width)?;
    let extra = head.extra_values();
    let mut data = Vec::new();
    let mut extents = [outputs.batch, 0, 0];
    for index in 0..outputs.batch {
        let levels = outputs.levels(index)?;
        let anchors = levels.iter().map(|level| level.cells).sum();
        if detect.end_to_end {
            let rows = END_TO_END_ROWS.min(anchors);
            extents = [outputs.batch, rows, ROW_VALUES + extra];
            push_rows(&mut data, &levels, rows, extra);
        } else {
            extents = [outputs.batch, 4 + detect.classes + extra, anchors];
            push_planes(&mut data, &levels, detect.classes, extra);
        }
    }
    Ok(Tensor::new(extents, data).expect("every image of the batch adds the same values"))
}

fn push_planes(data: &mut Vec<f32>, levels: &[Level<'_>], classes: usize, extra: usize) {
    let anchors: usize = levels.iter().map(|level| level.cells).sum();
    let start = data.len();
    data.resize(start + 4 * anchors, 0.0);
    let mut anchor = start;
    for level in levels {
        for cell in 0..level.cells {
            let bbox = level.bbox(cell);
            data[anchor] = (bbox.x1 + bbox.x2) / 2.0;
            data[anchor + anchors] = (bbox.y1 + bbox.y2) / 2.0;
            data[anchor + 2 * anchors] = bbox.x2 - bbox.x1;
            data[anchor + 3 * anchors] = bbox.y2 - bbox.y1;
            anchor += 1;
        }
    }
    for class in 0..classes {
        for level in levels {
            let plane = &level.scores[class * level.cells..][..level.cells];
            data.extend(plane.iter().map(|&value| level.probability(value)));
        }
    }
    for channel in 0..extra {
        for level in levels {
            data.extend((0..level.cells).map(|cell| level.extra_value(channel, cell)));
        }
    }
}

fn push_rows(data: &mut Vec<f32>, levels: &[Level<'_>], rows: usize, extra: usize) {
    let start = data.len();
    for candidate in rank::all_labels(levels, f32::NEG_INFINITY, |_| true, rows) {
        let level = &levels[candidate.level];
        let bbox = level.bbox(candidate.cell);
        data.extend([bbox.x1, bbox.y1, bbox.x2, bbox.y2]);
        data.extend([candidate.score, candidate.class as f32]);
        data.extend(level.extra(candidate.cell));
    }
    data.resize(start + rows * (ROW_VALUES + extra), 0.0);
}
