//! `labels/NAME.txt`: a line per object, `class cx cy w h [confidence]` as fractions of the image.

use std::path::PathBuf;
use std::rc::Rc;

use super::predicted::{PredictedImage, Sink};
use super::run_directory::{RunDirectory, stem};
use super::whole_file::write_whole;
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
        let path = self.directory.file(&self.place, &stem(image.source), "txt");
        if image.result.instances().is_empty() {
            return Ok(());
        }
        let (width, height) = (image.frame.width() as f32, image.frame.height() as f32);
        let mut text = String::new();
        for found in image.result.instances() {
            let bbox = &found.bbox;
            text += &format!(
                "{} {:.6} {:.6} {:.6} {:.6}",
                found.class,
                (bbox.x1 + bbox.x2) / 2.0 / width,
                (bbox.y1 + bbox.y2) / 2.0 / height,
                bbox.width() / width,
                bbox.height() / height,
            );
            if self.with_confidence {
                text += &format!(" {:.6}", found.score);
            }
            text.push('\n');
        }
        write_whole(&path, text.as_bytes())
    }
}
