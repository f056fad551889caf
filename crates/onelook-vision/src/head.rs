//! Network outputs in, boxes and class scores per anchor out (DFL: arXiv 2006.04388).
//!
//! An anchor is one cell of one level; anchors are numbered level by level, finest first, row by
//! row. Checks every shape against the head's description; never trusts the network's word.

use onelook_types::{BoxXyxy, DetectHead, Head, OutputEncoding, OutputRole, Tensor};

use crate::VisionError;
use crate::masks::Prototypes;

/// Values of a row of an end-to-end model ahead of what its task adds: box, score, class.
pub(crate) const ROW_VALUES: usize = 6;

/// A run's outputs with what each of them is.
pub(crate) struct Outputs<'a> {
    pub(crate) head: &'a Head,
    roles: Vec<OutputRole>,
    pub(crate) tensors: &'a [Tensor],
    /// Images in the run.
    pub(crate) batch: usize,
}

impl<'a> Outputs<'a> {
    /// Checks the number of outputs, and of axes and images of each.
    pub(crate) fn new(tensors: &'a [Tensor], head: &'a Head) -> Result<Self, VisionError> {
        check_head(head)?;
        let roles = head.outputs();
        if tensors.len() != roles.len() {
            return Err(VisionError::OutputCount {
                expected: roles.len(),
                actual: tensors.len(),
            });
        }
        let batch = tensors[0].shape().first().copied().unwrap_or(0);
        for (index, (tensor, role)) in tensors.iter().zip(&roles).enumerate() {
            let rank = match role {
                OutputRole::Decoded | OutputRole::DecodedEndToEnd => 3,
                OutputRole::Probabilities => 2,
                _ => 4,
            };
            if tensor.shape().len() != rank || tensor.shape()[0] != batch {
                let expected = format!("{rank} axes, the first of {batch}");
                return Err(wrong_shape(index, expected, tensor));
            }
        }
        Ok(Self {
            head,
            roles,
            tensors,
            batch,
        })
    }

    /// The index of an output that the head announces.
    fn index(&self, role: OutputRole) -> usize {
        let index = self.roles.iter().position(|other| *other == role);
        index.expect("asked only for outputs of this head")
    }

    /// The extents of an output for one image, and its values there.
    pub(crate) fn image(
        &self,
        role: OutputRole,
        image: usize,
    ) -> Result<(&'a [usize], &'a [f32]), VisionError> {
        if image >= self.batch {
            return Err(VisionError::BatchIndex {
                index: image,
                batch: self.batch,
            });
        }
        let tensor = &self.tensors[self.index(role)];
        let extents = &tensor.shape()[1..];
        let values: usize = extents.iter().product();
        Ok((extents, &tensor.data()[image * values..][..values]))
    }

    /// What the task adds for an object: the values of a cell of a level, or of a row.
    pub(crate) fn extra(
        &self,
        image: usize,
        [level, cell]: [usize; 2],
    ) -> Result<Vec<f32>, VisionError> {
        let rows = self.roles.contains(&OutputRole::DecodedEndToEnd);
        if !rows {
            return Ok(self.levels(image)?[level].extra(cell).collect());
        }
        let (_, values) = self.image(OutputRole::DecodedEndToEnd, image)?;
        let width = ROW_VALUES + self.head.extra_values();
        Ok(values[cell * width..][ROW_VALUES..width].to_vec())
    }

    /// The prototype masks of an image.
    pub(crate) fn prototypes(&self, image: usize) -> Result<Prototypes<'a>, VisionError> {
        let (extents, _) = self.image(OutputRole::Prototypes, image)?;
        let (height, width) = (extents[1], extents[2]);
        let wanted = [self.head.extra_values(), height, width];
        let values = self.expect(OutputRole::Prototypes, image, &wanted)?;
        Prototypes::new(values, height, width)
            .ok_or_else(|| impossible("its prototype masks are empty"))
    }

    /// An image's values of an output that must have these extents.
    pub(crate) fn expect(
        &self,
        role: OutputRole,
        image: usize,
        extents: &[usize],
    ) -> Result<&'a [f32], VisionError> {
        let (actual, values) = self.image(role, image)?;
        match actual == extents {
            true => Ok(values),
            false => {
                let index = self.index(role);
                let expected = format!("{} x {extents:?}", self.batch);
                Err(wrong_shape(index, expected, &self.tensors[index]))
            }
        }
    }

    /// The levels of one image; a decoded tensor counts as one level.
    pub(crate) fn levels(&self, image: usize) -> Result<Vec<Level<'a>>, VisionError> {
        let Some(detect) = self.head.detect() else {
            return Err(impossible("it finds no objects"));
        };
        match detect.encoding {
            OutputEncoding::Maps => (0..detect.strides.len())
                .map(|level| self.map_level(level, image, detect))
                .collect(),
            _ => Ok(vec![self.decoded_level(image, detect)?]),
        }
    }

    fn map_level(
        &self,
        level: usize,
        image: usize,
        detect: &DetectHead,
    ) -> Result<Level<'a>, VisionError> {
        let (extents, _) = self.image(OutputRole::Boxes { level }, image)?;
        let (height, width) = (extents[1], extents[2]);
        let planes = |role, channels| self.expect(role, image, &[channels, height, width]);
        Ok(Level {
            head: self.head,
            sides: planes(OutputRole::Boxes { level }, 4 * detect.reg_max)?,
            scores: planes(OutputRole::Scores { level }, detect.classes)?,
            extra: match self.head.extra_values() {
                0 => &[],
                channels => planes(OutputRole::Extra { level }, channels)?,
            },
            cells: height * width,
            encoding: BoxEncoding::Distances {
                reg_max: detect.reg_max,
                width,
                stride: detect.strides[level] as f32,
            },
        })
    }

    fn decoded_level(&self, image: usize, detect: &DetectHead) -> Result<Level<'a>, VisionError> {
        let (extents, _) = self.image(OutputRole::Decoded, image)?;
        let cells = extents[1];
        let channels = 4 + detect.classes + self.head.extra_values();
        let values = self.expect(OutputRole::Decoded, image, &[channels, cells])?;
        let (sides, rest) = values.split_at(4 * cells);
        let (scores, extra) = rest.split_at(detect.classes * cells);
        Ok(Level {
            head: self.head,
            sides,
            scores,
            extra,
            cells,
            encoding: BoxEncoding::Centres,
        })
    }

    pub(crate) fn check_grid(
        &self,
        detect: &DetectHead,
        input_height: usize,
        input_width: usize,
    ) -> Result<(), VisionError> {
        for (level, &stride) in detect.strides.iter().enumerate() {
            let index = self.index(OutputRole::Boxes { level });
            let shape = self.tensors[index].shape();
            let stride = stride.max(1);
            if shape[2..] != [input_height.div_ceil(stride), input_width.div_ceil(stride)] {
                let expected = format!("maps of {input_height}x{input_width} pixels over {stride}");
                return Err(wrong_shape(index, expected, &self.tensors[index]));
            }
        }
        Ok(())
    }
}

/// One level's values for one image.
pub(crate) struct Level<'a> {
    head: &'a Head,
    /// Planes that tell the box of a cell.
    sides: &'a [f32],
    /// One plane per class.
    pub(crate) scores: &'a [f32],
    /// One plane per value that the task adds.
    extra: &'a [f32],
    /// Cells, that is values in a plane.
    pub(crate) cells: usize,
    encoding: BoxEncoding,
}

#[derive(Clone, Copy)]
enum BoxEncoding {
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
        match self.encoding {
            BoxEncoding::Distances { .. } => 1.0 / (1.0 + (-value).exp()),
            BoxEncoding::Centres => value,
        }
    }

    /// A bound that every value whose probability exceeds `confidence` exceeds; a little too low,
    /// so that rounding loses none.
    pub(crate) fn bound(&self, confidence: f32) -> f32 {
        match self.encoding {
            BoxEncoding::Distances { .. } if confidence <= 0.0 => f32::NEG_INFINITY,
            BoxEncoding::Distances { .. } if confidence >= 1.0 => f32::INFINITY,
            BoxEncoding::Distances { .. } => {
                let odds = f64::from(confidence) / (1.0 - f64::from(confidence));
                odds.ln() as f32 - 1e-3
            }
            BoxEncoding::Centres => confidence,
        }
    }

    /// The box of a cell, in pixels of the input.
    pub(crate) fn bbox(&self, cell: usize) -> BoxXyxy {
        match self.encoding {
            BoxEncoding::Distances {
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
            BoxEncoding::Centres => {
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

    /// What the task adds for a cell.
    pub(crate) fn extra(&self, cell: usize) -> impl Iterator<Item = f32> + '_ {
        let values = self.extra.len() / self.cells.max(1);
        (0..values).map(move |index| self.extra_value(index, cell))
    }

    /// One of the values that the task adds for a cell: of key points x and y in pixels of the input,
    /// and visibilities, 0 to 1.
    pub(crate) fn extra_value(&self, index: usize, cell: usize) -> f32 {
        let value = self.extra[index * self.cells + cell];
        let (Head::Pose(pose), BoxEncoding::Distances { width, stride, .. }) =
            (self.head, self.encoding)
        else {
            return value;
        };
        match index % pose.keypoint_values() {
            0 => ((cell % width) as f32 + value) * stride,
            1 => ((cell / width) as f32 + value) * stride,
            _ => self.probability(value),
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

fn wrong_shape(output: usize, expected: String, actual: &Tensor) -> VisionError {
    VisionError::OutputShape {
        output,
        expected,
        actual: actual.shape().clone(),
    }
}

pub(crate) fn impossible(reason: impl Into<String>) -> VisionError {
    VisionError::Head {
        reason: reason.into(),
    }
}

fn check_head(head: &Head) -> Result<(), VisionError> {
    if head.classes() == 0 {
        return Err(impossible("it has no classes"));
    }
    match head.detect() {
        Some(detect) if detect.reg_max == 0 => Err(impossible("its distributions have no bins")),
        Some(detect) if detect.encoding == OutputEncoding::Maps && detect.strides.is_empty() => {
            Err(impossible("it has no levels"))
        }
        _ => Ok(()),
    }
}
