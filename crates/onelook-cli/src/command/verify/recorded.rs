//! Detections that were written down: a reference file or the lines of `predict --json`.

use std::collections::HashMap;
use std::path::Path;

use onelook::record::instances;
use onelook::types::{BoxXyxy, Instance, Instances};
use serde::Deserialize;

use crate::failure::{Failure, refused};
use crate::output::Recorded;

/// Detections by file name of the image.
pub struct Recording {
    origin: String,
    images: HashMap<String, Instances>,
}

/// A reference file: detections by model and image.
#[derive(Deserialize)]
struct Reference {
    #[serde(default)]
    tool: String,
    models: HashMap<String, ReferenceModel>,
}

#[derive(Deserialize)]
struct ReferenceModel {
    images: HashMap<String, Vec<ReferenceDetection>>,
}

#[derive(Deserialize)]
struct ReferenceDetection {
    class: usize,
    conf: f32,
    xyxy: [f32; 4],
}

impl Recording {
    /// Reads a recording; of a file for several models that of `model`, by its name without ending.
    pub fn read(path: &Path, model: Option<&str>) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path).map_err(refused(path))?;
        let origin = path.display().to_string();
        if let Ok(reference) = serde_json::from_str::<Reference>(&text) {
            return Self::of_reference(reference, origin, model);
        }
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        let recorded: Result<Vec<Recorded>, _> = lines.map(serde_json::from_str).collect();
        let recorded = recorded.map_err(|error| {
            Failure::failed(
                "file",
                format!("'{origin}' is neither a reference nor lines of predict --json: {error}"),
            )
        })?;
        let images = recorded
            .iter()
            .map(|line| (file_name(&line.source), instances(&line.detections)));
        Ok(Self {
            origin,
            images: images.collect(),
        })
    }

    fn of_reference(
        mut reference: Reference,
        origin: String,
        model: Option<&str>,
    ) -> Result<Self, Failure> {
        let wanted = Path::new(model.unwrap_or_default())
            .file_stem()
            .unwrap_or_default();
        let mut known: Vec<&str> = reference.models.keys().map(String::as_str).collect();
        known.sort_unstable();
        let key = known
            .iter()
            .find(|key| wanted == **key)
            .or(known.first().filter(|_| known.len() == 1));
        let Some(key) = key.map(|key| (*key).to_owned()) else {
            let message = format!("'{origin}' has no such model, only {}", known.join(", "));
            return Err(Failure::failed("file", message));
        };
        let images = reference
            .models
            .remove(&key)
            .map_or_else(HashMap::new, |model| model.images);
        let images = images.into_iter().map(|(image, found)| {
            let objects = found.iter().map(|found| {
                let [x1, y1, x2, y2] = found.xyxy;
                Instance::new(BoxXyxy { x1, y1, x2, y2 }, found.class, found.conf)
            });
            (file_name(&image), objects.collect())
        });
        Ok(Self {
            origin: format!("{origin}, {key} by {}", reference.tool),
            images: images.collect(),
        })
    }

    /// The objects recorded for an image of this path.
    pub fn find(&self, image: &str) -> Option<&Instances> {
        self.images.get(&file_name(image))
    }

    /// The recording in words.
    pub fn describe(&self) -> String {
        self.origin.clone()
    }
}

fn file_name(path: &str) -> String {
    let name = Path::new(path).file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}
