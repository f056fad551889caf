//! Pictures with what is known to be on them: COCO annotations or a YOLO data set description.

mod coco;
mod yolo;

use std::path::{Path, PathBuf};

use onelook_vision::metric::GroundTruth;

use crate::Error;

/// Larger descriptions than this are refused.
const MAX_BYTES: u64 = 2 << 30;

/// Pictures with what is known to be on them.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// By file name.
    pub images: Vec<DatasetImage>,
    /// The classes, ascending by id.
    pub categories: Vec<Category>,
    /// Whether a model's class `i` means category `i` whatever the names, as in YOLO data sets.
    pub by_index: bool,
}

/// A class of a data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Category {
    /// Its number in the data set; COCO's have gaps.
    pub id: usize,
    /// Its name.
    pub name: String,
}

/// One picture.
#[derive(Debug, Clone, PartialEq)]
pub struct DatasetImage {
    /// Its number in the data set.
    pub id: u64,
    /// Where it lies.
    pub path: PathBuf,
    /// Width and height in pixels where the description tells.
    pub size: Option<[usize; 2]>,
    /// What is on it.
    pub labels: Vec<Label>,
}

/// One known object.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Label {
    /// Number of its category.
    pub category: usize,
    /// Where it is.
    pub place: Place,
    /// Whether it is a crowd.
    pub crowd: bool,
}

/// Where an object is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Place {
    /// Left, top, width, height and the object's own area, in pixels.
    Pixels([f64; 4], f64),
    /// Centre, width and height as fractions of the picture.
    Fractions([f64; 4]),
}

impl Dataset {
    /// Reads a COCO `instances.json` or a YOLO data set `.yaml`. `images` is the directory of the
    /// pictures; for COCO annotations it defaults to `images` beside the file, or beside it.
    pub fn open(data: &Path, images: Option<&Path>) -> Result<Self, Error> {
        let ending = data.extension().unwrap_or_default().to_ascii_lowercase();
        let mut dataset = match ending.to_str() {
            Some("json") => coco::read(data, images)?,
            Some("yaml" | "yml") => yolo::read(data, images)?,
            _ => {
                let reason = "expected COCO annotations (.json) or a YOLO data set (.yaml)";
                return Err(Error::dataset(data, reason));
            }
        };
        if dataset.images.is_empty() {
            return Err(Error::dataset(data, "it names no pictures"));
        }
        dataset.images.sort_by(|a, b| a.path.cmp(&b.path));
        dataset.categories.sort_by_key(|category| category.id);
        Ok(dataset)
    }

    /// The category of each class of a model; `None` where the data set knows no such class.
    pub fn categories_of(&self, names: &[String]) -> Vec<Option<usize>> {
        let find = |(index, name): (usize, &String)| match self.by_index {
            true => self.categories.iter().find(|category| category.id == index),
            false => self
                .categories
                .iter()
                .find(|category| category.name == *name),
        };
        let found = names.iter().enumerate().map(find);
        found
            .map(|category| category.map(|category| category.id))
            .collect()
    }

    /// The name of a category.
    pub fn name(&self, id: usize) -> &str {
        self.categories
            .iter()
            .find(|category| category.id == id)
            .map_or("?", |category| &category.name)
    }
}

impl DatasetImage {
    /// What is on the picture, which is `width` by `height` pixels.
    pub fn truths(&self, width: usize, height: usize) -> impl Iterator<Item = GroundTruth> {
        let (width, height) = (width as f64, height as f64);
        self.labels.iter().map(move |label| {
            let (bbox, area) = match label.place {
                Place::Pixels(bbox, area) => (bbox, area),
                Place::Fractions([x, y, w, h]) => {
                    let bbox = [
                        (x - w / 2.0) * width,
                        (y - h / 2.0) * height,
                        w * width,
                        h * height,
                    ];
                    (bbox, bbox[2] * bbox[3])
                }
            };
            GroundTruth {
                image: self.id,
                category: label.category,
                bbox,
                area,
                crowd: label.crowd,
            }
        })
    }
}

fn read_text(path: &Path) -> Result<String, Error> {
    let size = std::fs::metadata(path)
        .map_err(|error| Error::file(path, error))?
        .len();
    if size > MAX_BYTES {
        return Err(Error::dataset(
            path,
            format!("it has more than {MAX_BYTES} bytes"),
        ));
    }
    std::fs::read_to_string(path).map_err(|error| Error::file(path, error))
}
