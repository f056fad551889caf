//! The images with boxes and labels drawn on them.

use std::rc::Rc;

use onelook::file_name::stem;
use onelook::media::{encode_jpeg, encode_png};
use onelook::vision::draw::DrawStyle;

use super::predicted::{PredictedImage, Sink};
use super::run_directory::RunDirectory;
use crate::failure::Failure;

/// Good enough that small labels stay sharp.
pub const JPEG_QUALITY: u8 = 95;

/// JPEG counts its sides with 16 bits.
const JPEG_SIDE: usize = 65_535;

pub struct Images<'a> {
    directory: Rc<RunDirectory>,
    names: &'a [String],
    style: DrawStyle,
}

impl<'a> Images<'a> {
    pub fn new(directory: Rc<RunDirectory>, names: &'a [String], style: DrawStyle) -> Self {
        Self {
            directory,
            names,
            style,
        }
    }
}

impl Sink for Images<'_> {
    fn write(&mut self, image: &PredictedImage<'_>) -> Result<(), Failure> {
        if image.video.is_some() {
            return Ok(());
        }
        let frame = image.annotated(self.names, &self.style);
        let lossless = image.source.to_ascii_lowercase().ends_with(".png")
            || frame.width().max(frame.height()) > JPEG_SIDE;
        let (bytes, ending) = match lossless {
            true => (encode_png(&frame), "png"),
            false => (encode_jpeg(&frame, JPEG_QUALITY), "jpg"),
        };
        let bytes = bytes.map_err(onelook::Error::from)?;
        let place = self.directory.path();
        let path = self.directory.file(place, &stem(image.source), ending);
        self.directory.save(&path, &bytes)
    }
}
