//! Whether two routes say the same: detections or raw outputs of both in, differences out.

use onelook_types::{Detection, Tensor};

/// Boxes of one object overlap at least this much.
const SAME_OBJECT: f32 = 0.5;

/// How much two routes may differ.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    /// Pixels of any box side.
    pub pixels: f32,
    /// Confidence.
    pub score: f32,
}

impl Default for Tolerance {
    fn default() -> Self {
        Self {
            pixels: 0.5,
            score: 0.002,
        }
    }
}

/// What two routes said of one picture.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Parity {
    /// Objects that both found.
    pub matched: usize,
    /// Largest difference of a box side, in pixels.
    pub worst_pixels: f32,
    /// Largest difference of a confidence.
    pub worst_score: f32,
    /// Objects that only the first route found.
    pub only_first: Vec<Detection>,
    /// Objects that only the second route found.
    pub only_second: Vec<Detection>,
}

impl Parity {
    /// Pairs objects of the same class by overlap, the surest first; of boxes that the picture's
    /// border made equal, those of the nearest confidence.
    pub fn of(first: &[Detection], second: &[Detection]) -> Self {
        let mut parity = Self::default();
        let mut free: Vec<&Detection> = second.iter().collect();
        for found in first {
            let best = free
                .iter()
                .enumerate()
                .filter(|(_, other)| other.class == found.class)
                .map(|(index, other)| {
                    let apart = (found.confidence - other.confidence).abs();
                    (index, found.bbox.iou(&other.bbox), apart)
                })
                .filter(|&(_, iou, _)| iou >= SAME_OBJECT)
                .max_by(|a, b| a.1.total_cmp(&b.1).then(b.2.total_cmp(&a.2)));
            match best {
                Some((index, ..)) => parity.pair(found, free.remove(index)),
                None => parity.only_first.push(*found),
            }
        }
        parity.only_second.extend(free.into_iter().copied());
        parity
    }

    fn pair(&mut self, a: &Detection, b: &Detection) {
        let sides = [
            a.bbox.x1 - b.bbox.x1,
            a.bbox.y1 - b.bbox.y1,
            a.bbox.x2 - b.bbox.x2,
            a.bbox.y2 - b.bbox.y2,
        ];
        self.matched += 1;
        self.worst_pixels = sides
            .iter()
            .fold(self.worst_pixels, |most, side| worse(most, side.abs()));
        self.worst_score = worse(self.worst_score, (a.confidence - b.confidence).abs());
    }

    /// Adds what was said of another picture.
    pub fn add(&mut self, other: &Self) {
        self.matched += other.matched;
        self.worst_pixels = worse(self.worst_pixels, other.worst_pixels);
        self.worst_score = worse(self.worst_score, other.worst_score);
        self.only_first.extend_from_slice(&other.only_first);
        self.only_second.extend_from_slice(&other.only_second);
    }

    /// Whether both found the same, as far as tolerated.
    pub fn holds(&self, tolerance: &Tolerance) -> bool {
        self.only_first.is_empty()
            && self.only_second.is_empty()
            && self.worst_pixels <= tolerance.pixels
            && self.worst_score <= tolerance.score
    }

    /// How far beyond the tolerance, for ordering pictures.
    pub fn severity(&self, tolerance: &Tolerance) -> f32 {
        let lonely = (self.only_first.len() + self.only_second.len()) as f32;
        let pixels = self.worst_pixels / tolerance.pixels.max(f32::MIN_POSITIVE);
        let score = self.worst_score / tolerance.score.max(f32::MIN_POSITIVE);
        1e6 * lonely + pixels.max(score)
    }
}

/// The larger of two differences; what is no number does not get lost.
fn worse(a: f32, b: f32) -> f32 {
    match b > a || b.is_nan() {
        true => b,
        false => a,
    }
}

/// The largest `|a - b| / max(|b|, 1)`; `None` for tensors of different shapes, infinite where one
/// has a value that is no number and the other has not.
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
    use onelook_types::BoxXyxy;

    fn found(class: usize, x1: f32, confidence: f32) -> Detection {
        let bbox = BoxXyxy {
            x1,
            y1: 0.0,
            x2: x1 + 10.0,
            y2: 10.0,
        };
        Detection {
            bbox,
            class,
            confidence,
        }
    }

    #[test]
    fn objects_are_paired_by_class_and_overlap_whatever_their_order() {
        let first = [found(0, 0.0, 0.9), found(0, 50.0, 0.8), found(1, 0.0, 0.7)];
        let second = [
            found(0, 50.25, 0.801),
            found(1, 0.0, 0.7),
            found(0, 0.0, 0.6),
        ];
        let parity = Parity::of(&first, &second);
        assert_eq!(parity.matched, 3);
        assert_eq!(parity.worst_pixels, 0.25);
        assert!((parity.worst_score - 0.3).abs() < 1e-6);
        assert!(!parity.holds(&Tolerance::default()));
    }

    #[test]
    fn equal_boxes_are_paired_by_confidence() {
        let same = [found(0, 0.0, 0.9), found(0, 0.0, 0.5), found(0, 0.0, 0.7)];
        let parity = Parity::of(&same, &same);
        assert_eq!((parity.matched, parity.worst_score), (3, 0.0));
    }

    #[test]
    fn a_confidence_that_is_no_number_never_holds() {
        let numbers = [found(0, 0.0, 0.9), found(0, 50.0, 0.8)];
        let mut parity = Parity::of(&[found(0, 0.0, f32::NAN), numbers[1]], &numbers);
        parity.add(&Parity::of(&numbers, &numbers));
        assert_eq!(parity.matched, 4);
        assert!(!parity.holds(&Tolerance::default()));
    }

    #[test]
    fn an_object_that_one_route_lacks_is_told() {
        let parity = Parity::of(&[found(0, 0.0, 0.9)], &[found(1, 0.0, 0.9)]);
        assert_eq!((parity.only_first.len(), parity.only_second.len()), (1, 1));
        assert!(!parity.holds(&Tolerance::default()));
        assert!(Parity::of(&[], &[]).holds(&Tolerance::default()));
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
