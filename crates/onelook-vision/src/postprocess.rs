//! Network outputs in, the prediction for the original image out.
//!
//! Keeps what is above the threshold, drops what overlaps something of a higher score (unless the
//! network was trained to answer once per object), scales boxes and key points back, makes masks of
//! what is kept. The answer for one image of a batch never depends on the others, on a clock or on the
//! number of threads.

use onelook_types::{
    BoxXyxy, Classification, DetectHead, Head, Instances, Keypoint, LetterboxPlacement, Mask,
    OutputEncoding, OutputRole, PoseHead, Prediction, Tensor, Thresholds,
};

use crate::VisionError;
use crate::head::{Level, Outputs, ROW_VALUES, impossible};
use crate::letterbox::scale_back;
use crate::nms::Suppressor;
use crate::rank::{self, Candidate};

/// Only so many candidates, those of the highest scores, take part in the suppression.
pub const MAX_CANDIDATES: usize = 30_000;

/// Pixels that all masks of an image may have at the image's size: half a gigabyte of bits.
const MAX_MASK_PIXELS: f64 = 4e9;

/// What the outputs say of image `index` of the batch, highest score first.
///
/// Objects of equal scores come in the order of their anchors (finest level first, row by row), then
/// of their classes. Boxes with an infinite or NaN coordinate are dropped, and objects with a key point
/// that has a NaN coordinate or score.
///
/// # Errors
/// The outputs do not fit the head, the head is of a task that is not decoded yet, or masks would take
/// too much memory.
pub fn postprocess(
    outputs: &[Tensor],
    index: usize,
    head: &Head,
    thresholds: &Thresholds,
    placement: &LetterboxPlacement,
) -> Result<Prediction, VisionError> {
    let outputs = Outputs::new(outputs, head)?;
    let detect = match head {
        Head::Detect(detect) => detect,
        Head::Segment(segment) => &segment.detect,
        Head::Pose(pose) => &pose.detect,
        Head::Classify(_) => {
            let (_, scores) = outputs.image(OutputRole::Probabilities, index)?;
            let scores = scores.to_vec();
            return Ok(Prediction::Classification(Classification { scores }));
        }
        Head::Obb(_) => {
            let task = head.task();
            return Err(impossible(format!("{task} heads are not decoded yet")));
        }
    };
    let objects = find(&outputs, index, detect, thresholds)?;
    let scaled = |object: &Object| scale_back(object.bbox, placement);
    let instances = Instances::new(
        objects.iter().map(scaled).collect(),
        objects.iter().map(|object| object.class).collect(),
        objects.iter().map(|object| object.score).collect(),
    );
    Ok(Prediction::Instances(match head {
        Head::Segment(_) => {
            let at_image_size = thresholds.retina_masks;
            instances.with_masks(masks(&outputs, index, &objects, placement, at_image_size)?)
        }
        Head::Pose(pose) => {
            let keypoints = keypoints(&outputs, index, pose, &objects, placement)?;
            let is_number = |point: &Keypoint| {
                let score = point.score.unwrap_or_default();
                !(point.x + point.y + score).is_nan()
            };
            let numbers = |&object: &usize| keypoints[object].iter().all(is_number);
            let kept: Vec<usize> = (0..objects.len()).filter(numbers).collect();
            instances.with_keypoints(keypoints).select(&kept)
        }
        _ => instances,
    }))
}

/// Each object's key points on the original image, clipped to it.
fn keypoints(
    outputs: &Outputs<'_>,
    index: usize,
    pose: &PoseHead,
    objects: &[Object],
    placement: &LetterboxPlacement,
) -> Result<Vec<Vec<Keypoint>>, VisionError> {
    let keypoint = |values: &[f32]| {
        let corner = BoxXyxy {
            x1: values[0],
            y1: values[1],
            ..BoxXyxy::default()
        };
        let BoxXyxy { x1: x, y1: y, .. } = scale_back(corner, placement);
        let score = values.get(2).copied();
        Keypoint { x, y, score }
    };
    let of_object = |object: &Object| {
        let values = outputs.extra(index, object.origin)?;
        let values = values.chunks_exact(pose.keypoint_values());
        Ok(values.map(keypoint).collect())
    };
    objects.iter().map(of_object).collect()
}

fn masks(
    outputs: &Outputs<'_>,
    index: usize,
    objects: &[Object],
    placement: &LetterboxPlacement,
    at_image_size: bool,
) -> Result<Vec<Mask>, VisionError> {
    let prototypes = outputs.prototypes(index)?;
    if at_image_size {
        let scaled = |object: &Object| scale_back(object.bbox, placement);
        let pixels: f64 = objects
            .iter()
            .map(scaled)
            .map(|bbox| f64::from(bbox.area()))
            .sum();
        if pixels > MAX_MASK_PIXELS {
            return Err(VisionError::Masks {
                megapixels: (pixels / 1e6) as u64,
                limit: (MAX_MASK_PIXELS / 1e6) as u64,
            });
        }
    }
    let mask = |object: &Object| {
        let coefficients = outputs.extra(index, object.origin)?;
        Ok(prototypes.mask(&coefficients, object.bbox, placement, at_image_size))
    };
    objects.iter().map(mask).collect()
}

/// An object in pixels of the network's input.
struct Object {
    bbox: BoxXyxy,
    class: usize,
    score: f32,
    /// Level and cell that it was found at; of rows, 0 and the row.
    origin: [usize; 2],
}

fn find(
    outputs: &Outputs<'_>,
    index: usize,
    detect: &DetectHead,
    thresholds: &Thresholds,
) -> Result<Vec<Object>, VisionError> {
    if detect.encoding == OutputEncoding::DecodedEndToEnd {
        return read_rows(outputs, index, detect, thresholds);
    }
    let levels = outputs.levels(index)?;
    Ok(match detect.end_to_end {
        true => take_highest(&levels, thresholds),
        false => suppress(&levels, thresholds),
    })
}

/// One-to-many heads: candidates, then suppression until enough are kept.
fn suppress(levels: &[Level<'_>], thresholds: &Thresholds) -> Vec<Object> {
    let admits = |class| thresholds.admits(class);
    let candidates = if thresholds.multi_label {
        rank::all_labels(levels, thresholds.confidence, admits, MAX_CANDIDATES)
    } else {
        rank::best_labels(levels, thresholds.confidence, admits, MAX_CANDIDATES)
    };
    let mut boxes = BoxCache::new(levels);
    let mut suppressor = Suppressor::new(thresholds.iou, thresholds.agnostic);
    candidates
        .iter()
        .map(|candidate| boxes.object(candidate))
        .filter(|object| object.bbox.is_finite() && suppressor.keeps(object.bbox, object.class))
        .take(thresholds.max_detections)
        .collect()
}

/// End-to-end heads: the pairs of anchor and class of the highest scores; the class filter comes last.
fn take_highest(levels: &[Level<'_>], thresholds: &Thresholds) -> Vec<Object> {
    let (confidence, limit) = (thresholds.confidence, thresholds.max_detections);
    let candidates = if thresholds.agnostic {
        rank::best_labels(levels, confidence, |_| true, limit)
    } else {
        rank::all_labels(levels, confidence, |_| true, limit)
    };
    let mut boxes = BoxCache::new(levels);
    candidates
        .iter()
        .filter(|candidate| thresholds.admits(candidate.class))
        .map(|candidate| boxes.object(candidate))
        .filter(|object| object.bbox.is_finite())
        .collect()
}

/// Exported end-to-end models: rows of two corners, score, class, and what the task adds.
fn read_rows(
    outputs: &Outputs<'_>,
    index: usize,
    detect: &DetectHead,
    thresholds: &Thresholds,
) -> Result<Vec<Object>, VisionError> {
    let (extents, _) = outputs.image(OutputRole::DecodedEndToEnd, index)?;
    let width = ROW_VALUES + outputs.head.extra_values();
    let rows = outputs.expect(OutputRole::DecodedEndToEnd, index, &[extents[0], width])?;
    let mut found: Vec<Object> = rows
        .chunks_exact(width)
        .enumerate()
        .filter(|(_, row)| row[4] > thresholds.confidence && row[5] >= 0.0)
        .map(|(index, row)| Object {
            bbox: BoxXyxy {
                x1: row[0],
                y1: row[1],
                x2: row[2],
                y2: row[3],
            },
            class: row[5] as usize,
            score: row[4],
            origin: [0, index],
        })
        .filter(|object| object.class < detect.classes && object.bbox.is_finite())
        .collect();
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    found.truncate(thresholds.max_detections);
    found.retain(|object| thresholds.admits(object.class));
    Ok(found)
}

/// Boxes by anchor: with many classes per anchor each is decoded once.
struct BoxCache<'a> {
    levels: &'a [Level<'a>],
    boxes: Vec<Vec<Option<BoxXyxy>>>,
}

impl<'a> BoxCache<'a> {
    fn new(levels: &'a [Level<'a>]) -> Self {
        let boxes = levels.iter().map(|level| vec![None; level.cells]).collect();
        Self { levels, boxes }
    }

    fn object(&mut self, candidate: &Candidate) -> Object {
        let cached = &mut self.boxes[candidate.level][candidate.cell];
        let bbox = *cached.get_or_insert_with(|| self.levels[candidate.level].bbox(candidate.cell));
        Object {
            bbox,
            class: candidate.class,
            score: candidate.score,
            origin: [candidate.level, candidate.cell],
        }
    }
}
