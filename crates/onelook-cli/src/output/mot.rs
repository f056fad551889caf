//! Tracks in the format of the MOTChallenge: those of one sequence to a file of the user's, or those of
//! each to `NAME.txt` in the run's directory.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

use onelook::mot::write_track;

use super::predicted::{Keep, PredictedImage, Sink, SinkState};
use super::run_directory::RunDirectory;
use super::whole_file::LineFile;
use crate::failure::Failure;

/// Where the tracks go.
pub enum MotPlace {
    /// To this file.
    File(PathBuf),
    /// To a file for each video in the run's directory; those of images to `images.txt`.
    Directory(Rc<RunDirectory>),
}

pub struct MotFiles {
    place: MotPlace,
    is_resumable: bool,
    open: BTreeMap<usize, LineFile>,
}

impl MotFiles {
    pub fn new(place: MotPlace, keep: Keep) -> Result<Self, Failure> {
        let (is_resumable, files) = match keep {
            Keep::Nothing => (false, BTreeMap::new()),
            Keep::State(state) => (true, state.files),
        };
        let resume = |(sequence, state)| LineFile::resume(state).map(|file| (sequence, file));
        Ok(Self {
            place,
            is_resumable,
            open: files.into_iter().map(resume).collect::<Result<_, _>>()?,
        })
    }

    fn path(&self, image: &PredictedImage<'_>) -> PathBuf {
        match (&self.place, image.video) {
            (MotPlace::File(path), _) => path.clone(),
            (MotPlace::Directory(directory), None) => {
                directory.file(directory.path(), "images", "txt")
            }
            (MotPlace::Directory(directory), Some(_)) => {
                let stem = directory.video_stem(image.position, image.source);
                directory.path().join(format!("{stem}.txt"))
            }
        }
    }
}

impl Sink for MotFiles {
    fn write(&mut self, image: &PredictedImage<'_>) -> Result<(), Failure> {
        let sequence = image.sequence;
        if !self.open.contains_key(&sequence.number) {
            let file = match self.is_resumable {
                true => LineFile::create_resumable(self.path(image))?,
                false => LineFile::create(self.path(image))?,
            };
            self.open.insert(sequence.number, file);
        }
        let mut lines = String::new();
        let objects = image.result.instances().iter();
        for object in objects.filter(|object| object.track_id.is_some()) {
            write_track(&mut lines, sequence.frame, &object);
        }
        let file = self.open.get_mut(&sequence.number);
        file.map_or(Ok(()), |file| file.append(&lines))
    }

    fn checkpoint(&mut self) -> Result<SinkState, Failure> {
        let open = self.open.iter_mut();
        let files = open.map(|(&sequence, file)| file.sync().map(|state| (sequence, state)));
        Ok(SinkState {
            files: files.collect::<Result<_, _>>()?,
            ..SinkState::default()
        })
    }

    fn end_of(&mut self, sequence: usize) -> Result<(), Failure> {
        let file = self.open.remove(&sequence);
        file.map_or(Ok(()), |mut file| file.finish())
    }

    fn finish(&mut self, _complete: bool) -> Result<(), Failure> {
        let files = std::mem::take(&mut self.open).into_values();
        let finished = files.map(|mut file| file.finish());
        // All of them, also after one that fails.
        finished.fold(Ok(()), Result::and)
    }
}
