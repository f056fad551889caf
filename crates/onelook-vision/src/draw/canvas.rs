//! Filled rectangles and blended pixels on a frame; everything outside is cut off.

use onelook_types::Frame;

/// Whole pixels: `right` and `bottom` are the first outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rect {
    pub(super) left: usize,
    pub(super) top: usize,
    pub(super) right: usize,
    pub(super) bottom: usize,
}

impl Rect {
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        self.left < other.right
            && other.left < self.right
            && self.top < other.bottom
            && other.top < self.bottom
    }
}

/// A frame to draw on.
pub(super) struct Canvas<'a> {
    width: usize,
    height: usize,
    pixels: &'a mut [u8],
}

impl<'a> Canvas<'a> {
    pub(super) fn new(frame: &'a mut Frame) -> Self {
        Self {
            width: frame.width(),
            height: frame.height(),
            pixels: frame.pixels_mut(),
        }
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn height(&self) -> usize {
        self.height
    }

    pub(super) fn fill(&mut self, rect: Rect, colour: [u8; 3]) {
        let right = rect.right.min(self.width);
        if rect.left >= right {
            return;
        }
        for y in rect.top..rect.bottom.min(self.height) {
            let row =
                &mut self.pixels[(y * self.width + rect.left) * 3..][..(right - rect.left) * 3];
            row.as_chunks_mut::<3>().0.fill(colour);
        }
    }

    /// The border of a rectangle, `line` pixels wide, inside it.
    pub(super) fn frame(&mut self, rect: Rect, line: usize, colour: [u8; 3]) {
        let Rect {
            left,
            top,
            right,
            bottom,
        } = rect;
        let inner_top = (top + line).min(bottom);
        let inner_bottom = bottom.saturating_sub(line).max(inner_top);
        let inner_left = (left + line).min(right);
        let inner_right = right.saturating_sub(line).max(inner_left);
        for side in [
            Rect {
                bottom: inner_top,
                ..rect
            },
            Rect {
                top: inner_bottom,
                ..rect
            },
            Rect {
                top: inner_top,
                bottom: inner_bottom,
                right: inner_left,
                ..rect
            },
            Rect {
                top: inner_top,
                bottom: inner_bottom,
                left: inner_right,
                ..rect
            },
        ] {
            self.fill(side, colour);
        }
    }

    /// Mixes `colour` into a pixel; `coverage` 1 replaces it.
    pub(super) fn blend(&mut self, x: i64, y: i64, colour: [u8; 3], coverage: f32) {
        let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) else {
            return;
        };
        if x >= self.width || y >= self.height {
            return;
        }
        let pixel = &mut self.pixels[(y * self.width + x) * 3..][..3];
        let coverage = coverage.clamp(0.0, 1.0);
        for (channel, colour) in pixel.iter_mut().zip(colour) {
            let mixed = f32::from(*channel) * (1.0 - coverage) + f32::from(colour) * coverage;
            *channel = mixed.round() as u8;
        }
    }
}
