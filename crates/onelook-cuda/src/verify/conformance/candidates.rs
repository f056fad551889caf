//! Expected candidates of a head, in any order, and how far off the actual ones are.

use std::collections::HashSet;

use super::rows::{Distance, Expected, Run, deviation, replaced, worse};
use crate::kernels::head::CANDIDATE_BYTES;

/// Outputs of candidates and of counters; raw values follow.
const FOUND: usize = 0;
pub(super) const COUNTERS: usize = 1;

/// What a head must find.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidates {
    pub(super) raw: Vec<Expected>,
    pub(super) capacity: usize,
    /// By image, then in order of anchors and classes: all that may be found.
    pub(super) images: Vec<Vec<ExpectedCandidate>>,
}

/// A class of an anchor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct DecodedCandidate {
    pub(crate) corners: [f64; 4],
    pub(crate) score: f64,
    pub(crate) class: u32,
    pub(crate) anchor: u32,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ExpectedCandidate {
    pub(super) found: DecodedCandidate,
    /// Whether it is so far above the threshold that rounding does not matter.
    pub(super) must: bool,
    /// Whether other classes of the anchor may stand for it.
    pub(super) alone: bool,
}

impl ExpectedCandidate {
    fn group(&self) -> (u32, Option<u32>) {
        let DecodedCandidate { anchor, class, .. } = self.found;
        (anchor, (!self.alone).then_some(class))
    }
}

impl Candidates {
    pub(super) fn deviation(&self, outputs: &[Vec<u8>]) -> Result<f64, String> {
        let [mut corners, mut scores] = [Distance::default(); 2];
        for image in 0..self.images.len() {
            for (actual, expected) in self.pairs(image, outputs)? {
                let expected = self.images[image][expected].found;
                corners.add(&actual.corners, &expected.corners);
                scores.add(&[actual.score], &[expected.score]);
            }
        }
        let lists = worse(corners.relative(), scores.relative());
        Ok(worse(deviation(&self.raw, outputs), lists))
    }

    pub(super) fn replaced(&self, outputs: &[Vec<u8>]) -> Result<Self, String> {
        let mut images = self.images.clone();
        for (number, image) in images.iter_mut().enumerate() {
            for (actual, expected) in self.pairs(number, outputs)? {
                image[expected].found = actual;
            }
        }
        Ok(Self {
            raw: replaced(&self.raw, outputs),
            images,
            ..*self
        })
    }

    pub(super) fn runs(&self, outputs: &[Vec<u8>]) -> Vec<Run> {
        let run = |image: usize| Run {
            output: FOUND,
            offset: image * self.capacity * CANDIDATE_BYTES as usize,
            bytes: counter(outputs, image).min(self.capacity) * CANDIDATE_BYTES as usize,
        };
        let lists = (0..self.images.len()).map(run);
        lists
            .chain(self.raw.iter().flat_map(Expected::runs))
            .collect()
    }

    /// What was found in an image, each with the place of what it is among what is expected.
    fn pairs(
        &self,
        image: usize,
        outputs: &[Vec<u8>],
    ) -> Result<Vec<(DecodedCandidate, usize)>, String> {
        let (expected, count) = (&self.images[image], counter(outputs, image));
        let wrong = |what: String| Err(format!("image {image}: {what}"));
        if count > self.capacity {
            return wrong(format!(
                "{count} candidates, a capacity of {}",
                self.capacity
            ));
        }
        let mut groups = HashSet::new();
        let mut pairs = Vec::new();
        let first = image * self.capacity * CANDIDATE_BYTES as usize;
        for found in decode(&outputs[FOUND][first..], count) {
            let DecodedCandidate { anchor, class, .. } = found;
            let place =
                |expected: &ExpectedCandidate| (expected.found.anchor, expected.found.class);
            let Ok(index) = expected.binary_search_by_key(&(anchor, class), place) else {
                return wrong(format!("class {class} of anchor {anchor} is no candidate"));
            };
            if !groups.insert(expected[index].group()) {
                return wrong(format!("anchor {anchor}, class {class} is there twice"));
            }
            pairs.push((found, index));
        }
        let missing =
            |expected: &&ExpectedCandidate| expected.must && !groups.contains(&expected.group());
        match expected.iter().find(missing) {
            Some(missing) => wrong(format!("{:?} is missing", missing.found)),
            None => Ok(pairs),
        }
    }
}

fn counter(outputs: &[Vec<u8>], image: usize) -> usize {
    let counters = outputs[COUNTERS].as_chunks().0;
    u32::from_le_bytes(counters[image]) as usize
}

/// Candidates as the kernel writes them.
pub(crate) fn decode(bytes: &[u8], count: usize) -> Vec<DecodedCandidate> {
    let candidates = bytes.chunks_exact(CANDIDATE_BYTES as usize);
    let read = |candidate: &[u8]| {
        let words = candidate.as_chunks().0.iter();
        let words: Vec<u32> = words.map(|&word| u32::from_le_bytes(word)).collect();
        let float = |index: usize| f64::from(f32::from_bits(words[index]));
        DecodedCandidate {
            corners: [float(0), float(1), float(2), float(3)],
            score: float(4),
            class: words[5],
            anchor: words[6],
        }
    };
    candidates.take(count).map(read).collect()
}
