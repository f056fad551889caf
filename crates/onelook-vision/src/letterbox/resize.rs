//! Bilinear scaling of 8-bit RGB, bit for bit what OpenCV's `INTER_LINEAR` yields.
//!
//! Rows of the source are interpolated horizontally with 11-bit weights into 16-bit rows, two of
//! which at a time are interpolated vertically. Each source row is interpolated at most once.

use onelook_types::Frame;

const WEIGHT_ONE: f32 = 2048.0;

/// Where an output pixel lies between two source pixels.
#[derive(Clone, Copy)]
struct Tap {
    /// The first of the two, in pixels.
    first: usize,
    /// Weights of the two; together 2048.
    weights: [i16; 2],
}

/// Scales `frame` and hands each finished row of `3 * width` bytes to `sink`, from the top.
pub(super) fn rows(frame: &Frame, width: usize, height: usize, mut sink: impl FnMut(usize, &[u8])) {
    if (frame.width(), frame.height()) == (width, height) {
        for y in 0..height {
            sink(y, frame.row(y));
        }
    } else if (frame.width(), frame.height()) == (2 * width, 2 * height) {
        halve(frame, sink);
    } else {
        interpolate(frame, width, height, sink);
    }
}

/// OpenCV averages four pixels when both sides are exactly halved.
fn halve(frame: &Frame, mut sink: impl FnMut(usize, &[u8])) {
    let mut out = vec![0u8; frame.width() / 2 * 3];
    for y in 0..frame.height() / 2 {
        let upper = frame.row(2 * y).as_chunks::<6>().0;
        let lower = frame.row(2 * y + 1).as_chunks::<6>().0;
        for ((out, a), b) in out.as_chunks_mut::<3>().0.iter_mut().zip(upper).zip(lower) {
            for channel in 0..3 {
                let sum = u16::from(a[channel])
                    + u16::from(a[channel + 3])
                    + u16::from(b[channel])
                    + u16::from(b[channel + 3]);
                out[channel] = ((sum + 2) >> 2) as u8;
            }
        }
        sink(y, &out);
    }
}

fn interpolate(frame: &Frame, width: usize, height: usize, mut sink: impl FnMut(usize, &[u8])) {
    let columns = columns(frame.width(), width);
    let mut cache = RowCache::new(width * 3);
    let mut out = vec![0u8; width * 3];
    let last = frame.height() as i64 - 1;
    for y in 0..height {
        let (floor, fraction) = source_position(y, frame.height(), height);
        let above = floor.clamp(0, last) as usize;
        let below = (floor + 1).clamp(0, last) as usize;
        cache.load(frame, &columns, above, below);
        blend(cache.rows(), weights(fraction), &mut out);
        sink(y, &out);
    }
}

/// The centre of output pixel `index` in source pixels, as floor and fraction.
fn source_position(index: usize, source: usize, target: usize) -> (i64, f32) {
    let scale = 1.0 / (target as f64 / source as f64);
    let position = ((index as f64 + 0.5) * scale - 0.5) as f32;
    let floor = position.floor();
    (floor as i64, position - floor)
}

fn weights(fraction: f32) -> [i16; 2] {
    [1.0 - fraction, fraction].map(|weight| (weight * WEIGHT_ONE).round_ties_even() as i16)
}

fn columns(source: usize, target: usize) -> Vec<Tap> {
    let last = source as i64 - 1;
    (0..target)
        .map(|x| {
            let (floor, fraction) = source_position(x, source, target);
            let inside = (0..last).contains(&floor);
            Tap {
                first: floor.clamp(0, last) as usize,
                weights: weights(if inside { fraction } else { 0.0 }),
            }
        })
        .collect()
}

/// The two horizontally interpolated rows that the current output row lies between.
struct RowCache {
    rows: [Vec<i16>; 2],
    held: [Option<usize>; 2],
}

impl RowCache {
    fn new(length: usize) -> Self {
        Self {
            rows: [vec![0; length], vec![0; length]],
            held: [None, None],
        }
    }

    fn load(&mut self, frame: &Frame, columns: &[Tap], above: usize, below: usize) {
        if self.held[0] != Some(above) && self.held[1] == Some(above) {
            self.rows.swap(0, 1);
            self.held.swap(0, 1);
        }
        for (slot, wanted) in [above, below].into_iter().enumerate() {
            if self.held[slot] != Some(wanted) {
                stretch(frame.row(wanted), columns, &mut self.rows[slot]);
                self.held[slot] = Some(wanted);
            }
        }
    }

    fn rows(&self) -> [&[i16]; 2] {
        [&self.rows[0], &self.rows[1]]
    }
}

/// One row, interpolated horizontally; keeps 7 of the 11 fractional bits as OpenCV does.
fn stretch(source: &[u8], columns: &[Tap], out: &mut [i16]) {
    for (out, tap) in out.as_chunks_mut::<3>().0.iter_mut().zip(columns) {
        let start = tap.first * 3;
        let weights = tap.weights.map(i32::from);
        if let Some(pair) = source.get(start..start + 6) {
            for channel in 0..3 {
                let sum = i32::from(pair[channel]) * weights[0]
                    + i32::from(pair[channel + 3]) * weights[1];
                out[channel] = (sum >> 4) as i16;
            }
        } else {
            let pixel = &source[start..start + 3];
            for channel in 0..3 {
                out[channel] = i16::from(pixel[channel]) << 7;
            }
        }
    }
}

/// Two rows, interpolated vertically; each product loses its low 16 bits before the sum.
fn blend(rows: [&[i16]; 2], weights: [i16; 2], out: &mut [u8]) {
    let high = |value: i16, weight: i16| ((i32::from(value) * i32::from(weight)) >> 16) as i16;
    for ((out, &above), &below) in out.iter_mut().zip(rows[0]).zip(rows[1]) {
        let sum = high(above, weights[0]) + high(below, weights[1]) + 2;
        *out = (sum >> 2).clamp(0, 255) as u8;
    }
}
