//! A box by two corners.

/// A box by two corners, in pixels; `x` to the right, `y` downwards.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct BoxXyxy {
    /// Left edge.
    pub x1: f32,
    /// Top edge.
    pub y1: f32,
    /// Right edge.
    pub x2: f32,
    /// Bottom edge.
    pub y2: f32,
}

impl BoxXyxy {
    /// Width in pixels; 0 for a box whose corners are swapped.
    pub fn width(&self) -> f32 {
        (self.x2 - self.x1).max(0.0)
    }

    /// Height in pixels; 0 for a box whose corners are swapped.
    pub fn height(&self) -> f32 {
        (self.y2 - self.y1).max(0.0)
    }

    /// Area in square pixels.
    pub fn area(&self) -> f32 {
        self.width() * self.height()
    }

    /// Intersection over union with another box, 0 to 1.
    pub fn iou(&self, other: &Self) -> f32 {
        let overlap = BoxXyxy {
            x1: self.x1.max(other.x1),
            y1: self.y1.max(other.y1),
            x2: self.x2.min(other.x2),
            y2: self.y2.min(other.y2),
        };
        let intersection = overlap.area();
        let union = self.area() + other.area() - intersection;
        if union > 0.0 {
            intersection / union
        } else {
            0.0
        }
    }

    /// The part of it inside an image of this width and height.
    #[must_use]
    pub fn clipped(&self, [width, height]: [usize; 2]) -> Self {
        let [width, height] = [width, height].map(|side| side as f32);
        Self {
            x1: self.x1.clamp(0.0, width),
            y1: self.y1.clamp(0.0, height),
            x2: self.x2.clamp(0.0, width),
            y2: self.y2.clamp(0.0, height),
        }
    }

    /// Whether no coordinate is infinite or NaN.
    pub fn is_finite(&self) -> bool {
        [self.x1, self.y1, self.x2, self.y2]
            .iter()
            .all(|side| side.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iou_is_one_with_itself_and_zero_apart() {
        let a = BoxXyxy {
            x1: 0.0,
            y1: 0.0,
            x2: 2.0,
            y2: 2.0,
        };
        let b = BoxXyxy {
            x1: 3.0,
            y1: 3.0,
            x2: 4.0,
            y2: 4.0,
        };
        let half = BoxXyxy {
            x1: 0.0,
            y1: 0.0,
            x2: 2.0,
            y2: 1.0,
        };
        assert_eq!(a.iou(&a), 1.0);
        assert_eq!(a.iou(&b), 0.0);
        assert_eq!(a.iou(&half), 0.5);
        assert_eq!(BoxXyxy::default().iou(&BoxXyxy::default()), 0.0);
    }
}
