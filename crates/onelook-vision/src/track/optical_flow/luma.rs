//! Brightness of a frame at small sizes.

use onelook_types::{FrameView, PixelFormat};
use serde::{Deserialize, Serialize};

/// Parts of 256 that red, green and blue have in the brightness (ITU-R BT.601).
const WEIGHTS: [u32; 3] = [77, 150, 29];

/// Brightness, 0 to 255, row by row.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Luma {
    pub width: usize,
    pub height: usize,
    pub values: Vec<f32>,
}

impl Luma {
    /// A frame, each pixel the mean of a square of `factor` by `factor`; what is left over at the edges
    /// is not seen. At most 255 for `factor`.
    pub fn shrink(&mut self, frame: &FrameView<'_>, factor: usize) {
        (self.width, self.height) = (frame.width() / factor, frame.height() / factor);
        self.values.clear();
        match frame.format() {
            PixelFormat::Rgb => self.add_squares(frame, factor, WEIGHTS),
            PixelFormat::Bgr => {
                self.add_squares(frame, factor, [WEIGHTS[2], WEIGHTS[1], WEIGHTS[0]])
            }
            PixelFormat::Grey | PixelFormat::Nv12 => self.add_squares(frame, factor, [256]),
        }
    }

    fn add_squares<const CHANNELS: usize>(
        &mut self,
        frame: &FrameView<'_>,
        factor: usize,
        weights: [u32; CHANNELS],
    ) {
        let scale = 1.0 / (256 * factor * factor) as f32;
        // Rows are added first, since that is the same for every byte.
        let mut sums = vec![0_u16; self.width * factor * CHANNELS];
        for y in 0..self.height {
            sums.fill(0);
            for dy in 0..factor {
                for (sum, &byte) in sums.iter_mut().zip(frame.row(y * factor + dy)) {
                    *sum += u16::from(byte);
                }
            }
            let (pixels, _) = sums.as_chunks::<CHANNELS>();
            for square in pixels.chunks_exact(factor) {
                let mut sums = [0; CHANNELS];
                for pixel in square {
                    for channel in 0..CHANNELS {
                        sums[channel] += u32::from(pixel[channel]);
                    }
                }
                let mut weighted = 0;
                for channel in 0..CHANNELS {
                    weighted += sums[channel] * weights[channel];
                }
                self.values.push(weighted as f32 * scale);
            }
        }
    }

    /// Becomes the other at half the size.
    pub fn halve(&mut self, other: &Self) {
        (self.width, self.height) = (other.width / 2, other.height / 2);
        self.values.clear();
        for y in 0..self.height {
            let pairs = |y: usize| other.row(y)[..2 * self.width].chunks_exact(2);
            let squares = pairs(2 * y).zip(pairs(2 * y + 1));
            let mean = |(above, below): (&[f32], &[f32])| {
                (above[0] + above[1] + below[0] + below[1]) / 4.0
            };
            self.values.extend(squares.map(mean));
        }
    }

    pub fn size(&self) -> [usize; 2] {
        [self.width, self.height]
    }

    pub fn row(&self, y: usize) -> &[f32] {
        &self.values[y * self.width..][..self.width]
    }

    /// The square of `SIDE` by `SIDE` samples whose first one lies at this point, between pixels; nothing
    /// where a pixel outside would be needed.
    pub fn square<const SIDE: usize>(&self, x: f64, y: f64) -> Option<[[f32; SIDE]; SIDE]> {
        let is_inside =
            |value: f64, size: usize| value >= 0.0 && value + (SIDE as f64) < size as f64;
        if !is_inside(x, self.width) || !is_inside(y, self.height) {
            return None;
        }
        let (left, top) = (x as usize, y as usize);
        let (right_part, lower_part) = ((x - left as f64) as f32, (y - top as f64) as f32);
        // A row between pixels, which two rows of the square need.
        let between = |y: usize, values: &mut [f32; SIDE]| {
            let row = &self.values[y * self.width + left..][..=SIDE];
            for x in 0..SIDE {
                values[x] = row[x] + (row[x + 1] - row[x]) * right_part;
            }
        };
        let mut square = [[0.0; SIDE]; SIDE];
        let (mut above, mut below) = ([0.0; SIDE], [0.0; SIDE]);
        between(top, &mut above);
        for (dy, values) in square.iter_mut().enumerate() {
            between(top + dy + 1, &mut below);
            for x in 0..SIDE {
                values[x] = above[x] + (below[x] - above[x]) * lower_part;
            }
            above = below;
        }
        Some(square)
    }
}
