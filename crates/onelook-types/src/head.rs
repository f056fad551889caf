//! How the network's last tensors say what is on an image: data that post-processing interprets.

use crate::Task;

/// The head of a model: what its task needs to be decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Head {
    /// Boxes.
    Detect(DetectHead),
    /// Boxes and masks.
    Segment(SegmentHead),
    /// Boxes and key points.
    Pose(PoseHead),
    /// Oriented boxes.
    Obb(DetectHead),
    /// One class for the whole image.
    Classify(ClassifyHead),
}

/// How boxes and class scores are told, in all heads that find objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetectHead {
    /// Number of classes.
    pub classes: usize,
    /// Bins per box side: 16 for a distribution (DFL, arXiv 2006.04388), 1 for a plain distance.
    pub reg_max: usize,
    /// Pixels of the network's input per cell, one entry per level, finest first.
    pub strides: Vec<usize>,
    /// One box per object by training: no NMS is due (YOLOv10, YOLO26).
    pub end_to_end: bool,
    /// What the graph's outputs are.
    pub encoding: OutputEncoding,
}

/// Boxes, and per object the coefficients of a sum of prototype masks (YOLACT, arXiv 1904.02689).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentHead {
    /// Boxes and classes.
    pub detect: DetectHead,
    /// Prototype masks, and so coefficients per object.
    pub prototypes: usize,
}

/// Boxes, and key points per object. Maps tell a key point by x and y in cells, from the top left
/// corner of the cell that tells it, and by the logit of its visibility where it has one; other
/// encodings in pixels of the input and as a probability.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoseHead {
    /// Boxes and classes.
    pub detect: DetectHead,
    /// Key points per object.
    pub keypoints: usize,
    /// Whether each has a visibility besides x and y.
    pub visibility: bool,
}

/// Class probabilities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassifyHead {
    /// Number of classes.
    pub classes: usize,
}

/// Whether the graph ends in raw maps or in what an exported model computes of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputEncoding {
    /// Raw maps per level.
    Maps,
    /// All anchors in one tensor, boxes in pixels, scores as probabilities.
    Decoded,
    /// Rows of objects, highest score first, that need no NMS any more.
    DecodedEndToEnd,
}

/// What one output of a graph holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OutputRole {
    /// `[batch, 4 * reg_max, h, w]`: distances to the left, top, right and bottom side in cells (for
    /// a distribution: logits, bins innermost).
    Boxes {
        /// Index into [`DetectHead::strides`].
        level: usize,
    },
    /// `[batch, classes, h, w]`: class logits.
    Scores {
        /// Index into [`DetectHead::strides`].
        level: usize,
    },
    /// `[batch, extra, h, w]`, with [`Head::extra_values`] channels: what the task adds per cell.
    Extra {
        /// Index into [`DetectHead::strides`].
        level: usize,
    },
    /// `[batch, prototypes, h, w]`: the prototype masks.
    Prototypes,
    /// `[batch, 4 + classes + extra, anchors]`: centre x, centre y, width, height in pixels of the
    /// input, class probabilities, then what the task adds. The form of exported models.
    Decoded,
    /// `[batch, rows, 6 + extra]`: x1, y1, x2, y2 in pixels of the input, score, class, then what the
    /// task adds. The form of exported end-to-end models.
    DecodedEndToEnd,
    /// `[batch, classes]`: probabilities.
    Probabilities,
}

impl Head {
    /// What it answers.
    pub fn task(&self) -> Task {
        match self {
            Self::Detect(_) => Task::Detect,
            Self::Segment(_) => Task::Segment,
            Self::Pose(_) => Task::Pose,
            Self::Obb(_) => Task::Obb,
            Self::Classify(_) => Task::Classify,
        }
    }

    /// Boxes and classes, where the head finds objects.
    pub fn detect(&self) -> Option<&DetectHead> {
        match self {
            Self::Detect(detect) | Self::Obb(detect) => Some(detect),
            Self::Segment(segment) => Some(&segment.detect),
            Self::Pose(pose) => Some(&pose.detect),
            Self::Classify(_) => None,
        }
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        match self {
            Self::Classify(classify) => classify.classes,
            _ => self.detect().map_or(0, |detect| detect.classes),
        }
    }

    /// Values that the task adds to the box and class scores of an object: coefficients of the
    /// prototype masks, key points one after the other, an angle.
    pub fn extra_values(&self) -> usize {
        match self {
            Self::Detect(_) | Self::Classify(_) => 0,
            Self::Segment(segment) => segment.prototypes,
            Self::Pose(pose) => pose.keypoints.saturating_mul(pose.keypoint_values()),
            Self::Obb(_) => 1,
        }
    }

    /// What the outputs of the graph are, in its order.
    pub fn outputs(&self) -> Vec<OutputRole> {
        let Some(detect) = self.detect() else {
            return vec![OutputRole::Probabilities];
        };
        let mut roles = match detect.encoding {
            OutputEncoding::Decoded => vec![OutputRole::Decoded],
            OutputEncoding::DecodedEndToEnd => vec![OutputRole::DecodedEndToEnd],
            OutputEncoding::Maps => {
                let extra = self.extra_values() > 0;
                let level_outputs = |level| {
                    let always = [OutputRole::Boxes { level }, OutputRole::Scores { level }];
                    let extra = extra.then_some(OutputRole::Extra { level });
                    always.into_iter().chain(extra)
                };
                (0..detect.strides.len()).flat_map(level_outputs).collect()
            }
        };
        if let Self::Segment(_) = self {
            roles.push(OutputRole::Prototypes);
        }
        roles
    }
}

impl PoseHead {
    /// Values per key point.
    pub fn keypoint_values(&self) -> usize {
        if self.visibility { 3 } else { 2 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_come_level_by_level_and_the_prototypes_last() {
        let detect = DetectHead {
            classes: 80,
            reg_max: 1,
            strides: vec![8, 16],
            end_to_end: true,
            encoding: OutputEncoding::Maps,
        };
        let head = Head::Segment(SegmentHead {
            detect,
            prototypes: 32,
        });
        use OutputRole::*;
        let expected = [
            Boxes { level: 0 },
            Scores { level: 0 },
            Extra { level: 0 },
            Boxes { level: 1 },
            Scores { level: 1 },
            Extra { level: 1 },
            Prototypes,
        ];
        assert_eq!(head.outputs(), expected);
        assert_eq!(head.classes(), 80);
    }
}
