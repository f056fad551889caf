//! COCO annotations: `instances.json`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Category, Dataset, DatasetImage, Label, Place, read_text};
use crate::Error;

#[derive(Deserialize)]
struct Instances {
    images: Vec<Image>,
    annotations: Vec<Annotation>,
    categories: Vec<CocoCategory>,
}

#[derive(Deserialize)]
struct Image {
    id: u64,
    file_name: String,
    width: usize,
    height: usize,
}

#[derive(Deserialize)]
struct Annotation {
    image_id: u64,
    category_id: usize,
    bbox: [f64; 4],
    area: Option<f64>,
    #[serde(default)]
    iscrowd: u8,
}

#[derive(Deserialize)]
struct CocoCategory {
    id: usize,
    name: String,
}

pub(super) fn read(data: &Path, images: Option<&Path>) -> Result<Dataset, Error> {
    let instances: Instances = serde_json::from_str(&read_text(data)?)
        .map_err(|error| Error::dataset(data, format!("it is no COCO annotations: {error}")))?;
    let mut labels: HashMap<u64, Vec<Label>> = HashMap::new();
    for annotation in &instances.annotations {
        let [_, _, width, height] = annotation.bbox;
        let area = annotation.area.unwrap_or(width * height);
        labels.entry(annotation.image_id).or_default().push(Label {
            category: annotation.category_id,
            place: Place::Pixels(annotation.bbox, area),
            crowd: annotation.iscrowd != 0,
        });
    }
    let directory = directory(data, images, &instances.images);
    let images = instances.images.into_iter().map(|image| DatasetImage {
        id: image.id,
        path: directory.join(&image.file_name),
        size: Some([image.width, image.height]),
        labels: labels.remove(&image.id).unwrap_or_default(),
    });
    let categories = instances.categories.into_iter().map(|category| Category {
        id: category.id,
        name: category.name,
    });
    Ok(Dataset {
        images: images.collect(),
        categories: categories.collect(),
        by_index: false,
    })
}

fn directory(data: &Path, images: Option<&Path>, listed: &[Image]) -> PathBuf {
    if let Some(images) = images {
        return images.to_owned();
    }
    let home = data.parent().unwrap_or(Path::new("")).to_owned();
    let beside = home.join("images");
    let is_there = |directory: &Path| {
        let first = listed.first();
        first.is_some_and(|image| directory.join(&image.file_name).is_file())
    };
    if is_there(&beside) { beside } else { home }
}
