//! `labels/NAME.txt`, for frames `labels/NAME_FRAME.txt`: a line per object, in the form of [`label`].

use std::path::PathBuf;
use std::rc::Rc;

use onelook::record::label;

use super::predicted::{PredictedImage, Sink};
use super::run_directory::RunDirectory;
use crate::failure::Failure;

pub struct Labels {
    directory: Rc<RunDirectory>,
    place: PathBuf,
    with_confidence: bool,
}

impl Labels {
    pub fn new(directory: Rc<RunDirectory>, with_confidence: bool) -> Result<Self, Failure> {
        let place = directory.within("labels")?;
        Ok(Self {
            directory,
            place,
            with_confidence,
        })
    }
}

impl Sink for Labels {
    fn write(&mut self, image: &PredictedImage<'_>) -> Result<(), Failure> {
        let path = self.directory.file_of(&self.place, image, "txt");
        if image.result.instances().is_empty() {
            return Ok(());
        }
        let mut text = String::new();
        for found in image.result.instances() {
            if let Some(line) = label(&found, image.size(), self.with_confidence) {
                text += &line;
                text.push('\n');
            }
        }
        self.directory.save(&path, text.as_bytes())
    }
}
