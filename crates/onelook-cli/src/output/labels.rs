//! `labels/NAME.txt`: a line per object, `class cx cy w h [confidence]` as fractions of the picture.

use std::path::PathBuf;
use std::rc::Rc;

use super::run_directory::{RunDirectory, stem};
use super::{Seen, Sink};
use crate::failure::{Failure, refused};

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
    fn accept(&mut self, seen: &Seen<'_>) -> Result<(), Failure> {
        let path = self.directory.file(&self.place, &stem(seen.source), "txt");
        if seen.prediction.detections.is_empty() {
            return Ok(());
        }
        let (width, height) = (seen.frame.width() as f32, seen.frame.height() as f32);
        let mut text = String::new();
        for found in &seen.prediction.detections {
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
                text += &format!(" {:.6}", found.confidence);
            }
            text.push('\n');
        }
        std::fs::write(&path, text).map_err(refused(&path))
    }
}
