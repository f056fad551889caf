//! Pixels that belong to somebody else: a NumPy array, a decoder's buffer, a [`Frame`].

use std::fmt;
use std::time::Duration;

use super::{Frame, FrameError};
use crate::PixelRect;

/// How pixels lie in memory, 8 bits a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PixelFormat {
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red, as OpenCV has it.
    Bgr,
    /// One byte of brightness.
    Grey,
    /// What video decoders give: a plane of brightness, then a plane of half the height with blue and
    /// red differences in turn, one pair for two by two pixels (BT.601, 16 to 235).
    Nv12,
}

impl PixelFormat {
    /// Bytes of a pixel in the first plane.
    pub fn bytes_per_pixel(self) -> usize {
        match self {
            Self::Rgb | Self::Bgr => 3,
            Self::Grey | Self::Nv12 => 1,
        }
    }
}

/// An image that is only borrowed: rows from the top, `stride` bytes apart.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FrameView<'a> {
    data: &'a [u8],
    width: usize,
    height: usize,
    stride: usize,
    format: PixelFormat,
    timestamp: Option<Duration>,
}

impl<'a> FrameView<'a> {
    /// Looks at `data` as an image; `stride` is the number of bytes from one row to the next.
    ///
    /// # Errors
    /// A side is zero (or odd, for [`PixelFormat::Nv12`]), rows overlap, or there are fewer bytes
    /// than the rows take.
    pub fn new(
        data: &'a [u8],
        width: usize,
        height: usize,
        stride: usize,
        format: PixelFormat,
    ) -> Result<Self, FrameError> {
        if width == 0 || height == 0 {
            return Err(FrameError::Empty);
        }
        if format == PixelFormat::Nv12 && !(width.is_multiple_of(2) && height.is_multiple_of(2)) {
            return Err(FrameError::OddSize { width, height });
        }
        let row = width.checked_mul(format.bytes_per_pixel());
        let row = row.ok_or(FrameError::TooLarge)?;
        if stride < row {
            return Err(FrameError::Stride { stride, row });
        }
        let rows = match format {
            PixelFormat::Nv12 => height.checked_add(height / 2),
            _ => Some(height),
        };
        // The last row need not be followed by its padding.
        let expected = rows
            .and_then(|rows| (rows - 1).checked_mul(stride))
            .and_then(|bytes| bytes.checked_add(row))
            .ok_or(FrameError::TooLarge)?;
        if data.len() < expected {
            return Err(FrameError::WrongLength {
                expected,
                actual: data.len(),
            });
        }
        Ok(Self {
            data,
            width,
            height,
            stride,
            format,
            timestamp: None,
        })
    }

    /// The same image with its time since the start of the stream.
    #[must_use]
    pub fn at(self, timestamp: Duration) -> Self {
        Self {
            timestamp: Some(timestamp),
            ..self
        }
    }

    /// The pixels of a rectangle where they lie; nothing where it is empty or not inside, or where there
    /// are two planes.
    pub fn crop(&self, rect: PixelRect) -> Option<Self> {
        let inside = |first: usize, count: usize, side: usize| {
            first.checked_add(count).is_some_and(|end| end <= side)
        };
        let fits =
            inside(rect.left, rect.width, self.width) && inside(rect.top, rect.height, self.height);
        if !fits || self.format == PixelFormat::Nv12 {
            return None;
        }
        let start = rect.top * self.stride + rect.left * self.format.bytes_per_pixel();
        let data = self.data.get(start..)?;
        let crop = Self::new(data, rect.width, rect.height, self.stride, self.format).ok()?;
        Some(Self {
            timestamp: self.timestamp,
            ..crop
        })
    }

    /// Pixels in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Bytes from one row to the next.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// How the pixels lie.
    pub fn format(&self) -> PixelFormat {
        self.format
    }

    /// Time since the start of the stream that the image is from.
    pub fn timestamp(&self) -> Option<Duration> {
        self.timestamp
    }

    /// The bytes of row `y` as they are; of the first plane, where there are two.
    ///
    /// # Panics
    /// When `y` is not below [`height`](Self::height).
    pub fn row(&self, y: usize) -> &'a [u8] {
        assert!(y < self.height, "row {y} of {}", self.height);
        self.plane_row(y)
    }

    /// Row `y` as red, green, blue: borrowed where the pixels are so already, else converted into
    /// `buffer`.
    ///
    /// # Panics
    /// When `y` is not below [`height`](Self::height).
    pub fn rgb_row<'b>(&self, y: usize, buffer: &'b mut Vec<u8>) -> &'b [u8]
    where
        'a: 'b,
    {
        let row = self.row(y);
        buffer.clear();
        match self.format {
            PixelFormat::Rgb => return row,
            PixelFormat::Bgr => {
                let pixels = row.as_chunks::<3>().0;
                buffer.extend(pixels.iter().flat_map(|&[b, g, r]| [r, g, b]));
            }
            PixelFormat::Grey => buffer.extend(row.iter().flat_map(|&grey| [grey; 3])),
            PixelFormat::Nv12 => {
                let colours = self.plane_row(self.height + y / 2).as_chunks::<2>().0;
                let pairs = row.as_chunks::<2>().0.iter().zip(colours);
                let pixels = pairs.flat_map(|(pair, &colour)| pair.map(|luma| rgb(luma, colour)));
                buffer.extend(pixels.flatten());
            }
        }
        buffer
    }

    /// The pixels as red, green, blue in one piece, where they lie so already.
    pub fn packed_rgb(&self) -> Option<&'a [u8]> {
        let row = self.width * 3;
        let is_packed = self.format == PixelFormat::Rgb && self.stride == row;
        is_packed.then(|| &self.data[..row * self.height])
    }

    /// A copy of its own, as red, green, blue.
    pub fn to_frame(&self) -> Frame {
        let mut pixels = Vec::with_capacity(self.width * self.height * 3);
        let mut buffer = Vec::new();
        for y in 0..self.height {
            pixels.extend_from_slice(self.rgb_row(y, &mut buffer));
        }
        Frame::new(self.width, self.height, pixels).expect("every row has 3 bytes a pixel")
    }

    /// The bytes of a row of either plane, without padding.
    fn plane_row(&self, row: usize) -> &'a [u8] {
        &self.data[row * self.stride..][..self.width * self.format.bytes_per_pixel()]
    }
}

/// BT.601 with 16 to 235, in 16.16 fixed point.
fn rgb(luma: u8, [blue, red]: [u8; 2]) -> [u8; 3] {
    const ONE: i32 = 1 << 16;
    let luma = (i32::from(luma) - 16).max(0) * 76_309;
    let (blue, red) = (i32::from(blue) - 128, i32::from(red) - 128);
    let byte = |value: i32| ((value + ONE / 2) >> 16).clamp(0, 255) as u8;
    [
        byte(luma + 104_597 * red),
        byte(luma - 25_675 * blue - 53_279 * red),
        byte(luma + 132_201 * blue),
    ]
}

impl<'a> From<&'a Frame> for FrameView<'a> {
    fn from(frame: &'a Frame) -> Self {
        Self {
            data: frame.pixels(),
            width: frame.width(),
            height: frame.height(),
            stride: frame.width() * 3,
            format: PixelFormat::Rgb,
            timestamp: None,
        }
    }
}

impl<'a> From<&'a FrameView<'_>> for FrameView<'a> {
    fn from(view: &'a FrameView<'_>) -> Self {
        *view
    }
}

impl fmt::Debug for FrameView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "FrameView({}x{} {:?})",
            self.width, self.height, self.format
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rgb_of(view: FrameView<'_>) -> Vec<u8> {
        view.to_frame().into_pixels()
    }

    #[test]
    fn every_format_becomes_rgb() {
        let rgb = [1, 2, 3, 4, 5, 6];
        let view = FrameView::new(&rgb, 2, 1, 6, PixelFormat::Rgb).unwrap();
        assert_eq!(rgb_of(view), rgb);
        let view = FrameView::new(&rgb, 2, 1, 6, PixelFormat::Bgr).unwrap();
        assert_eq!(rgb_of(view), [3, 2, 1, 6, 5, 4]);
        let view = FrameView::new(&rgb, 2, 1, 2, PixelFormat::Grey).unwrap();
        assert_eq!(rgb_of(view), [1, 1, 1, 2, 2, 2]);
        // Black, white and a pure red of BT.601, all of one chroma pair.
        let grey = [16, 235, 81, 81, 128, 128];
        let view = FrameView::new(&grey, 2, 2, 2, PixelFormat::Nv12).unwrap();
        assert_eq!(rgb_of(view)[..6], [0, 0, 0, 255, 255, 255]);
        let red = [81, 81, 81, 81, 90, 240];
        let view = FrameView::new(&red, 2, 2, 2, PixelFormat::Nv12).unwrap();
        let [r, g, b] = rgb_of(view)[..3] else {
            panic!()
        };
        assert!(r >= 253 && g <= 1 && b <= 1, "{r} {g} {b}");
    }

    #[test]
    fn a_crop_has_the_pixels_of_its_rectangle() {
        let data: Vec<u8> = (0..20).collect();
        let view = FrameView::new(&data, 4, 4, 5, PixelFormat::Grey).unwrap();
        let rect = |left, top, width, height| PixelRect {
            left,
            top,
            width,
            height,
        };
        let crop = view.crop(rect(2, 1, 2, 3)).unwrap();
        let mut buffer = Vec::new();
        assert_eq!(crop.rgb_row(2, &mut buffer), [17, 17, 17, 18, 18, 18]);
        assert_eq!(view.crop(rect(0, 0, 4, 4)), Some(view));
        for outside in [rect(3, 0, 2, 1), rect(0, 4, 1, 1), rect(1, 1, 0, 1)] {
            assert_eq!(view.crop(outside), None, "{outside:?}");
        }
        assert_eq!(view.crop(rect(usize::MAX, 0, 2, 1)), None);
        let view = FrameView::new(&data, 2, 2, 2, PixelFormat::Nv12).unwrap();
        assert_eq!(view.crop(rect(0, 0, 2, 2)), None);
    }

    #[test]
    fn padding_between_rows_is_skipped() {
        let data = [1, 2, 9, 3, 4];
        let view = FrameView::new(&data, 2, 2, 3, PixelFormat::Grey).unwrap();
        assert_eq!(rgb_of(view), [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]);
        assert_eq!(view.packed_rgb(), None);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let new = |bytes: usize, width, height, stride, format| {
            FrameView::new(&[0; 64][..bytes], width, height, stride, format).err()
        };
        assert_eq!(new(5, 2, 1, 6, PixelFormat::Rgb).map(|_| ()), Some(()));
        assert_eq!(new(0, 0, 1, 6, PixelFormat::Rgb), Some(FrameError::Empty));
        let stride = FrameError::Stride { stride: 5, row: 6 };
        assert_eq!(new(64, 2, 1, 5, PixelFormat::Rgb), Some(stride));
        let odd = FrameError::OddSize {
            width: 3,
            height: 2,
        };
        assert_eq!(new(64, 3, 2, 4, PixelFormat::Nv12), Some(odd));
        let huge = usize::MAX / 2;
        assert_eq!(
            new(64, huge, 2, huge, PixelFormat::Rgb),
            Some(FrameError::TooLarge)
        );
    }

    #[test]
    fn a_frame_is_seen_without_a_copy() {
        let frame = Frame::new(1, 2, vec![1, 2, 3, 4, 5, 6]).unwrap();
        let view = FrameView::from(&frame).at(Duration::from_millis(40));
        let mut buffer = Vec::new();
        assert_eq!(view.rgb_row(1, &mut buffer).as_ptr(), frame.row(1).as_ptr());
        assert_eq!(view.packed_rgb(), Some(frame.pixels()));
        assert_eq!(view.timestamp(), Some(Duration::from_millis(40)));
    }
}
