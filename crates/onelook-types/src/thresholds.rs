//! Which objects are reported: the caller's choice.

/// Which of a network's candidates are reported as objects.
#[derive(Debug, Clone, PartialEq)]
pub struct Thresholds {
    /// Confidence must be above this, 0 to 1.
    pub confidence: f32,
    /// A box whose intersection over union with one of higher score exceeds this is dropped, 0 to 1.
    pub iou: f32,
    /// At most so many objects per image.
    pub max_detections: usize,
    /// Only these classes, or all.
    pub classes: Option<Vec<usize>>,
    /// Whether boxes of different classes suppress each other.
    pub agnostic: bool,
    /// Whether every class above the threshold counts (for validation) or only an anchor's best.
    pub multi_label: bool,
    /// Whether masks have the size of the image, instead of that of the image in the network's input.
    pub retina_masks: bool,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Thresholds {
    /// The defaults of the reference implementation.
    pub const DEFAULT: Self = Self {
        confidence: 0.25,
        iou: 0.7,
        max_detections: 300,
        classes: None,
        agnostic: false,
        multi_label: false,
        retina_masks: false,
    };

    /// Whether objects of this class are reported.
    pub fn admits(&self, class: usize) -> bool {
        self.classes
            .as_ref()
            .is_none_or(|classes| classes.contains(&class))
    }
}
