//! An image in memory: RGB, 8 bits a channel, rows from the top, no gaps between rows.

mod view;

use std::fmt;

pub use view::{FrameView, PixelFormat};

/// An RGB image: `height` rows of `width` pixels of 3 bytes (red, green, blue).
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

/// Why pixels could not become a [`Frame`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FrameError {
    /// A side is zero.
    Empty,
    /// The pixel buffer has another length than its size asks for.
    WrongLength {
        /// Bytes that the size asks for.
        expected: usize,
        /// Bytes that came.
        actual: usize,
    },
    /// Rows overlap.
    Stride {
        /// Bytes from one row to the next.
        stride: usize,
        /// Bytes of a row.
        row: usize,
    },
    /// A format that has colours for two by two pixels, but not an even number of them.
    OddSize {
        /// Pixels in a row.
        width: usize,
        /// Rows.
        height: usize,
    },
    /// The pixels do not fit the address space.
    TooLarge,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "an image needs at least one pixel"),
            Self::WrongLength { expected, actual } => {
                write!(f, "expected {expected} bytes of pixels, got {actual}")
            }
            Self::Stride { stride, row } => {
                write!(f, "rows of {row} bytes cannot be {stride} bytes apart")
            }
            Self::OddSize { width, height } => {
                write!(
                    f,
                    "an NV12 image must have even sides, not {width}x{height}"
                )
            }
            Self::TooLarge => write!(f, "the image does not fit into memory"),
        }
    }
}

impl std::error::Error for FrameError {}

impl Frame {
    /// Wraps `width * height * 3` bytes of interleaved RGB.
    pub fn new(width: usize, height: usize, pixels: Vec<u8>) -> Result<Self, FrameError> {
        let expected = byte_length(width, height)?;
        if pixels.len() != expected {
            return Err(FrameError::WrongLength {
                expected,
                actual: pixels.len(),
            });
        }
        Ok(Self {
            width,
            height,
            pixels,
        })
    }

    /// An image of one colour.
    pub fn filled(width: usize, height: usize, rgb: [u8; 3]) -> Result<Self, FrameError> {
        let length = byte_length(width, height)?;
        let pixels = rgb.iter().copied().cycle().take(length).collect();
        Ok(Self {
            width,
            height,
            pixels,
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

    /// All pixels, row after row.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// All pixels, row after row, to write on.
    pub fn pixels_mut(&mut self) -> &mut [u8] {
        &mut self.pixels
    }

    /// The bytes of row `y`; `3 * width` of them.
    ///
    /// # Panics
    /// When `y` is not below [`height`](Self::height).
    pub fn row(&self, y: usize) -> &[u8] {
        let stride = self.width * 3;
        &self.pixels[y * stride..][..stride]
    }

    /// Gives the pixel bytes back.
    pub fn into_pixels(self) -> Vec<u8> {
        self.pixels
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame({}x{})", self.width, self.height)
    }
}

fn byte_length(width: usize, height: usize) -> Result<usize, FrameError> {
    if width == 0 || height == 0 {
        return Err(FrameError::Empty);
    }
    width
        .checked_mul(height)
        .and_then(|pixels| pixels.checked_mul(3))
        .ok_or(FrameError::TooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_refuses_pixels_of_another_size() {
        assert_eq!(
            Frame::new(2, 2, vec![0; 11]),
            Err(FrameError::WrongLength {
                expected: 12,
                actual: 11
            })
        );
        assert_eq!(Frame::new(0, 2, vec![]), Err(FrameError::Empty));
        assert_eq!(Frame::new(usize::MAX, 2, vec![]), Err(FrameError::TooLarge));
    }

    #[test]
    fn rows_lie_one_after_the_other() {
        let frame = Frame::new(1, 2, vec![1, 2, 3, 4, 5, 6]).unwrap();
        assert_eq!(frame.row(1), [4, 5, 6]);
    }
}
