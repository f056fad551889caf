//! Videos with boxes and labels drawn on them, as videos (`NAME.mp4`) and frame by frame
//! (`NAME_frames/1.jpg`).

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use onelook::media::encode_jpeg;
use onelook::media::video::{Ffmpeg, VideoWriter, WriterOptions};
use onelook::printable::printable_path;
use onelook::vision::draw::DrawStyle;

use super::images::JPEG_QUALITY;
use super::predicted::{Keep, PredictedImage, Sink, SinkState};
use super::run_directory::{RunDirectory, VIDEO_ENDING};
use crate::console::Console;
use crate::failure::Failure;

/// What of videos is saved.
pub struct VideosPlan<'a> {
    pub directory: Rc<RunDirectory>,
    pub names: &'a [String],
    pub style: DrawStyle,
    pub as_video: bool,
    pub as_frames: bool,
    /// Where the user says that ffmpeg is.
    pub ffmpeg: Option<PathBuf>,
    /// How long a file of a live stream may be.
    pub longest: Option<Duration>,
    pub console: &'a Console,
}

pub struct Videos<'a> {
    plan: VideosPlan<'a>,
    is_resumable: bool,
    /// The videos that are being written, by their sequences.
    open: BTreeMap<usize, VideoWriter>,
    /// Parts of videos that are whole, which an older checkpoint may need.
    older: Vec<PathBuf>,
}

impl<'a> Videos<'a> {
    /// No videos yet, or those that another program began.
    pub fn new(plan: VideosPlan<'a>, keep: Keep) -> Result<Self, Failure> {
        let (is_resumable, states) = match keep {
            Keep::Nothing => (false, BTreeMap::new()),
            Keep::State(state) => (true, state.videos),
        };
        let mut videos = Self {
            plan,
            is_resumable,
            open: BTreeMap::new(),
            older: Vec::new(),
        };
        for (sequence, state) in states {
            let writer = VideoWriter::resume(&videos.ffmpeg()?, state);
            videos.open.insert(sequence, writer);
        }
        Ok(videos)
    }

    fn ffmpeg(&self) -> Result<Ffmpeg, Failure> {
        Ffmpeg::find(self.plan.ffmpeg.as_deref()).map_err(failure)
    }

    /// The writer of the video that this frame is of.
    fn writer(&mut self, image: &PredictedImage<'_>) -> Result<&mut VideoWriter, Failure> {
        let sequence = image.sequence.number;
        let directory = self.plan.directory.clone();
        let stem = directory.video_stem(image.position, image.source);
        let mut path = directory.path().join(format!("{stem}.{VIDEO_ENDING}"));
        let open = self.open.get(&sequence);
        let is_live = image.video.is_some_and(|video| video.is_live);
        let longest = self.plan.longest.filter(|_| is_live);
        let ends_here = open.is_some_and(|writer| {
            let length = image.time.zip(writer.first_time());
            let length = length.map(|(now, first)| now.saturating_sub(first));
            // Or the camera came back with another size.
            writer.size() != image.size()
                || longest.zip(length).is_some_and(|(most, it)| it >= most)
        });
        if ends_here {
            self.end_of(sequence)?;
            path = directory.file(directory.path(), &stem, VIDEO_ENDING);
        }
        if !self.open.contains_key(&sequence) {
            let info = image.video.and_then(|video| video.info.as_ref());
            let audio = info.and_then(|info| info.audio.clone());
            let options = WriterOptions {
                fps: info.and_then(|info| info.fps),
                audio: image.path.map(PathBuf::from).zip(audio),
                in_parts: self.is_resumable,
                ..WriterOptions::default()
            };
            let writer = VideoWriter::create(&self.ffmpeg()?, &path, image.size(), options);
            self.open.insert(sequence, writer.map_err(failure)?);
        }
        let open = self.open.get_mut(&sequence);
        Ok(open.expect("it was opened if it was not open"))
    }

    fn end(&mut self, writer: VideoWriter, complete: bool) -> Result<(), Failure> {
        let path = writer.path().to_owned();
        let finished = writer.finish(complete).map_err(failure)?;
        self.plan.directory.saved(&path);
        if self.is_resumable {
            self.older.extend(finished.parts);
        }
        if let Some(reason) = finished.without_sound {
            let path = printable_path(&path);
            self.plan.console.warn(format!(
                "'{path}' has no sound: it could not be taken over: {reason}"
            ));
        }
        Ok(())
    }
}

impl Sink for Videos<'_> {
    fn write(&mut self, image: &PredictedImage<'_>) -> Result<(), Failure> {
        let Some(video) = image.video else {
            return Ok(());
        };
        let plan = &self.plan;
        let frame = image.annotated(plan.names, &plan.style);
        if plan.as_frames {
            let bytes = encode_jpeg(&frame, JPEG_QUALITY).map_err(onelook::Error::from)?;
            let stem = plan.directory.video_stem(image.position, image.source);
            let place = plan.directory.within(&format!("{stem}_frames"))?;
            let path = place.join(format!("{}.jpg", video.frame));
            plan.directory.save(&path, &bytes)?;
        }
        if plan.as_video {
            let written = self.writer(image)?.write(&frame, image.time);
            if written.is_err() {
                // What it wrote stays; there is nothing to finish.
                self.open.remove(&image.sequence.number);
            }
            written.map_err(failure)?;
        }
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<SinkState, Failure> {
        let mut videos = BTreeMap::new();
        for (&sequence, writer) in &mut self.open {
            let state = writer.end_part().map_err(failure)?;
            videos.insert(sequence, state.clone());
        }
        Ok(SinkState {
            videos,
            ..SinkState::default()
        })
    }

    fn discard_older(&mut self) {
        for part in self.older.drain(..) {
            let _ = fs::remove_file(part);
        }
    }

    fn end_of(&mut self, sequence: usize) -> Result<(), Failure> {
        let open = self.open.remove(&sequence);
        open.map_or(Ok(()), |open| self.end(open, true))
    }

    fn finish(&mut self, complete: bool) -> Result<(), Failure> {
        let open = std::mem::take(&mut self.open).into_values();
        let finished = open.map(|open| self.end(open, complete));
        // All of them, also after one that fails.
        finished.fold(Ok(()), Result::and)
    }
}

fn failure(error: onelook::media::video::VideoError) -> Failure {
    Failure::failed("file", error.to_string())
}
