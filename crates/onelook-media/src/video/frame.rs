//! A frame of a video with its time.

use std::time::{Duration, Instant};

use onelook_types::{Frame, FrameError, FrameView, PixelFormat};

/// A frame of a video, in a buffer of its own.
#[derive(Clone, PartialEq, Eq)]
pub struct VideoFrame {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// How the pixels lie: [`PixelFormat::Rgb`] or [`PixelFormat::Nv12`], rows without gaps.
    pub format: PixelFormat,
    /// The pixels.
    pub pixels: Vec<u8>,
    /// Position among the frames that were decoded, from 0.
    pub number: u64,
    /// Time since the start of the file, or since the first frame of a live stream; `None` where the file
    /// does not say, after its clock went backwards.
    pub time: Option<Duration>,
    /// When its last byte came.
    pub arrived: Instant,
}

impl VideoFrame {
    /// Looks at it without a copy.
    ///
    /// # Errors
    /// The buffer is not as long as the size asks for, which frames of a stream always are.
    pub fn view(&self) -> Result<FrameView<'_>, FrameError> {
        let stride = self.width * self.format.bytes_per_pixel();
        let view = FrameView::new(&self.pixels, self.width, self.height, stride, self.format)?;
        Ok(self.time.map_or(view, |time| view.at(time)))
    }

    /// The pixels as RGB, without a copy where they are so already.
    ///
    /// # Errors
    /// As [`view`](Self::view).
    pub fn into_frame(self) -> Result<Frame, FrameError> {
        match self.format {
            PixelFormat::Rgb => Frame::new(self.width, self.height, self.pixels),
            _ => Ok(self.view()?.to_frame()),
        }
    }
}

impl std::fmt::Debug for VideoFrame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "VideoFrame({}x{} {:?}, number {} at {:?})",
            self.width, self.height, self.format, self.number, self.time
        )
    }
}
