//! Network outputs in, boxes and class scores per anchor out (DFL: arXiv 2006.04388).
//!
//! An anchor is one cell of one level; anchors are numbered level by level, finest first, row by
//! row. Checks every shape against the head's description; never trusts the network's word.

use onelook_types::{BoxXyxy, DetectHead, HeadOutputs, Tensor};

use crate::VisionError;
use crate::postprocess::rank;

/// Rows of the tensor that an end-to-end head's maps decode to, where the levels have that many
/// anchors.
pub const END_TO_END_ROWS: usize = 300;

/// The one tensor that an exported model would give for these outputs.
///
/// Maps become `[batch, 4 + classes, anchors]` (centre, size in pixels of the input, class
/// probabilities), for an end-to-end head `[batch, rows, 6]` with at most [`END_TO_END_ROWS`] rows
/// (two corners, confidence, class). Decoded outputs come back as they are.
pub fn decode_output0(
    outputs: &[Tensor],
    head: &DetectHead,
    input_height: usize,
    input_width: usize,
) -> Result<Tensor, VisionError> {
    let batch = batch_size(outputs, head)?;
    if head.outputs != HeadOutputs::Maps {
        return Ok(outputs[0].clone());
    }
    check_grid(outputs, head, input_height, input_width)?;
    let mut data = Vec::new();
    let mut extents = [batch, 0, 0];
    for index in 0..batch {
        let levels = levels(outputs, index, head)?;
        let anchors = levels.iter().map(|level| level.cells).sum();
        if head.end_to_end {
            let rows = END_TO_END_ROWS.min(anchors);
            extents = [batch, rows, 6];
            push_rows(&mut data, &levels, rows);
        } else {
            extents = [batch, 4 + head.classes, anchors];
            push_planes(&mut data, &levels, head.classes);
        }
    }
    Ok(Tensor::new(extents, data).expect("every picture of the batch adds the same values"))
}

/// One level's values for one picture.
pub(crate) struct Level<'a> {
    /// Planes that tell the box of a cell.
    sides: &'a [f32],
    /// One plane per class.
    pub(crate) scores: &'a [f32],
    /// Cells, that is values in a plane.
    pub(crate) cells: usize,
    form: Form,
}

#[derive(Clone, Copy)]
enum Form {
    /// Distances from the cell's centre, in cells; scores are logits.
    Distances {
        reg_max: usize,
        width: usize,
        stride: f32,
    },
    /// Centre and size in pixels; scores are probabilities.
    Centres,
}

impl Level<'_> {
    /// The class score of a value of `scores`, 0 to 1.
    pub(crate) fn probability(&self, value: f32) -> f32 {
        match self.form {
            Form::Distances { .. } => 1.0 / (1.0 + (-value).exp()),
            Form::Centres => value,
        }
    }

    /// A bound that every value whose probability exceeds `confidence` exceeds; a little too low,
    /// so that rounding loses none.
    pub(crate) fn bound(&self, confidence: f32) -> f32 {
        match self.form {
            Form::Distances { .. } if confidence <= 0.0 => f32::NEG_INFINITY,
            Form::Distances { .. } if confidence >= 1.0 => f32::INFINITY,
            Form::Distances { .. } => {
                let odds = f64::from(confidence) / (1.0 - f64::from(confidence));
                odds.ln() as f32 - 1e-3
            }
            Form::Centres => confidence,
        }
    }

    /// The box of a cell, in pixels of the input.
    pub(crate) fn bbox(&self, cell: usize) -> BoxXyxy {
        match self.form {
            Form::Distances {
                reg_max,
                width,
                stride,
            } => {
                let x = (cell % width) as f32 + 0.5;
                let y = (cell / width) as f32 + 0.5;
                let [left, top, right, bottom] =
                    [0, 1, 2, 3].map(|side| self.distance(side, reg_max, cell));
                BoxXyxy {
                    x1: (x - left) * stride,
                    y1: (y - top) * stride,
                    x2: (x + right) * stride,
                    y2: (y + bottom) * stride,
                }
            }
            Form::Centres => {
                let [x, y, width, height] =
                    [0, 1, 2, 3].map(|plane| self.sides[plane * self.cells + cell]);
                BoxXyxy {
                    x1: x - width / 2.0,
                    y1: y - height / 2.0,
                    x2: x + width / 2.0,
                    y2: y + height / 2.0,
                }
            }
        }
    }

    /// The expectation of a side's distribution over `0..reg_max`, or the plain value.
    fn distance(&self, side: usize, reg_max: usize, cell: usize) -> f32 {
        let logit = |bin: usize| self.sides[(side * reg_max + bin) * self.cells + cell];
        if reg_max == 1 {
            return logit(0);
        }
        let largest = (0..reg_max).map(logit).fold(f32::NEG_INFINITY, f32::max);
        let (mut total, mut weighted) = (0.0, 0.0);
        for bin in 0..reg_max {
            let weight = (logit(bin) - largest).exp();
            total += weight;
            weighted += weight * bin as f32;
        }
        weighted / total
    }
}

/// How many pictures the outputs are about; also checks their number and rank.
pub(crate) fn batch_size(outputs: &[Tensor], head: &DetectHead) -> Result<usize, VisionError> {
    check_head(head)?;
    let (expected, rank) = match head.outputs {
        HeadOutputs::Maps => (2 * head.strides.len(), 4),
        HeadOutputs::Decoded | HeadOutputs::DecodedEndToEnd => (1, 3),
    };
    if outputs.len() != expected {
        return Err(VisionError::OutputCount {
            expected,
            actual: outputs.len(),
        });
    }
    let batch = outputs[0].shape().first().copied().unwrap_or(0);
    for (index, output) in outputs.iter().enumerate() {
        if output.shape().len() != rank || output.shape()[0] != batch {
            let expected = format!("{rank} axes, the first of {batch}");
            return Err(wrong_shape(index, expected, output));
        }
    }
    Ok(batch)
}

/// The levels of one picture; a decoded tensor counts as one level.
pub(crate) fn levels<'a>(
    outputs: &'a [Tensor],
    picture: usize,
    head: &DetectHead,
) -> Result<Vec<Level<'a>>, VisionError> {
    let batch = batch_size(outputs, head)?;
    if picture >= batch {
        return Err(VisionError::BatchIndex {
            index: picture,
            batch,
        });
    }
    match head.outputs {
        HeadOutputs::Maps => outputs
            .chunks_exact(2)
            .zip(&head.strides)
            .enumerate()
            .map(|(level, (maps, &stride))| map_level(maps, 2 * level, picture, stride, head))
            .collect(),
        HeadOutputs::Decoded | HeadOutputs::DecodedEndToEnd => {
            Ok(vec![decoded_level(&outputs[0], picture, head)?])
        }
    }
}

/// The values of one picture of the batch.
pub(crate) fn picture_values(output: &Tensor, picture: usize) -> &[f32] {
    let values: usize = output.shape()[1..].iter().product();
    &output.data()[picture * values..][..values]
}

pub(crate) fn wrong_shape(output: usize, expected: String, actual: &Tensor) -> VisionError {
    VisionError::OutputShape {
        output,
        expected,
        actual: actual.shape().clone(),
    }
}

fn map_level<'a>(
    maps: &'a [Tensor],
    output: usize,
    picture: usize,
    stride: usize,
    head: &DetectHead,
) -> Result<Level<'a>, VisionError> {
    let (sides, scores) = (&maps[0], &maps[1]);
    let (height, width) = (sides.shape()[2], sides.shape()[3]);
    if sides.shape()[1] != 4 * head.reg_max {
        let expected = format!("{} channels", 4 * head.reg_max);
        return Err(wrong_shape(output, expected, sides));
    }
    if scores.shape()[1..] != [head.classes, height, width] {
        let expected = format!("{} channels of {height}x{width}", head.classes);
        return Err(wrong_shape(output + 1, expected, scores));
    }
    Ok(Level {
        sides: picture_values(sides, picture),
        scores: picture_values(scores, picture),
        cells: height * width,
        form: Form::Distances {
            reg_max: head.reg_max,
            width,
            stride: stride as f32,
        },
    })
}

fn decoded_level<'a>(
    output: &'a Tensor,
    picture: usize,
    head: &DetectHead,
) -> Result<Level<'a>, VisionError> {
    if output.shape()[1] != 4 + head.classes {
        let expected = format!("{} channels", 4 + head.classes);
        return Err(wrong_shape(0, expected, output));
    }
    let cells = output.shape()[2];
    let (sides, scores) = picture_values(output, picture).split_at(4 * cells);
    Ok(Level {
        sides,
        scores,
        cells,
        form: Form::Centres,
    })
}

fn check_head(head: &DetectHead) -> Result<(), VisionError> {
    let reason = if head.classes == 0 {
        "it has no classes"
    } else if head.reg_max == 0 {
        "its distributions have no bins"
    } else if head.outputs == HeadOutputs::Maps && head.strides.is_empty() {
        "it has no levels"
    } else {
        return Ok(());
    };
    Err(VisionError::Head {
        reason: reason.to_owned(),
    })
}

fn check_grid(
    outputs: &[Tensor],
    head: &DetectHead,
    input_height: usize,
    input_width: usize,
) -> Result<(), VisionError> {
    for (index, (output, &stride)) in outputs.iter().step_by(2).zip(&head.strides).enumerate() {
        let (height, width) = (output.shape()[2], output.shape()[3]);
        let stride = stride.max(1);
        if height != input_height.div_ceil(stride) || width != input_width.div_ceil(stride) {
            let expected = format!("maps of {input_height}x{input_width} pixels over {stride}");
            return Err(wrong_shape(2 * index, expected, output));
        }
    }
    Ok(())
}

fn push_planes(data: &mut Vec<f32>, levels: &[Level<'_>], classes: usize) {
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
}

fn push_rows(data: &mut Vec<f32>, levels: &[Level<'_>], rows: usize) {
    let start = data.len();
    for candidate in rank::all_labels(levels, f32::NEG_INFINITY, |_| true, rows) {
        let bbox = levels[candidate.level].bbox(candidate.cell);
        data.extend([bbox.x1, bbox.y1, bbox.x2, bbox.y2]);
        data.extend([candidate.score, candidate.class as f32]);
    }
    data.resize(start + rows * 6, 0.0);
}
