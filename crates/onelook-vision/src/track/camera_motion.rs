//! How the camera moved from one frame to the next, as trackers take it: where each point of the last
//! frame is on this one.

use onelook_types::BoxXyxy;

/// A map of the plane: `x' = rows[0] · (x, y, 1)`, `y' = rows[1] · (x, y, 1)`, in pixels of the image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CameraMotion {
    /// Coefficients of both coordinates.
    pub rows: [[f64; 3]; 2],
}

impl Default for CameraMotion {
    fn default() -> Self {
        Self::STILL
    }
}

impl CameraMotion {
    /// The camera stood still.
    pub const STILL: Self = Self {
        rows: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]],
    };

    /// Everything moved by this on the image.
    pub fn shift(x: f64, y: f64) -> Self {
        Self {
            rows: [[1.0, 0.0, x], [0.0, 1.0, y]],
        }
    }

    /// Whether no coefficient is infinite or NaN and the plane keeps its orientation.
    pub fn is_sound(&self) -> bool {
        self.rows
            .as_flattened()
            .iter()
            .all(|value| value.is_finite())
            && self.determinant() > 0.0
    }

    /// By how much lengths grow.
    pub fn scale(&self) -> f64 {
        self.determinant().sqrt()
    }

    fn determinant(&self) -> f64 {
        let [[a, b, _], [c, d, _]] = self.rows;
        a * d - b * c
    }

    /// How a step, such as a speed, goes now.
    pub fn apply_to_step(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        self.rows.map(|[a, b, _]| a * x + b * y)
    }

    /// Where a point is now.
    pub fn apply(&self, point: [f64; 2]) -> [f64; 2] {
        let [x, y] = self.apply_to_step(point);
        [x + self.rows[0][2], y + self.rows[1][2]]
    }

    /// Where a box is now: its centre moves, its sides grow, and it stays upright.
    pub fn apply_to_box(&self, bbox: &BoxXyxy) -> BoxXyxy {
        let [x1, y1, x2, y2] = [bbox.x1, bbox.y1, bbox.x2, bbox.y2].map(f64::from);
        let [x, y] = self.apply([(x1 + x2) / 2.0, (y1 + y2) / 2.0]);
        let half = self.scale() / 2.0;
        let (width, height) = ((x2 - x1) * half, (y2 - y1) * half);
        BoxXyxy {
            x1: (x - width) as f32,
            y1: (y - height) as f32,
            x2: (x + width) as f32,
            y2: (y + height) as f32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Twice as large, turned by a quarter to the right, then moved.
    const TURN: CameraMotion = CameraMotion {
        rows: [[0.0, -2.0, 100.0], [2.0, 0.0, 7.0]],
    };

    #[test]
    fn boxes_move_and_grow_and_stay_upright() {
        let bbox = BoxXyxy {
            x1: 10.0,
            y1: 20.0,
            x2: 14.0,
            y2: 30.0,
        };
        assert_eq!(TURN.apply([12.0, 25.0]), [50.0, 31.0]);
        let moved = TURN.apply_to_box(&bbox);
        assert_eq!(
            [moved.x1, moved.y1, moved.x2, moved.y2],
            [46.0, 21.0, 54.0, 41.0]
        );
        assert_eq!(CameraMotion::STILL.apply_to_box(&bbox), bbox);
    }

    #[test]
    fn mirrors_and_infinities_are_unsound() {
        assert!(TURN.is_sound() && CameraMotion::shift(3.0, 4.0).is_sound());
        assert!(!CameraMotion::shift(f64::NAN, 0.0).is_sound());
        let mirror = CameraMotion {
            rows: [[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]],
        };
        assert!(!mirror.is_sound());
    }
}
