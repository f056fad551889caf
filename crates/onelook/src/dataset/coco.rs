//! COCO annotations: `instances.json`.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Category, Dataset, DatasetImage, ExcludedImage, Label, Place, read_text};
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
    width: Option<usize>,
    height: Option<usize>,
}

/// One annotation; a field of the wrong kind costs its image, never the run.
#[derive(Deserialize)]
struct Annotation {
    #[serde(default)]
    id: Lenient<u64>,
    #[serde(default)]
    image_id: Lenient<f64>,
    #[serde(default)]
    category_id: Lenient<f64>,
    #[serde(default)]
    bbox: Lenient<[f64; 4]>,
    #[serde(default)]
    area: Lenient<f64>,
    #[serde(default)]
    iscrowd: Lenient<u8>,
}

/// A value of the kind that is expected, or anything else.
#[derive(Deserialize)]
#[serde(untagged)]
enum Lenient<T> {
    Expected(T),
    Other(IgnoredAny),
}

#[derive(Deserialize)]
struct CocoCategory {
    id: usize,
    name: String,
}

pub(super) fn read(data: &Path, images: Option<&Path>) -> Result<Dataset, Error> {
    let instances: Instances = serde_json::from_str(&read_text(data)?)
        .map_err(|error| Error::dataset(data, format!("it is no COCO annotations: {error}")))?;
    let categories: HashSet<usize> = instances.categories.iter().map(|one| one.id).collect();
    let mut labels: HashMap<u64, Result<Vec<Label>, String>> = HashMap::new();
    let mut excluded = Vec::new();
    for annotation in &instances.annotations {
        let Some(image) = whole(annotation.image_id.get()) else {
            let reason = annotation.refuse("image_id is not the number of an image");
            let error = Error::dataset(data, format!("{reason}; it is left out"));
            let path = data.to_owned();
            excluded.push(ExcludedImage { path, error });
            continue;
        };
        let of_image = labels.entry(image).or_insert_with(|| Ok(Vec::new()));
        match (annotation.label(&categories), of_image) {
            (Ok(label), Ok(labels)) => labels.push(label),
            (Err(reason), labels @ Ok(_)) => *labels = Err(reason),
            (_, Err(_)) => {}
        }
    }
    let directory = directory(data, images, &instances.images);
    let mut dataset = Dataset {
        images: Vec::with_capacity(instances.images.len()),
        excluded,
        categories: Vec::new(),
        by_index: false,
    };
    for image in instances.images {
        let path = directory.join(&image.file_name);
        match labels.remove(&image.id).unwrap_or_else(|| Ok(Vec::new())) {
            Ok(labels) => dataset.images.push(DatasetImage {
                id: image.id,
                path,
                size: image
                    .width
                    .zip(image.height)
                    .map(|(width, height)| [width, height]),
                labels,
            }),
            Err(reason) => {
                let error = Error::dataset(data, format!("{reason}; its image is left out"));
                dataset.excluded.push(ExcludedImage { path, error });
            }
        }
    }
    dataset.categories = instances
        .categories
        .into_iter()
        .map(|CocoCategory { id, name }| Category { id, name })
        .collect();
    Ok(dataset)
}

impl Annotation {
    /// The object, or what makes no sense.
    fn label(&self, categories: &HashSet<usize>) -> Result<Label, String> {
        let category = whole(self.category_id.get()).and_then(|id| usize::try_from(id).ok());
        let Some(category) = category.filter(|id| categories.contains(id)) else {
            let id = self.category_id.get();
            let id = id.map_or_else(String::new, |id| format!(" {id}"));
            return Err(self.refuse(&format!("category_id{id} is not one of the categories")));
        };
        let bbox = self.bbox.get();
        let bbox = bbox.filter(|[_, _, width, height]| *width >= 0.0 && *height >= 0.0);
        let Some(bbox @ [_, _, width, height]) = bbox else {
            return Err(self.refuse("bbox must be left, top, width and height in pixels"));
        };
        Ok(Label {
            category,
            place: Place::Pixels(bbox, self.area.get().unwrap_or(width * height)),
            crowd: self.iscrowd.get().is_some_and(|crowd| crowd != 0),
        })
    }

    fn refuse(&self, reason: &str) -> String {
        match self.id.get() {
            Some(id) => format!("annotation {id}: {reason}"),
            None => format!("an annotation without id: {reason}"),
        }
    }
}

/// A number that counts something; some tools write them with a point.
fn whole(value: Option<f64>) -> Option<u64> {
    let value = value?;
    (value >= 0.0 && value.fract() == 0.0 && value < 2f64.powi(53)).then_some(value as u64)
}

impl<T: Copy> Lenient<T> {
    fn get(&self) -> Option<T> {
        match self {
            Self::Expected(value) => Some(*value),
            Self::Other(_) => None,
        }
    }
}

impl<T> Default for Lenient<T> {
    fn default() -> Self {
        Self::Other(IgnoredAny)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_odd_annotation_costs_its_image_and_nothing_else() {
        let annotations = [
            r#"{"id": 1, "image_id": 1, "category_id": 3, "bbox": [1, 2, 3, 4], "area": 12}"#,
            r#"{"id": 2, "image_id": 2, "category_id": 99, "bbox": [1, 2, 3, 4]}"#,
            r#"{"id": 3, "image_id": 3, "category_id": 3, "bbox": [1, 2, 3]}"#,
            r#"{"id": 4, "image_id": 4, "category_id": 3, "bbox": [1, 2, -3, 4]}"#,
            r#"{"id": 5, "image_id": 5, "category_id": "cat", "bbox": [1, 2, 3, 4]}"#,
            r#"{"id": 6, "image_id": 6, "category_id": 3.0, "bbox": [1, 2, 3, 4], "iscrowd": 1}"#,
            r#"{"id": 7, "image_id": 7, "category_id": 3}"#,
            r#"{"image_id": 8, "category_id": -3, "bbox": ["a", 2, 3, 4]}"#,
            r#"{"id": 9, "image_id": 77, "category_id": 99}"#,
            r#"{"id": 10, "image_id": "x", "category_id": 3, "bbox": [1, 2, 3, 4]}"#,
        ];
        let images: Vec<String> = (1..=8)
            .map(|id| format!(r#"{{"id": {id}, "file_name": "{id}.jpg"}}"#))
            .collect();
        let path = std::env::temp_dir().join(format!("onelook-coco-{}.json", std::process::id()));
        let text = format!(
            r#"{{"images": [{}], "annotations": [{}], "categories": [{{"id": 3, "name": "cat"}}]}}"#,
            images.join(", "),
            annotations.join(", ")
        );
        std::fs::write(&path, text).unwrap();
        let dataset = read(&path, None).unwrap();
        let ids: Vec<u64> = dataset.images.iter().map(|image| image.id).collect();
        assert_eq!(ids, [1, 6]);
        assert!(dataset.images[1].labels[0].crowd);
        assert_eq!(dataset.excluded.len(), 7);
        let said = dataset.excluded[1].error.to_string();
        assert!(said.contains("annotation 2: category_id 99"), "{said}");
        std::fs::remove_file(&path).unwrap();
    }
}
