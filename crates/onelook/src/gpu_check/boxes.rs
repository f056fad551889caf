//! Boxes of a GPU beside those of the CPU engine: the same, or in what they differ.

use std::fmt;

use onelook_types::{Instance, Instances};
use serde::Serialize;

use crate::packed::unpack;
use crate::{Parity, Tolerance};

/// Roundings in halves may move a box and its confidence by this much.
const TOLERANCE: Tolerance = Tolerance {
    pixels: 1.0,
    score: 0.01,
    mask_iou: 0.95,
};

/// What a GPU found on images, beside what the CPU engine found.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct BoxCheck {
    /// The GPU's number format.
    pub precision: String,
    /// Images.
    pub images: usize,
    /// Boxes that the CPU engine found.
    pub expected: usize,
    /// Boxes that the GPU found.
    pub found: usize,
    /// Boxes that both found.
    pub matched: usize,
    /// Largest difference of a box side, in pixels of the image.
    pub worst_pixels: f32,
    /// Largest difference of a confidence.
    pub worst_score: f32,
    /// Boxes that only one found, so near the threshold that rounding decides.
    pub borderline: usize,
    /// Boxes that only one found, though their scores are higher than that.
    pub lonely: usize,
    /// Why there are no boxes to compare.
    pub failure: Option<String>,
}

impl BoxCheck {
    /// Compares the boxes of each image; confidence had to be above `threshold`.
    pub fn of(
        precision: &str,
        expected: &[Instances],
        found: &[Instances],
        threshold: f32,
    ) -> Self {
        let mut parity = Parity::default();
        for (expected, found) in expected.iter().zip(found) {
            parity.add(&Parity::of(expected, found));
        }
        // NaN is not near.
        let near = |it: &&Instance<'_>| it.score <= threshold + TOLERANCE.score;
        let only = parity.only_first.iter().chain(&parity.only_second);
        let borderline = only.clone().filter(near).count();
        Self {
            precision: precision.to_owned(),
            images: expected.len(),
            expected: expected.iter().map(Instances::len).sum(),
            found: found.iter().map(Instances::len).sum(),
            matched: parity.matched,
            worst_pixels: parity.worst_pixels,
            worst_score: parity.worst_score,
            borderline,
            lonely: only.count() - borderline,
            failure: (expected.len() != found.len())
                .then(|| format!("there are boxes of {} images", found.len())),
        }
    }

    /// Compares with the outputs of a plan.
    pub(super) fn of_output(
        precision: &str,
        expected: &[Instances],
        outputs: &[Vec<u8>],
        threshold: f32,
    ) -> Self {
        let found = outputs
            .first()
            .and_then(|output| unpack(output, expected.len()));
        match found {
            Some(found) => Self::of(precision, expected, &found, threshold),
            None => Self {
                precision: precision.to_owned(),
                images: expected.len(),
                expected: expected.iter().map(Instances::len).sum(),
                failure: Some("the GPU wrote no list of boxes".to_owned()),
                ..Self::default()
            },
        }
    }

    /// Whether both found the same boxes.
    pub fn passed(&self) -> bool {
        self.failure.is_none()
            && self.lonely == 0
            && self.worst_pixels <= TOLERANCE.pixels
            && self.worst_score <= TOLERANCE.score
    }

    /// Whether there was a box to compare: what passes without shows nothing.
    pub fn shows_something(&self) -> bool {
        self.matched > 0
    }
}

impl fmt::Display for BoxCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match (self.passed(), self.shows_something()) {
            (false, _) => "WRONG ",
            (true, true) => "ok    ",
            (true, false) => "EMPTY ",
        };
        write!(
            f,
            "{verdict} {}: on {} images the CPU found {} boxes, the GPU {}",
            self.precision, self.images, self.expected, self.found
        )?;
        if let Some(failure) = &self.failure {
            return write!(f, ": {failure}");
        }
        if self.passed() && !self.shows_something() {
            return write!(f, ": nothing was compared, which shows nothing");
        }
        write!(
            f,
            "; {} by both, at most {:.2} pixels and {:.4} apart; by one only {}, and {} near the \
             threshold",
            self.matched, self.worst_pixels, self.worst_score, self.lonely, self.borderline
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use onelook_types::BoxXyxy;

    fn object(x1: f32, score: f32) -> Instance<'static> {
        let bbox = BoxXyxy {
            x1,
            y1: 0.0,
            x2: x1 + 50.0,
            y2: 50.0,
        };
        Instance::new(bbox, 0, score)
    }

    fn check(expected: &[Instance<'_>], found: &[Instance<'_>]) -> BoxCheck {
        let instances = |rows: &[Instance<'_>]| [rows.iter().copied().collect()];
        BoxCheck::of("f16", &instances(expected), &instances(found), 0.25)
    }

    #[test]
    fn boxes_may_differ_a_little_and_lack_only_near_the_threshold() {
        let own = [object(0.0, 0.9), object(200.0, 0.255)];
        let same = check(&own, &[object(0.75, 0.895)]);
        assert!(same.passed() && same.shows_something(), "{same}");
        assert_eq!((same.matched, same.borderline, same.lonely), (1, 1, 0));
        for wrong in [
            object(1.5, 0.9),
            object(0.0, 0.88),
            object(400.0, 0.9),
            object(0.0, f32::NAN),
            object(f32::NAN, 0.9),
        ] {
            let check = check(&own, &[wrong]);
            assert!(!check.passed(), "{check}");
            assert!(check.to_string().starts_with("WRONG"), "{check}");
        }
    }

    #[test]
    fn no_boxes_on_either_side_do_not_look_like_a_proof() {
        let check = check(&[], &[]);
        assert!(check.passed() && !check.shows_something());
        assert!(check.to_string().starts_with("EMPTY"), "{check}");
    }

    #[test]
    fn an_output_that_was_never_written_is_wrong() {
        let check = BoxCheck::of_output("f32", &[Instances::default()], &[vec![0xff; 400]], 0.25);
        assert!(!check.passed());
        assert!(check.to_string().contains("wrote no list"), "{check}");
    }
}
