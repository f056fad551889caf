//! `crops/CLASS/NAME.jpg`: what is inside each box.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use onelook::file_name::{safe, stem};
use onelook::media::encode_jpeg;
use onelook::record::class_name;
use onelook::types::{BoxXyxy, Frame};

use super::images::JPEG_QUALITY;
use super::predicted::{PredictedImage, Sink};
use super::run_directory::RunDirectory;
use crate::failure::Failure;

pub struct Crops<'a> {
    directory: Rc<RunDirectory>,
    names: &'a [String],
}

impl<'a> Crops<'a> {
    pub fn new(directory: Rc<RunDirectory>, names: &'a [String]) -> Self {
        Self { directory, names }
    }

    /// Names of images are kept apart by what was used before, which is too much to remember for the
    /// frames of a video: their crops are numbered.
    fn crop_file(&self, place: &Path, image: &PredictedImage<'_>, number: usize) -> PathBuf {
        match image.video {
            None => self.directory.file(place, &stem(image.source), "jpg"),
            Some(_) => {
                let ending = format!("{}.jpg", number + 1);
                self.directory.file_of(place, image, &ending)
            }
        }
    }
}

impl Sink for Crops<'_> {
    fn write(&mut self, image: &PredictedImage<'_>) -> Result<(), Failure> {
        for (number, found) in image.result.instances().into_iter().enumerate() {
            let Some(crop) = crop(image.frame, &found.bbox) else {
                continue;
            };
            let bytes = encode_jpeg(&crop, JPEG_QUALITY).map_err(onelook::Error::from)?;
            let class = safe(&class_name(self.names, found.class));
            let place = self.directory.within(&format!("crops/{class}"))?;
            let path = self.crop_file(&place, image, number);
            self.directory.save(&path, &bytes)?;
        }
        Ok(())
    }
}

/// The pixels of the box, widened to whole pixels; `None` for a box without any.
fn crop(frame: &Frame, bbox: &BoxXyxy) -> Option<Frame> {
    let left = bbox.x1.floor().max(0.0) as usize;
    let top = bbox.y1.floor().max(0.0) as usize;
    let right = (bbox.x2.ceil().max(0.0) as usize).min(frame.width());
    let bottom = (bbox.y2.ceil().max(0.0) as usize).min(frame.height());
    if left >= right || top >= bottom {
        return None;
    }
    let rows = (top..bottom).flat_map(|y| &frame.row(y)[3 * left..3 * right]);
    Frame::new(right - left, bottom - top, rows.copied().collect()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crop_holds_the_pixels_under_its_box() {
        let pixels = (0..4 * 3 * 3).collect();
        let frame = Frame::new(4, 3, pixels).unwrap();
        let bbox = BoxXyxy {
            x1: 1.2,
            y1: 0.9,
            x2: 2.1,
            y2: 99.0,
        };
        let cut = crop(&frame, &bbox).unwrap();
        assert_eq!((cut.width(), cut.height()), (2, 3));
        assert_eq!(cut.row(1), [15, 16, 17, 18, 19, 20]);
        assert_eq!(crop(&frame, &BoxXyxy::default()), None);
    }
}
