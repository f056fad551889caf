//! Thresholds and limits of detections, as bytes that the last kernels read: another threshold
//! needs no other kernel and no other plan.

use onelook_types::{DetectHead, Thresholds};

/// Most detections of an image that fit shared memory.
pub const MAX_ROWS: u32 = 1024;

/// Where four words begin: the bound of raw class values and of probabilities, the largest allowed
/// overlap (floats), the largest number of detections.
pub const THRESHOLDS: u32 = 0;

/// Where two words begin: 1 where boxes of all classes suppress each other; 1 where every class of
/// an anchor counts, not just its best.
pub const SWITCHES: u32 = 16;

/// Where a bit per class begins: whether it is wanted.
pub const WANTED: u32 = 32;

/// Thresholds and choices.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Confidence must be above this, 0 to 1.
    pub confidence: f32,
    /// A box that overlaps one of higher confidence by more than this is removed, 0 to 1.
    pub iou: f32,
    /// At most so many detections per image, and no more than [`MAX_ROWS`].
    pub max_detections: usize,
    /// Whether boxes of different classes suppress each other.
    pub agnostic: bool,
    /// Whether every class above the threshold counts or only an anchor's best.
    pub every_class: bool,
    /// Only these classes, or all.
    pub classes: Option<Vec<usize>>,
}

/// More detections are requested than fit the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{asked} detections per image are more than a CUDA device gives: ask for {MAX_ROWS} at most"
)]
pub struct TooManyDetections {
    /// How many.
    pub asked: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            confidence: 0.25,
            iou: 0.7,
            max_detections: 300,
            agnostic: false,
            every_class: false,
            classes: None,
        }
    }
}

impl Settings {
    /// What these thresholds mean for a head: where each object has one box by training, all its
    /// classes count unless classes are not told apart.
    pub fn of(thresholds: &Thresholds, head: &DetectHead) -> Self {
        Self {
            confidence: thresholds.confidence,
            iou: thresholds.iou,
            max_detections: thresholds.max_detections,
            agnostic: thresholds.agnostic,
            every_class: match head.end_to_end {
                true => !thresholds.agnostic,
                false => thresholds.multi_label,
            },
            classes: thresholds.classes.clone(),
        }
    }

    /// The bytes for a model of so many classes.
    ///
    /// # Errors
    /// When more than [`MAX_ROWS`] detections are asked for: the output has no more rows.
    pub fn encode(&self, classes: usize) -> Result<Vec<u8>, TooManyDetections> {
        let asked = self.max_detections;
        let detections = u32::try_from(asked).unwrap_or(u32::MAX);
        if detections > MAX_ROWS {
            return Err(TooManyDetections { asked });
        }
        let mut words = vec![
            bound(self.confidence).to_bits(),
            self.confidence.to_bits(),
            self.iou.max(0.0).to_bits(),
            detections,
            u32::from(self.agnostic),
            u32::from(self.every_class),
            0,
            0,
        ];
        let mut wanted = vec![0; classes.div_ceil(32)];
        for class in 0..classes {
            let named = |classes: &Vec<usize>| classes.contains(&class);
            wanted[class / 32] |=
                u32::from(self.classes.as_ref().is_none_or(named)) << (class % 32);
        }
        words.extend(wanted);
        words.resize(Self::bytes(classes) / 4, 0);
        Ok(words.iter().flat_map(|word| word.to_le_bytes()).collect())
    }

    /// The bytes for an image that a batch lacks: nothing is above its thresholds.
    pub fn encode_nothing(classes: usize) -> Vec<u8> {
        let mut words = vec![f32::INFINITY.to_bits(), f32::INFINITY.to_bits()];
        words.resize(Self::bytes(classes) / 4, 0);
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// Bytes of the settings of one image for a model of so many classes; those of a batch lie one
    /// after the other.
    pub fn bytes(classes: usize) -> usize {
        (WANTED as usize + classes.div_ceil(32) * 4).next_multiple_of(16)
    }
}

/// What every raw value exceeds whose probability exceeds `confidence`; a little too low, so that
/// rounding loses none.
fn bound(confidence: f32) -> f32 {
    match confidence {
        _ if confidence <= 0.0 => f32::NEG_INFINITY,
        _ if confidence >= 1.0 => f32::INFINITY,
        _ => {
            let odds = f64::from(confidence) / (1.0 - f64::from(confidence));
            odds.ln() as f32 - 1e-3
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wanted_classes_are_bits() {
        let settings = Settings {
            confidence: 0.5,
            iou: -1.0,
            max_detections: MAX_ROWS as usize,
            agnostic: false,
            every_class: true,
            classes: Some(vec![0, 33, 99]),
        };
        let bytes = settings.encode(34).unwrap();
        assert_eq!(bytes.len(), Settings::bytes(34));
        let words: Vec<u32> = bytes
            .as_chunks()
            .0
            .iter()
            .map(|&word| u32::from_le_bytes(word))
            .collect();
        assert_eq!(words[1..6], [0.5f32.to_bits(), 0, MAX_ROWS, 0, 1]);
        assert_eq!(words[8..], [1, 2, 0, 0]);
        assert!((-2e-3..0.0).contains(&f32::from_bits(words[0])));
    }

    #[test]
    fn more_detections_than_there_is_room_for_are_refused() {
        for asked in [MAX_ROWS as usize + 1, usize::MAX] {
            let settings = Settings {
                max_detections: asked,
                ..Settings::default()
            };
            let error = settings.encode(80).unwrap_err();
            assert_eq!(error, TooManyDetections { asked });
            assert!(error.to_string().contains("1024 at most"));
        }
    }
}
