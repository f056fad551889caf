//! Brightness of a frame at small sizes, and the corners in it.

use std::collections::BTreeMap;

use onelook_types::{FrameView, PixelFormat};

/// Corners lie in squares of so many pixels, one in each.
const CELL: usize = 16;
/// Half the side of the window in which a corner is looked for.
const REACH: usize = 2;
/// A corner is at least this part as strong as the strongest.
const QUALITY: f32 = 0.01;
/// Weaker corners are noise.
const LEAST_STRENGTH: f32 = 4.0;

/// Brightness, 0 to 255, row by row.
#[derive(Debug, Clone)]
pub(super) struct Luma {
    width: usize,
    height: usize,
    values: Vec<f32>,
}

impl Luma {
    /// A frame, each pixel the mean of a square of `factor` by `factor`; what is left over at the edges
    /// is not seen.
    pub fn shrunk(frame: &FrameView<'_>, factor: usize) -> Self {
        let (width, height) = (frame.width() / factor, frame.height() / factor);
        let area = (factor * factor) as f32;
        let mut values = vec![0.0; width * height];
        for y in 0..height * factor {
            let pixels = frame.row(y);
            let row = &mut values[y / factor * width..][..width];
            for (x, sum) in row.iter_mut().enumerate() {
                *sum += (x * factor..(x + 1) * factor)
                    .map(|x| brightness(frame.format(), pixels, x))
                    .sum::<f32>()
                    / area;
            }
        }
        Self {
            width,
            height,
            values,
        }
    }

    /// The same at half the size.
    pub fn halved(&self) -> Self {
        let (width, height) = (self.width / 2, self.height / 2);
        let mut values = Vec::with_capacity(width * height);
        for y in 0..height {
            for x in 0..width {
                let at = |dx, dy| self.at(2 * x + dx, 2 * y + dy);
                values.push((at(0, 0) + at(1, 0) + at(0, 1) + at(1, 1)) / 4.0);
            }
        }
        Self {
            width,
            height,
            values,
        }
    }

    pub fn size(&self) -> [usize; 2] {
        [self.width, self.height]
    }

    fn at(&self, x: usize, y: usize) -> f32 {
        self.values[y * self.width + x]
    }

    /// Brightness between pixels; nothing outside.
    pub fn sample(&self, x: f64, y: f64) -> Option<f32> {
        let inside = |value: f64, size: usize| value >= 0.0 && value < size as f64 - 1.0;
        if !inside(x, self.width) || !inside(y, self.height) {
            return None;
        }
        let (left, top) = (x as usize, y as usize);
        let (right_part, lower_part) = ((x - left as f64) as f32, (y - top as f64) as f32);
        let row =
            |y: usize| self.at(left, y) + (self.at(left + 1, y) - self.at(left, y)) * right_part;
        Some(row(top) + (row(top + 1) - row(top)) * lower_part)
    }

    /// Points around which brightness changes in both directions (Shi and Tomasi, 1994), spread over the
    /// frame.
    pub fn corners(&self) -> Vec<[f64; 2]> {
        let margin = REACH + 1;
        let (Some(right), Some(bottom)) = (
            self.width.checked_sub(margin),
            self.height.checked_sub(margin),
        ) else {
            return Vec::new();
        };
        let mut cells = BTreeMap::new();
        // Every second pixel will do: corners are wider than that.
        for y in (margin..bottom).step_by(2) {
            for x in (margin..right).step_by(2) {
                let strength = self.strength(x, y);
                let best = cells.entry((y / CELL, x / CELL)).or_insert((0.0, x, y));
                if strength > best.0 {
                    *best = (strength, x, y);
                }
            }
        }
        let strongest = cells.values().fold(0.0, |most: f32, cell| most.max(cell.0));
        let least = (strongest * QUALITY).max(LEAST_STRENGTH);
        let corners = cells.into_values().filter(|cell| cell.0 >= least);
        corners.map(|(_, x, y)| [x as f64, y as f64]).collect()
    }

    /// The smaller change of brightness of the two directions: the lesser eigenvalue of the gradients'
    /// covariance, per pixel of the window.
    fn strength(&self, x: usize, y: usize) -> f32 {
        let (mut xx, mut xy, mut yy) = (0.0, 0.0, 0.0);
        for y in y - REACH..=y + REACH {
            for x in x - REACH..=x + REACH {
                let dx = (self.at(x + 1, y) - self.at(x - 1, y)) / 2.0;
                let dy = (self.at(x, y + 1) - self.at(x, y - 1)) / 2.0;
                (xx, xy, yy) = (xx + dx * dx, xy + dx * dy, yy + dy * dy);
            }
        }
        let pixels = ((2 * REACH + 1) * (2 * REACH + 1)) as f32;
        ((xx + yy) / 2.0 - ((xx - yy) / 2.0).hypot(xy)) / pixels
    }
}

fn brightness(format: PixelFormat, row: &[u8], x: usize) -> f32 {
    let value = |index: usize| f32::from(row[index]);
    let weighted = |red: usize, blue: usize| {
        0.299 * value(red) + 0.587 * value(3 * x + 1) + 0.114 * value(blue)
    };
    match format {
        PixelFormat::Rgb => weighted(3 * x, 3 * x + 2),
        PixelFormat::Bgr => weighted(3 * x + 2, 3 * x),
        PixelFormat::Grey | PixelFormat::Nv12 => value(x),
    }
}
