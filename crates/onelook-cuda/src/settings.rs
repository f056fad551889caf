//! What counts as a detection, as bytes that the last kernels read: another threshold needs no other
//! kernel and no other plan.

/// Where four words begin: the bound of raw class values and of probabilities, the largest allowed
/// overlap (floats), the largest number of detections.
pub const THRESHOLDS: u32 = 0;

/// Where two words begin: 1 where boxes of all classes suppress each other; 1 where every class of an
/// anchor counts, not just its best.
pub const SWITCHES: u32 = 16;

/// Where a bit per class begins: whether it is wanted.
pub const WANTED: u32 = 32;

/// Thresholds and choices.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Confidence must be above this, 0 to 1.
    pub confidence: f32,
    /// A box that overlaps a surer one by more than this goes, 0 to 1.
    pub iou: f32,
    /// At most so many detections per picture.
    pub max_detections: usize,
    /// Whether boxes of different classes suppress each other.
    pub agnostic: bool,
    /// Whether every class above the threshold counts or only an anchor's best.
    pub every_class: bool,
    /// Only these classes, or all.
    pub classes: Option<Vec<usize>>,
}

impl Settings {
    /// The bytes for a model of so many classes.
    pub fn encode(&self, classes: usize) -> Vec<u8> {
        let mut words = vec![
            bound(self.confidence).to_bits(),
            self.confidence.to_bits(),
            self.iou.max(0.0).to_bits(),
            u32::try_from(self.max_detections).unwrap_or(u32::MAX),
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
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// Bytes of the settings for a model of so many classes.
    pub fn bytes(classes: usize) -> usize {
        WANTED as usize + classes.div_ceil(32) * 4
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
            max_detections: usize::MAX,
            agnostic: false,
            every_class: true,
            classes: Some(vec![0, 33, 99]),
        };
        let bytes = settings.encode(34);
        assert_eq!(bytes.len(), Settings::bytes(34));
        let words: Vec<u32> = bytes
            .as_chunks()
            .0
            .iter()
            .map(|&word| u32::from_le_bytes(word))
            .collect();
        assert_eq!(words[1..6], [0.5f32.to_bits(), 0, u32::MAX, 0, 1]);
        assert_eq!(words[8..], [1, 2]);
        assert!((-2e-3..0.0).contains(&f32::from_bits(words[0])));
    }
}
