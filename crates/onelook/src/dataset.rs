//! Images with what is known to be on them: COCO annotations or a YOLO data set description.
//!
//! An image whose labels make no sense is left out and named with the reason, as the reference does:
//! one odd row never ends a validation, and never counts.

mod coco;
mod yolo;

use std::path::{Path, PathBuf};
use std::str::FromStr;

use onelook_vision::metric::GroundTruth;

use crate::Error;

/// Larger descriptions than this are refused.
const MAX_BYTES: u64 = 2 << 30;

/// How Git LFS files begin that were not replaced by what they stand for.
const LFS_POINTER: &str = "version https://git-lfs.github.com/spec/";

/// Images with what is known to be on them.
#[derive(Debug)]
pub struct Dataset {
    /// By path.
    pub images: Vec<DatasetImage>,
    /// Images that cannot be used because of their labels.
    pub excluded: Vec<ExcludedImage>,
    /// The classes, ascending by id.
    pub categories: Vec<Category>,
    /// Whether a model's class `i` means category `i` whatever the names, as in YOLO data sets.
    pub by_index: bool,
}

/// Which part of a data set, and where its images are.
#[derive(Debug, Clone, Copy, Default)]
pub struct DatasetOptions<'a> {
    /// Directory of the images; for COCO annotations it defaults to `images` beside the file, or
    /// beside it, for YOLO data sets to what the description says.
    pub images: Option<&'a Path>,
    /// Part of a YOLO data set; `val` when absent. COCO annotations have no parts.
    pub split: Option<Split>,
}

/// A part of a YOLO data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Split {
    /// What models are trained on.
    Train,
    /// What models are validated on.
    #[default]
    Val,
    /// What is kept for a last test.
    Test,
}

/// A class of a data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Category {
    /// Its number in the data set; COCO's have gaps.
    pub id: usize,
    /// Its name.
    pub name: String,
}

/// One image.
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

/// An image that cannot be used.
#[derive(Debug)]
pub struct ExcludedImage {
    /// Where it lies.
    pub path: PathBuf,
    /// Which file and line make no sense, and why.
    pub error: Error,
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
    /// Centre, width and height as fractions of the image.
    Fractions([f64; 4]),
}

impl Dataset {
    /// Reads a COCO `instances.json` or a YOLO data set `.yaml`.
    ///
    /// # Errors
    /// The description itself makes no sense. An image whose labels do not is in
    /// [`excluded`](Self::excluded).
    pub fn open(data: &Path, options: &DatasetOptions<'_>) -> Result<Self, Error> {
        let ending = data.extension().unwrap_or_default().to_ascii_lowercase();
        let mut dataset = match (ending.to_str(), options.split) {
            (Some("json"), None) => coco::read(data, options.images)?,
            (Some("json"), Some(_)) => {
                let reason =
                    "COCO annotations have no splits: name the file of the split, without split=";
                return Err(Error::dataset(data, reason));
            }
            (Some("yaml" | "yml"), split) => {
                yolo::read(data, options.images, split.unwrap_or_default())?
            }
            _ => {
                let reason = "expected COCO annotations (.json) or a YOLO data set (.yaml)";
                return Err(Error::dataset(data, reason));
            }
        };
        if dataset.images.is_empty() && dataset.excluded.is_empty() {
            return Err(Error::dataset(data, "it names no images"));
        }
        dataset.images.sort_by(|a, b| a.path.cmp(&b.path));
        dataset.excluded.sort_by(|a, b| a.path.cmp(&b.path));
        dataset.categories.sort_by_key(|category| category.id);
        for category in &mut dataset.categories {
            // Names end up on terminals and in SVG files.
            category.name = category.name.replace(char::is_control, "\u{fffd}");
        }
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

impl Split {
    /// Its key in a data set description.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
            Self::Test => "test",
        }
    }
}

impl FromStr for Split {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "train" => Ok(Self::Train),
            "val" => Ok(Self::Val),
            "test" => Ok(Self::Test),
            _ => Err("expected train, val or test".to_owned()),
        }
    }
}

impl DatasetImage {
    /// What is on the image, which is `width` by `height` pixels.
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
    let text = std::fs::read_to_string(path).map_err(|error| Error::file(path, error))?;
    if text.starts_with(LFS_POINTER) {
        let reason =
            "it is a Git LFS pointer, not the file itself: run `git lfs pull` in its repository";
        return Err(Error::dataset(path, reason));
    }
    Ok(text)
}
