//! Whether two routes give the same: objects or raw outputs of both in, differences out.

use onelook_types::{Instance, Instances, Keypoint, Mask, Tensor};

/// Boxes of one object overlap at least this much.
const SAME_OBJECT: f32 = 0.5;

/// How much two routes may differ.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    /// Pixels of any box side, and of x and y of key points.
    pub pixels: f32,
    /// Confidence, also of key points.
    pub score: f32,
    /// Masks of one object, where both routes have them, overlap at least this much.
    pub mask_iou: f32,
}

impl Default for Tolerance {
    fn default() -> Self {
        Self {
            pixels: 0.5,
            score: 0.002,
            mask_iou: 0.99,
        }
    }
}

/// How the results of two routes for one image compare.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Parity {
    /// Objects that both found.
    pub matched: usize,
    /// Largest difference of a box side, or of x or y of a key point, in pixels.
    pub worst_pixels: f32,
    /// Largest difference of a confidence, that of key points included.
    pub worst_score: f32,
    /// Smallest overlap of two masks of one size; `None` where no pair has such masks.
    pub worst_mask_iou: Option<f32>,
    /// Matched objects of which more than the box cannot be compared: only one route has it, or it
    /// is of another size.
    pub not_compared: usize,
    /// Objects that only the first route found.
    pub only_first: Vec<Instance<'static>>,
    /// Objects that only the second route found.
    pub only_second: Vec<Instance<'static>>,
}

impl Parity {
    /// Pairs objects of the same class by overlap, highest score first; of boxes that the image's
    /// border made equal, those of the nearest score.
    pub fn of(first: &Instances, second: &Instances) -> Self {
        let mut parity = Self::default();
        let mut free: Vec<Instance<'_>> = second.iter().collect();
        for found in first {
            let best = free
                .iter()
                .enumerate()
                .filter(|(_, other)| other.class == found.class)
                .map(|(index, other)| {
                    let apart = (found.score - other.score).abs();
                    (index, found.bbox.iou(&other.bbox), apart)
                })
                .filter(|&(_, iou, _)| iou >= SAME_OBJECT)
                .max_by(|a, b| a.1.total_cmp(&b.1).then(b.2.total_cmp(&a.2)));
            match best {
                Some((index, ..)) => parity.pair(&found, &free.remove(index)),
                None => parity.only_first.push(without_columns(&found)),
            }
        }
        parity.only_second.extend(free.iter().map(without_columns));
        parity
    }

    fn pair(&mut self, a: &Instance<'_>, b: &Instance<'_>) {
        self.matched += 1;
        self.add_pixels([a.bbox.x1, a.bbox.y1], [b.bbox.x1, b.bbox.y1]);
        self.add_pixels([a.bbox.x2, a.bbox.y2], [b.bbox.x2, b.bbox.y2]);
        self.worst_score = worse(self.worst_score, (a.score - b.score).abs());
        let masks = self.pair_masks(a.mask, b.mask);
        let keypoints = self.pair_keypoints(a.keypoints, b.keypoints);
        if !(masks && keypoints) {
            self.not_compared += 1;
        }
    }

    fn add_pixels(&mut self, a: [f32; 2], b: [f32; 2]) {
        for (a, b) in a.into_iter().zip(b) {
            self.worst_pixels = worse(self.worst_pixels, (a - b).abs());
        }
    }

    /// Whether both are alike enough to be compared.
    fn pair_keypoints(&mut self, a: Option<&[Keypoint]>, b: Option<&[Keypoint]>) -> bool {
        let (a, b) = match (a, b) {
            (None, None) => return true,
            (Some(a), Some(b)) if a.len() == b.len() => (a, b),
            _ => return false,
        };
        let mut told_alike = true;
        for (a, b) in a.iter().zip(b) {
            self.add_pixels([a.x, a.y], [b.x, b.y]);
            match (a.score, b.score) {
                (None, None) => {}
                (Some(a), Some(b)) => self.worst_score = worse(self.worst_score, (a - b).abs()),
                _ => told_alike = false,
            }
        }
        told_alike
    }

    /// Whether both are alike enough to be compared.
    fn pair_masks(&mut self, a: Option<&Mask>, b: Option<&Mask>) -> bool {
        match (a, b) {
            (None, None) => {}
            (Some(a), Some(b)) if a.size() == b.size() => self.add_mask_iou(mask_iou(a, b)),
            _ => return false,
        }
        true
    }

    fn add_mask_iou(&mut self, iou: f32) {
        let worst = self.worst_mask_iou.unwrap_or(iou);
        self.worst_mask_iou = Some(worst.min(iou));
    }

    /// Adds the comparison of another image.
    pub fn add(&mut self, other: &Self) {
        self.matched += other.matched;
        self.worst_pixels = worse(self.worst_pixels, other.worst_pixels);
        self.worst_score = worse(self.worst_score, other.worst_score);
        self.not_compared += other.not_compared;
        if let Some(iou) = other.worst_mask_iou {
            self.add_mask_iou(iou);
        }
        self.only_first.extend_from_slice(&other.only_first);
        self.only_second.extend_from_slice(&other.only_second);
    }

    /// Whether both found the same, as far as tolerated.
    pub fn holds(&self, tolerance: &Tolerance) -> bool {
        self.only_first.is_empty()
            && self.only_second.is_empty()
            && self.worst_pixels <= tolerance.pixels
            && self.worst_score <= tolerance.score
            && self
                .worst_mask_iou
                .is_none_or(|iou| iou >= tolerance.mask_iou)
    }

    /// How far beyond the tolerance, for ordering images.
    pub fn severity(&self, tolerance: &Tolerance) -> f32 {
        let lonely = (self.only_first.len() + self.only_second.len()) as f32;
        let pixels = self.worst_pixels / tolerance.pixels.max(f32::MIN_POSITIVE);
        let score = self.worst_score / tolerance.score.max(f32::MIN_POSITIVE);
        let masks = self.worst_mask_iou.map_or(0.0, |iou| {
            (1.0 - iou) / (1.0 - tolerance.mask_iou).max(f32::MIN_POSITIVE)
        });
        1e6 * lonely + pixels.max(score).max(masks)
    }
}

/// Two masks that set nothing are the same.
fn mask_iou(a: &Mask, b: &Mask) -> f32 {
    match a.area() + b.area() {
        0 => 1.0,
        _ => a.iou(b),
    }
}

/// What the report tells of an object.
fn without_columns(instance: &Instance<'_>) -> Instance<'static> {
    Instance::new(instance.bbox, instance.class, instance.score)
}

/// The larger of two differences; NaN does not get lost.
fn worse(a: f32, b: f32) -> f32 {
    match b > a || b.is_nan() {
        true => b,
        false => a,
    }
}

/// The largest `|a - b| / max(|b|, 1)`; `None` for tensors of different shapes, infinite where one
/// has NaN where the other has a number.
pub fn raw_error(first: &Tensor, second: &Tensor) -> Option<f32> {
    (first.shape() == second.shape()).then(|| {
        let pairs = first.data().iter().zip(second.data());
        let errors = pairs.map(|(a, b)| match a.is_nan() == b.is_nan() {
            true => (a - b).abs() / b.abs().max(1.0),
            false => f32::INFINITY,
        });
        errors.fold(0.0, f32::max)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use onelook_types::{BoxXyxy, PixelRect};

    fn object(class: usize, x1: f32, score: f32) -> Instance<'static> {
        let bbox = BoxXyxy {
            x1,
            y1: 0.0,
            x2: x1 + 10.0,
            y2: 10.0,
        };
        Instance::new(bbox, class, score)
    }

    fn parity(first: &[Instance<'_>], second: &[Instance<'_>]) -> Parity {
        let instances = |rows: &[Instance<'_>]| rows.iter().copied().collect::<Instances>();
        Parity::of(&instances(first), &instances(second))
    }

    #[test]
    fn objects_are_paired_by_class_and_overlap_whatever_their_order() {
        let first = [
            object(0, 0.0, 0.9),
            object(0, 50.0, 0.8),
            object(1, 0.0, 0.7),
        ];
        let second = [
            object(0, 50.25, 0.801),
            object(1, 0.0, 0.7),
            object(0, 0.0, 0.6),
        ];
        let found = parity(&first, &second);
        assert_eq!(found.matched, 3);
        assert_eq!(found.worst_pixels, 0.25);
        assert!((found.worst_score - 0.3).abs() < 1e-6);
        assert!(!found.holds(&Tolerance::default()));
    }

    #[test]
    fn equal_boxes_are_paired_by_confidence() {
        let same = [
            object(0, 0.0, 0.9),
            object(0, 0.0, 0.5),
            object(0, 0.0, 0.7),
        ];
        let found = parity(&same, &same);
        assert_eq!((found.matched, found.worst_score), (3, 0.0));
    }

    #[test]
    fn masks_are_compared_where_both_have_them() {
        let region = PixelRect {
            left: 0,
            top: 0,
            width: 10,
            height: 10,
        };
        let masks = [8, 10].map(|width| Mask::from_fn([20, 20], region, |x, _| x < width));
        let [first, second] = [0, 1].map(|index| Instance {
            mask: Some(&masks[index]),
            ..object(0, 0.0, 0.9)
        });
        let found = parity(&[first], &[second]);
        assert_eq!(found.worst_mask_iou, Some(0.8));
        assert!(!found.holds(&Tolerance::default()));
        let mut found = parity(&[first], &[first]);
        assert!(found.holds(&Tolerance::default()));
        found.add(&parity(&[first], &[object(0, 0.0, 0.9)]));
        assert_eq!((found.worst_mask_iou, found.not_compared), (Some(1.0), 1));
    }

    #[test]
    fn key_points_are_compared_where_both_have_them() {
        let point = |x, score| Keypoint { x, y: 5.0, score };
        let first = [point(1.0, Some(0.5)), point(2.0, Some(0.25))];
        fn with(points: &[Keypoint]) -> Instance<'_> {
            Instance {
                keypoints: Some(points),
                ..object(0, 0.0, 0.9)
            }
        }
        for (other, pixels, score) in [
            ([point(1.0, Some(0.5)), point(3.5, Some(0.25))], 1.5, 0.0),
            (
                [point(1.0, Some(0.625)), point(2.0, Some(0.25))],
                0.0,
                0.125,
            ),
        ] {
            let found = parity(&[with(&first)], &[with(&other)]);
            assert_eq!((found.worst_pixels, found.worst_score), (pixels, score));
            assert_eq!(found.not_compared, 0);
            assert!(!found.holds(&Tolerance::default()));
        }
        let without = [point(1.0, None), point(2.0, None)];
        for other in [with(&first[..1]), with(&without), object(0, 0.0, 0.9)] {
            let found = parity(&[with(&first)], &[other]);
            assert_eq!((found.matched, found.not_compared), (1, 1));
            assert!(found.holds(&Tolerance::default()));
        }
    }

    #[test]
    fn a_confidence_that_is_nan_never_holds() {
        let numbers = [object(0, 0.0, 0.9), object(0, 50.0, 0.8)];
        let mut found = parity(&[object(0, 0.0, f32::NAN), numbers[1]], &numbers);
        found.add(&parity(&numbers, &numbers));
        assert_eq!(found.matched, 4);
        assert!(!found.holds(&Tolerance::default()));
    }

    #[test]
    fn an_object_that_one_route_lacks_is_told() {
        let found = parity(&[object(0, 0.0, 0.9)], &[object(1, 0.0, 0.9)]);
        assert_eq!((found.only_first.len(), found.only_second.len()), (1, 1));
        assert!(!found.holds(&Tolerance::default()));
        assert!(parity(&[], &[]).holds(&Tolerance::default()));
    }

    #[test]
    fn raw_errors_are_relative_above_one() {
        let tensor = |value: f32| Tensor::new([1], vec![value]).unwrap();
        assert_eq!(raw_error(&tensor(101.0), &tensor(100.0)), Some(0.01));
        assert_eq!(raw_error(&tensor(0.5), &tensor(0.25)), Some(0.25));
        assert_eq!(
            raw_error(&tensor(f32::NAN), &tensor(0.25)),
            Some(f32::INFINITY)
        );
        assert_eq!(raw_error(&tensor(1.0), &Tensor::zeros([2])), None);
    }
}
