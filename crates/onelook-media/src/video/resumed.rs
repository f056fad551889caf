//! A video file from behind a frame that was read before.
//!
//! It is opened shortly before that frame, which is known by its time and its pixels again; where that does not
//! succeed (times that repeat, a file that cannot be searched) all frames are decoded and counted.

use std::time::Duration;

use super::address::VideoAddress;
use super::decoder::{DecodeOptions, Decoder, FfmpegDecoder};
use super::error::VideoError;
use super::ffmpeg::Ffmpeg;
use super::frame::VideoFrame;
use super::probe::VideoInfo;
use super::resume_point::ResumePoint;
use crate::stop::StopHandle;

/// Searching begins so long before the frame: those just behind a key frame may refer to some before it.
const LEAD: Duration = Duration::from_secs(3);

/// The frames behind one that was read before.
pub(super) struct ResumedDecoder {
    decoder: FfmpegDecoder,
    stride: u64,
    /// Frames since the last that was taken.
    skipped: u64,
}

impl ResumedDecoder {
    pub(super) fn open(
        ffmpeg: &Ffmpeg,
        address: &VideoAddress,
        options: &DecodeOptions,
        point: &ResumePoint,
        stop: &StopHandle,
    ) -> Result<Self, VideoError> {
        let stride = u64::from(options.stride.max(1));
        let options = DecodeOptions {
            // Frames are counted from the one that was read before, not from where the file is opened.
            stride: 1,
            // As the first frame was, whatever the size of those behind.
            size: Some(point.size),
            resume: None,
            ..options.clone()
        };
        let open = |start| FfmpegDecoder::open(ffmpeg, address, &options, start, stop);
        let start = point.time.and_then(|time| time.checked_sub(LEAD));
        if let (Some(start), Some(time)) = (start, point.time) {
            let mut decoder = open(Some(start))?;
            if find(&mut decoder, time, point)? {
                decoder.found((point.frame - 1) * stride + 1);
                return Ok(Self::behind(decoder, stride));
            }
        }
        let mut decoder = open(None)?;
        let before = (point.frame - 1) * stride;
        let mut last = None;
        for _ in 0..=before {
            let buffer = last
                .take()
                .map_or(Vec::new(), |frame: VideoFrame| frame.pixels);
            last = decoder.next_frame(buffer)?;
            if last.is_none() {
                break;
            }
        }
        match last {
            Some(frame) if point.is_of(&frame.pixels) => Ok(Self::behind(decoder, stride)),
            _ => Err(VideoError::Changed { frame: point.frame }),
        }
    }

    fn behind(decoder: FfmpegDecoder, stride: u64) -> Self {
        Self {
            decoder,
            stride,
            skipped: 0,
        }
    }
}

impl Decoder for ResumedDecoder {
    fn next_frame(&mut self, mut buffer: Vec<u8>) -> Result<Option<VideoFrame>, VideoError> {
        loop {
            let Some(frame) = self.decoder.next_frame(buffer)? else {
                return Ok(None);
            };
            self.skipped += 1;
            if self.skipped == self.stride {
                self.skipped = 0;
                return Ok(Some(frame));
            }
            buffer = frame.pixels;
        }
    }

    fn info(&self) -> Option<&VideoInfo> {
        self.decoder.info()
    }
}

/// Whether there is a frame of this time with these pixels; the next one is then the one behind it.
fn find(
    decoder: &mut FfmpegDecoder,
    time: Duration,
    point: &ResumePoint,
) -> Result<bool, VideoError> {
    let mut buffer = Vec::new();
    loop {
        let frame = match decoder.next_frame(buffer) {
            Ok(Some(frame)) => frame,
            Ok(None) => return Ok(false),
            Err(VideoError::Stopped) => return Err(VideoError::Stopped),
            // Decoding from the start may still succeed.
            Err(_) => return Ok(false),
        };
        match frame.time {
            Some(at) if at < time => buffer = frame.pixels,
            Some(at) => return Ok(at == time && point.is_of(&frame.pixels)),
            None => return Ok(false),
        }
    }
}
