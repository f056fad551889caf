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
            for (sum, &byte) in sums.iter_mut().zip(frame.row(y * factor)) {
                *sum = u16::from(byte);
            }
            for dy in 1..factor {
                for (sum, &byte) in sums.iter_mut().zip(frame.row(y * factor + dy)) {
                    *sum += u16::from(byte);
                }
            }
            let (pixels, _) = sums.as_chunks::<CHANNELS>();
            let mean = |square: &[[u16; CHANNELS]]| weighted(square, weights) as f32 * scale;
            // Loops whose lengths are known are several times as fast.
            match factor {
                2 => (self.values).extend(pixels.as_chunks::<2>().0.iter().map(|it| mean(it))),
                3 => (self.values).extend(pixels.as_chunks::<3>().0.iter().map(|it| mean(it))),
                4 => (self.values).extend(pixels.as_chunks::<4>().0.iter().map(|it| mean(it))),
                _ => self.values.extend(pixels.chunks_exact(factor).map(mean)),
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

    /// The rows of the square of `SIDE` by `SIDE` samples whose first one lies at this point, between pixels,
    /// to `take` with their numbers; nothing where a pixel outside would be needed.
    #[inline]
    pub fn square<const SIDE: usize>(
        &self,
        x: f64,
        y: f64,
        mut take: impl FnMut(usize, &[f32; SIDE]),
    ) -> Option<()> {
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
        let (mut above, mut below, mut values) = ([0.0; SIDE], [0.0; SIDE], [0.0; SIDE]);
        between(top, &mut above);
        for dy in 0..SIDE {
            between(top + dy + 1, &mut below);
            for x in 0..SIDE {
                values[x] = above[x] + (below[x] - above[x]) * lower_part;
            }
            take(dy, &values);
            above = below;
        }
        Some(())
    }
}

/// 256 times the brightness of all pixels together.
#[inline]
fn weighted<const CHANNELS: usize>(pixels: &[[u16; CHANNELS]], weights: [u32; CHANNELS]) -> u32 {
    let mut sums = [0; CHANNELS];
    for pixel in pixels {
        for channel in 0..CHANNELS {
            sums[channel] += u32::from(pixel[channel]);
        }
    }
    let weighted = sums.iter().zip(weights).map(|(sum, weight)| sum * weight);
    weighted.sum()
}
