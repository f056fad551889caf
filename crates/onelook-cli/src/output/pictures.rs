//! The pictures with boxes and labels drawn on them.

use std::rc::Rc;

use onelook::media::{encode_jpeg, encode_png};
use onelook::vision::draw::{DrawStyle, draw};

use super::run_directory::{RunDirectory, stem};
use super::{Seen, Sink};
use crate::failure::{Failure, refused};

/// Good enough that small labels stay sharp.
pub const JPEG_QUALITY: u8 = 95;

/// JPEG counts its sides with 16 bits.
const JPEG_SIDE: usize = 65_535;

pub struct Pictures<'a> {
    directory: Rc<RunDirectory>,
    names: &'a [String],
    style: DrawStyle,
}

impl<'a> Pictures<'a> {
    pub fn new(directory: Rc<RunDirectory>, names: &'a [String], style: DrawStyle) -> Self {
        Self {
            directory,
            names,
            style,
        }
    }
}

impl Sink for Pictures<'_> {
    fn accept(&mut self, seen: &Seen<'_>) -> Result<(), Failure> {
        let mut frame = seen.frame.clone();
        draw(
            &mut frame,
            &seen.prediction.detections,
            self.names,
            &self.style,
        );
        let lossless = seen.source.to_ascii_lowercase().ends_with(".png")
            || frame.width().max(frame.height()) > JPEG_SIDE;
        let (bytes, ending) = match lossless {
            true => (encode_png(&frame), "png"),
            false => (encode_jpeg(&frame, JPEG_QUALITY), "jpg"),
        };
        let bytes = bytes.map_err(onelook::Error::from)?;
        let place = self.directory.path();
        let path = self.directory.file(place, &stem(seen.source), ending);
        std::fs::write(&path, bytes).map_err(refused(&path))
    }
}
