//! One video of a source: its frames as items of the source, and its failure as one failed item.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::error::SourceError;
use super::frame::{SourceFrame, VideoPosition};
use super::options::SourceOptions;
use super::stream::video_stream;
use crate::video::{Ffmpeg, Next, VideoAddress, VideoFrame, VideoInfo, VideoStream};
use crate::{DecodedImage, StopHandle};

/// How often it is looked whether a live stream was opened again.
const LOOK: Duration = Duration::from_millis(500);

/// A video whose frames come one after the other.
pub(super) struct Clip {
    stream: VideoStream,
    name: String,
    address: VideoAddress,
    index: usize,
    stride: u32,
    info: Option<Arc<VideoInfo>>,
    frames: u64,
    /// Failures that were told.
    told: u64,
    options: SourceOptions,
}

impl Clip {
    pub(super) fn new(
        ffmpeg: Ffmpeg,
        address: VideoAddress,
        index: usize,
        options: &SourceOptions,
    ) -> Self {
        let resume = options.resume.as_ref().filter(|it| it.index == index);
        let resume = resume.and_then(|it| it.frame.clone());
        Self {
            name: address.name(),
            stride: options.video_stride.max(1),
            frames: resume.as_ref().map_or(0, |point| point.frame),
            stream: video_stream(ffmpeg, address.clone(), options, 1, true, resume),
            address,
            index,
            info: None,
            told: 0,
            options: options.clone(),
        }
    }

    /// Where it is, if it is a file.
    pub(super) fn file(&self) -> Option<&Path> {
        match &self.address {
            VideoAddress::File(path) => Some(path),
            VideoAddress::Url(_) | VideoAddress::Camera(_) => None,
        }
    }

    pub(super) fn stop_handle(&self) -> StopHandle {
        self.stream.stop_handle()
    }

    fn item(&mut self, frame: Result<VideoFrame, SourceError>, waited: Duration) -> SourceFrame {
        let frames = self.info.as_ref().and_then(|info| info.frames);
        let timestamp = frame.as_ref().ok().and_then(|frame| frame.time);
        let arrived = frame.as_ref().ok().map(|frame| frame.arrived);
        let image = frame.map(|frame| DecodedImage {
            frame: frame
                .into_frame()
                .expect("its bytes were counted when it was read"),
            warnings: Vec::new(),
        });
        SourceFrame {
            name: self.name.clone(),
            path: self.file().map(Path::to_owned),
            index: self.index,
            video: Some(VideoPosition {
                frame: self.frames,
                frames: frames.map(|frames| frames.div_ceil(u64::from(self.stride))),
                info: self.info.clone(),
                is_live: self.address.is_live(),
                arrived,
            }),
            timestamp,
            decode: waited,
            image,
        }
    }

    /// Tells of failures since the last time.
    fn tell(&mut self) {
        let status = self.stream.status();
        if let (Some(listener), Some(error)) = (&self.options.on_reconnect, &status.last_error)
            && status.failures > self.told
        {
            listener(&self.name, error);
        }
        self.told = self.told.max(status.failures);
    }
}

impl Iterator for Clip {
    type Item = SourceFrame;

    fn next(&mut self) -> Option<SourceFrame> {
        let start = Instant::now();
        loop {
            let look = self.address.is_live().then(|| Instant::now() + LOOK);
            let next = self.stream.next_frame(look);
            if self.address.is_live() && !matches!(next, Next::Failed(_)) {
                self.tell();
            }
            match next {
                Next::Frame(frame) => {
                    if self.info.is_none() {
                        self.info = self.stream.info().map(Arc::new);
                    }
                    self.frames += 1;
                    return Some(self.item(Ok(frame), start.elapsed()));
                }
                Next::Failed(source) => {
                    // It is the item's to tell, and there is no other attempt.
                    self.told = u64::MAX;
                    let name = self.name.clone();
                    let error = SourceError::Video { name, source };
                    return Some(self.item(Err(error), start.elapsed()));
                }
                Next::NotYet => {}
                Next::Ended => return None,
            }
        }
    }
}
