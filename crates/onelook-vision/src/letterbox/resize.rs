//! Bilinear scaling of 8-bit RGB, bit for bit what OpenCV's `INTER_LINEAR` yields.
//!
//! Rows of the source are interpolated horizontally with 11-bit weights into 16-bit rows, two of
//! which at a time are interpolated vertically. Each source row is interpolated at most once.

use onelook_types::{AxisTap, FrameView};

/// The weight 1 with 11 fractional bits.
const WEIGHT_ONE: f32 = 2048.0;

/// Red, green, blue, and a byte without meaning: lanes of four suit a processor better than of three.
pub(super) type Pixel = [u8; 4];

/// Scales `frame` and hands each finished row of `width` pixels to `sink`, from the top.
pub(super) fn rows(
    frame: &FrameView<'_>,
    width: usize,
    height: usize,
    mut sink: impl FnMut(usize, &[Pixel]),
) {
    if (frame.width(), frame.height()) == (width, height) {
        let (mut buffer, mut out) = (Vec::new(), Vec::new());
        for y in 0..height {
            let pixels = frame.rgb_row(y, &mut buffer).as_chunks::<3>().0;
            out.clear();
            out.extend(
                pixels
                    .iter()
                    .map(|&[red, green, blue]| [red, green, blue, 0]),
            );
            sink(y, &out);
        }
    } else if (frame.width(), frame.height()) == (2 * width, 2 * height) {
        halve(frame, sink);
    } else {
        interpolate(frame, width, height, sink);
    }
}

/// OpenCV averages four pixels when both sides are exactly halved.
fn halve(frame: &FrameView<'_>, mut sink: impl FnMut(usize, &[Pixel])) {
    let mut out = vec![Pixel::default(); frame.width() / 2];
    let mut buffers = [Vec::new(), Vec::new()];
    let [of_upper, of_lower] = &mut buffers;
    for y in 0..frame.height() / 2 {
        let upper = frame.rgb_row(2 * y, of_upper).as_chunks::<6>().0;
        let lower = frame.rgb_row(2 * y + 1, of_lower).as_chunks::<6>().0;
        for ((out, a), b) in out.iter_mut().zip(upper).zip(lower) {
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

fn interpolate(
    frame: &FrameView<'_>,
    width: usize,
    height: usize,
    mut sink: impl FnMut(usize, &[Pixel]),
) {
    let columns = Columns::new(frame.width(), width);
    let mut cache = RowCache::new(width);
    let mut weight_rows = [vec![0; width * 4], vec![0; width * 4]];
    let mut out = vec![Pixel::default(); width];
    for (y, tap) in axis_taps(frame.height(), height).enumerate() {
        let (above, weights) = (tap.first, tap.weights.map(|weight| weight as i16));
        // A row without weight need not be there; with odd whole factors none ever is.
        let below = if weights[1] == 0 { above } else { tap.second };
        let rows = cache.load(frame, &columns, above, below);
        for (row, weight) in weight_rows.iter_mut().zip(weights) {
            row.fill(weight);
        }
        blend(
            rows,
            [&weight_rows[0], &weight_rows[1]],
            out.as_flattened_mut(),
        );
        sink(y, &out);
    }
}

/// Along one axis, what each pixel of an image scaled from `source` to `target` pixels is made of.
///
/// Weighted with these and cut as OpenCV cuts, images of the same size come out as they are and
/// exactly halved ones as averages: no case is special.
pub fn axis_taps(source: usize, target: usize) -> impl Iterator<Item = AxisTap> {
    let last = source as i64 - 1;
    (0..target).map(move |index| {
        let (floor, fraction) = source_position(index, source, target);
        AxisTap {
            first: floor.clamp(0, last) as usize,
            second: (floor + 1).clamp(0, last) as usize,
            weights: weights(fraction),
        }
    })
}

/// The centre of output pixel `index` in source pixels, as floor and fraction.
fn source_position(index: usize, source: usize, target: usize) -> (i64, f32) {
    let scale = 1.0 / (target as f64 / source as f64);
    let position = ((index as f64 + 0.5) * scale - 0.5) as f32;
    let floor = position.floor();
    (floor as i64, position - floor)
}

fn weights(fraction: f32) -> [u16; 2] {
    [1.0 - fraction, fraction].map(|weight| (weight * WEIGHT_ONE).round_ties_even() as u16)
}

/// Which two source pixels the pixels of an output row lie between.
struct Columns {
    taps: Vec<ColumnTap>,
    /// Weight of the farther pixel, at most a half of 2048, times -32; once per lane. Negative,
    /// because 16 bits hold -32768 but not 32768.
    weights: Vec<i16>,
}

/// Where one column finds its two pixels.
struct ColumnTap {
    /// First byte of the left one.
    first: u32,
    /// From there, bits ahead of the nearer pixel and of the farther one.
    shifts: [u8; 2],
}

impl Columns {
    fn new(source: usize, target: usize) -> Self {
        let mut columns = Self {
            taps: Vec::with_capacity(target),
            weights: Vec::with_capacity(target * 4),
        };
        for tap in axis_taps(source, target) {
            let second = (tap.second - tap.first) as u8 * 24;
            let [of_first, of_second] = tap.weights;
            let (shifts, weight) = if of_second <= of_first {
                ([0, second], of_second)
            } else {
                ([second, 0], of_first)
            };
            let first = tap.first as u32 * 3;
            columns.taps.push(ColumnTap { first, shifts });
            columns
                .weights
                .extend([(i32::from(weight) * -32) as i16; 4]);
        }
        columns
    }
}

/// The two horizontally interpolated rows that the current output row lies between.
struct RowCache {
    rows: [Vec<i16>; 2],
    gathered: [Vec<Pixel>; 2],
    held: [Option<usize>; 2],
    /// A row of the source, where it has to be converted.
    converted: Vec<u8>,
}

impl RowCache {
    fn new(width: usize) -> Self {
        Self {
            rows: [vec![0; width * 4], vec![0; width * 4]],
            gathered: [vec![Pixel::default(); width], vec![Pixel::default(); width]],
            held: [None, None],
            converted: Vec::new(),
        }
    }

    /// Both rows, interpolated now or, where they are those of the previous output row, then.
    fn load(
        &mut self,
        frame: &FrameView<'_>,
        columns: &Columns,
        above: usize,
        below: usize,
    ) -> [&[i16]; 2] {
        if self.held[0] != Some(above) && self.held[1] == Some(above) {
            self.rows.swap(0, 1);
            self.held.swap(0, 1);
        }
        self.fill(0, frame, columns, above);
        if below == above {
            return [&self.rows[0], &self.rows[0]];
        }
        self.fill(1, frame, columns, below);
        [&self.rows[0], &self.rows[1]]
    }

    fn fill(&mut self, slot: usize, frame: &FrameView<'_>, columns: &Columns, y: usize) {
        if self.held[slot] != Some(y) {
            stretch(
                frame.rgb_row(y, &mut self.converted),
                columns,
                &mut self.gathered,
                &mut self.rows[slot],
            );
            self.held[slot] = Some(y);
        }
    }
}

/// One row, interpolated horizontally; keeps 7 of the 11 fractional bits as OpenCV does.
///
/// In the textbook a value is `(near * (2048 - weight) + far * weight) >> 4`. Here that is
/// `near * 128 + (((near - far) * 128 * weight * -32) >> 16)`, the same number without leaving 16
/// bits, after the two pixels of every column have been gathered into two rows.
#[multiversion::multiversion(targets("x86_64+avx2+bmi1+bmi2", "x86_64+sse4.1"))]
fn stretch(source: &[u8], columns: &Columns, gathered: &mut [Vec<Pixel>; 2], out: &mut [i16]) {
    let [near, far] = gathered;
    for ((tap, near), far) in columns.taps.iter().zip(&mut *near).zip(&mut *far) {
        let pixels = two_pixels(source, tap.first as usize);
        *near = ((pixels >> tap.shifts[0]) as u32).to_le_bytes();
        *far = ((pixels >> tap.shifts[1]) as u32).to_le_bytes();
    }
    let pairs = near.as_flattened().iter().zip(far.as_flattened());
    for ((out, (&near, &far)), &weight) in out.iter_mut().zip(pairs).zip(&columns.weights) {
        let (near, far) = (i16::from(near), i16::from(far));
        *out = (near << 7) + high((near - far) << 7, weight);
    }
}

/// The bytes from `first` on, the first one lowest; zeros behind the row.
#[inline(always)]
fn two_pixels(source: &[u8], first: usize) -> u64 {
    if let Some(Ok(bytes)) = source.get(first..first + 8).map(TryInto::try_into) {
        return u64::from_le_bytes(bytes);
    }
    let mut bytes = [0; 8];
    let rest = &source[first..];
    bytes[..rest.len()].copy_from_slice(rest);
    u64::from_le_bytes(bytes)
}

/// The high half of a product.
#[inline(always)]
fn high(value: i16, weight: i16) -> i16 {
    ((i32::from(value) * i32::from(weight)) >> 16) as i16
}

/// Two rows, interpolated vertically; each product loses its low 16 bits before the sum.
///
/// The weights come as rows too: only then do compilers find the instruction that multiplies 16-bit
/// lanes and keeps the high half.
#[multiversion::multiversion(targets("x86_64+avx2", "x86_64+sse4.1"))]
fn blend(rows: [&[i16]; 2], weights: [&[i16]; 2], out: &mut [u8]) {
    let above = rows[0].iter().zip(weights[0]);
    let below = rows[1].iter().zip(weights[1]);
    for ((out, (&above, &above_weight)), (&below, &below_weight)) in
        out.iter_mut().zip(above).zip(below)
    {
        let sum = high(above, above_weight) + high(below, below_weight) + 2;
        *out = (sum >> 2).clamp(0, 255) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use onelook_types::Frame;

    /// The textbook formula on taps, which engines elsewhere compute.
    fn by_taps(frame: &Frame, width: usize, height: usize) -> Vec<u8> {
        let columns: Vec<_> = axis_taps(frame.width(), width).collect();
        let mut out = Vec::new();
        for row in axis_taps(frame.height(), height) {
            let rows = [frame.row(row.first), frame.row(row.second)];
            for column in &columns {
                let [near, far] = column.weights.map(u32::from);
                for channel in 0..3 {
                    let across = rows.map(|row| {
                        let at = |x: usize| u32::from(row[x * 3 + channel]);
                        (at(column.first) * near + at(column.second) * far) >> 4
                    });
                    let part = |side: usize| (across[side] * u32::from(row.weights[side])) >> 16;
                    out.push(((part(0) + part(1) + 2) >> 2) as u8);
                }
            }
        }
        out
    }

    #[test]
    fn taps_cover_copying_and_halving_too() {
        let bytes = (0..12 * 10 * 3).map(|i| (i * 7919 % 251) as u8).collect();
        let frame = Frame::new(12, 10, bytes).unwrap();
        for (width, height) in [(12, 10), (6, 5), (6, 10), (7, 3), (31, 29), (1, 1)] {
            let mut expected = Vec::new();
            rows(&FrameView::from(&frame), width, height, |_, row| {
                expected.extend(row.iter().flat_map(|pixel| &pixel[..3]))
            });
            assert_eq!(by_taps(&frame, width, height), expected, "{width}x{height}");
        }
    }

    #[test]
    fn weights_add_up_to_one() {
        for (source, target) in [(1080, 360), (1920, 640), (4032, 479), (33, 640), (7, 6)] {
            for tap in axis_taps(source, target) {
                assert_eq!(tap.weights[0] + tap.weights[1], 2048);
            }
        }
    }
}
