//! Videos with boxes and labels drawn on them, as videos (`NAME.mp4`) and frame by frame
//! (`NAME_frames/1.jpg`).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

use onelook::media::encode_jpeg;
use onelook::media::video::{Ffmpeg, VideoWriter, WriterOptions};
use onelook::printable::printable_path;
use onelook::vision::draw::DrawStyle;

use super::images::JPEG_QUALITY;
use super::predicted::{PredictedImage, Sink};
use super::run_directory::{RunDirectory, VIDEO_ENDING};
use super::whole_file::write_whole;
use crate::console::Console;
use crate::failure::Failure;

/// What of videos is saved.
pub struct Videos<'a> {
    pub directory: Rc<RunDirectory>,
    pub names: &'a [String],
    pub style: DrawStyle,
    pub as_video: bool,
    pub as_frames: bool,
    /// Where the user says that ffmpeg is.
    pub ffmpeg: Option<PathBuf>,
    /// The videos that are being written, by their sequences, and their names.
    pub open: BTreeMap<usize, (PathBuf, VideoWriter)>,
    pub console: &'a Console,
}

impl Videos<'_> {
    /// The writer of the video that this frame is of.
    fn writer(&mut self, image: &PredictedImage<'_>) -> Result<&mut VideoWriter, Failure> {
        let sequence = image.sequence.number;
        let stem = self.directory.video_stem(image.position, image.source);
        let mut path = self.directory.path().join(format!("{stem}.{VIDEO_ENDING}"));
        let open = self.open.get(&sequence);
        if open.is_some_and(|(_, writer)| writer.size() != image.size()) {
            // The camera came back with another size.
            self.end_of(sequence)?;
            path = self
                .directory
                .file(self.directory.path(), &stem, VIDEO_ENDING);
        }
        if !self.open.contains_key(&sequence) {
            let info = image.video.and_then(|video| video.info.as_ref());
            let audio = info.and_then(|info| info.audio.clone());
            let options = WriterOptions {
                fps: info.and_then(|info| info.fps),
                audio: image.path.map(PathBuf::from).zip(audio),
            };
            let ffmpeg = Ffmpeg::find(self.ffmpeg.as_deref()).map_err(failure)?;
            let writer = VideoWriter::create(&ffmpeg, &path, image.size(), options);
            self.open.insert(sequence, (path, writer.map_err(failure)?));
        }
        let open = self.open.get_mut(&sequence);
        let (_, writer) = open.expect("it was opened if it was not open");
        Ok(writer)
    }

    fn end(&self, (path, writer): (PathBuf, VideoWriter), complete: bool) -> Result<(), Failure> {
        if let Some(reason) = writer.finish(complete).map_err(failure)? {
            let path = printable_path(&path);
            self.console.warn(format!(
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
        let frame = image.annotated(self.names, &self.style);
        if self.as_frames {
            let bytes = encode_jpeg(&frame, JPEG_QUALITY).map_err(onelook::Error::from)?;
            let stem = self.directory.video_stem(image.position, image.source);
            let place = self.directory.within(&format!("{stem}_frames"))?;
            write_whole(&place.join(format!("{}.jpg", video.frame)), &bytes)?;
        }
        if self.as_video {
            let written = self.writer(image)?.write(&frame, image.time);
            if written.is_err() {
                // What it wrote stays; there is nothing to finish.
                self.open.remove(&image.sequence.number);
            }
            written.map_err(failure)?;
        }
        Ok(())
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
