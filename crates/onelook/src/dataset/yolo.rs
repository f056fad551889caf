//! A YOLO data set: a `.yaml` that names directories or lists of pictures, and label files beside
//! them (`images/a.jpg` has `labels/a.txt`).

use std::path::{Path, PathBuf};

use onelook_media::IMAGE_EXTENSIONS;
use yaml_rust2::{Yaml, YamlLoader};

use super::{Category, Dataset, DatasetImage, Label, Place, read_text};
use crate::Error;

pub(super) fn read(data: &Path, images: Option<&Path>) -> Result<Dataset, Error> {
    let refuse = |reason: String| Error::dataset(data, reason);
    let documents = YamlLoader::load_from_str(&read_text(data)?)
        .map_err(|error| refuse(format!("it is no YAML: {error}")))?;
    let document = documents
        .first()
        .ok_or_else(|| refuse("it is empty".to_owned()))?;
    let mut pictures = Vec::new();
    for place in places(data, document, images)? {
        pictures.extend(list(&place).map_err(|error| Error::file(&place, error))?);
    }
    pictures.sort();
    pictures.dedup();
    let images = pictures.into_iter().enumerate().map(|(index, path)| {
        let labels = labels(&label_file(&path))?;
        Ok(DatasetImage {
            id: index as u64 + 1,
            path,
            size: None,
            labels,
        })
    });
    Ok(Dataset {
        images: images.collect::<Result<_, Error>>()?,
        categories: names(&document["names"]).ok_or_else(|| {
            refuse("'names' must list the classes, or map their numbers to names".to_owned())
        })?,
        by_index: true,
    })
}

/// The directories, lists or pictures of the validation split.
fn places(data: &Path, document: &Yaml, images: Option<&Path>) -> Result<Vec<PathBuf>, Error> {
    if let Some(images) = images {
        return Ok(vec![images.to_owned()]);
    }
    let home = data.parent().unwrap_or(Path::new(""));
    let root = document["path"]
        .as_str()
        .map_or_else(|| home.to_owned(), |path| home.join(path));
    let split = ["val", "test", "train"].map(|key| &document[key]);
    let words: Vec<&str> = split
        .iter()
        .map(|value| match value {
            Yaml::Array(list) => list.iter().filter_map(Yaml::as_str).collect(),
            value => value.as_str().into_iter().collect::<Vec<_>>(),
        })
        .find(|words| !words.is_empty())
        .ok_or_else(|| Error::dataset(data, "it names no 'val' pictures"))?;
    Ok(words.into_iter().map(|word| root.join(word)).collect())
}

fn names(value: &Yaml) -> Option<Vec<Category>> {
    let category = |id: usize, name: &Yaml| {
        let name = match name {
            Yaml::Integer(number) => number.to_string(),
            name => name.as_str()?.to_owned(),
        };
        Some(Category { id, name })
    };
    match value {
        Yaml::Array(list) => list
            .iter()
            .enumerate()
            .map(|(id, name)| category(id, name))
            .collect(),
        Yaml::Hash(map) => map
            .iter()
            .map(|(id, name)| category(usize::try_from(id.as_i64()?).ok()?, name))
            .collect(),
        _ => None,
    }
}

/// The pictures of a directory and those within, of a list, or the picture itself.
fn list(place: &Path) -> std::io::Result<Vec<PathBuf>> {
    if place.is_dir() {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(place)? {
            let path = entry?.path();
            if path.is_dir() || is_picture(&path) {
                found.extend(list(&path)?);
            }
        }
        return Ok(found);
    }
    if place.extension().is_some_and(|ending| ending == "txt") {
        let home = place.parent().unwrap_or(Path::new(""));
        let text = std::fs::read_to_string(place)?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        return Ok(lines.map(|line| home.join(line)).collect());
    }
    std::fs::metadata(place)?;
    Ok(vec![place.to_owned()])
}

fn is_picture(path: &Path) -> bool {
    let ending = path
        .extension()
        .unwrap_or_default()
        .to_string_lossy()
        .to_ascii_lowercase();
    IMAGE_EXTENSIONS.contains(&ending.as_str())
}

/// `…/images/…/a.jpg` has `…/labels/…/a.txt`; the last `images` counts.
fn label_file(picture: &Path) -> PathBuf {
    let mut parts: Vec<_> = picture.iter().map(ToOwned::to_owned).collect();
    if let Some(part) = parts
        .iter_mut()
        .rev()
        .skip(1)
        .find(|part| *part == "images")
    {
        *part = "labels".into();
    }
    parts.iter().collect::<PathBuf>().with_extension("txt")
}

/// A picture without a label file is a picture without objects.
fn labels(path: &Path) -> Result<Vec<Label>, Error> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = read_text(path)?;
    let lines = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(index, line)| {
            label(line).ok_or_else(|| {
                let reason = format!(
                    "line {} is no label: expected class, centre x, centre y, width, height as fractions",
                    index + 1
                );
                Error::dataset(path, reason)
            })
        })
        .collect()
}

/// `class cx cy w h`, or `class x1 y1 x2 y2 x3 y3 …` for an outline.
fn label(line: &str) -> Option<Label> {
    let mut words = line.split_whitespace();
    let category = words.next()?.parse().ok()?;
    let numbers: Vec<f64> = words.map(|word| word.parse().ok()).collect::<Option<_>>()?;
    let fractions = match numbers.as_slice() {
        &[x, y, w, h] => [x, y, w, h],
        outline if outline.len() >= 6 && outline.len() % 2 == 0 => around(outline),
        _ => return None,
    };
    let fits = fractions
        .iter()
        .all(|value| (0.0..=1.0 + 1e-6).contains(value));
    fits.then_some(Label {
        category,
        place: Place::Fractions(fractions),
        crowd: false,
    })
}

fn around(outline: &[f64]) -> [f64; 4] {
    let range = |first: usize| {
        let values = outline.iter().skip(first).step_by(2);
        values.fold((f64::MAX, f64::MIN), |(least, most), &v| {
            (v.min(least), v.max(most))
        })
    };
    let ((left, right), (top, bottom)) = (range(0), range(1));
    [
        (left + right) / 2.0,
        (top + bottom) / 2.0,
        right - left,
        bottom - top,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_boxes_or_outlines() {
        let place = |line: &str| label(line).map(|label| label.place);
        assert_eq!(
            place("3 0.5 0.5 0.2 0.4"),
            Some(Place::Fractions([0.5, 0.5, 0.2, 0.4]))
        );
        assert_eq!(
            place("0 0.25 0.25 0.75 0.25 0.75 0.5"),
            Some(Place::Fractions([0.5, 0.375, 0.5, 0.25]))
        );
        for line in [
            "",
            "x 0 0 0 0",
            "1 0.5 0.5 0.2",
            "1 0.5 0.5 20 40",
            "1 NaN 0 0 0",
        ] {
            assert_eq!(label(line), None, "{line}");
        }
    }

    #[test]
    fn label_files_lie_beside_the_last_images_directory() {
        assert_eq!(
            label_file(Path::new("/images/set/images/val/a.jpg")),
            Path::new("/images/set/labels/val/a.txt")
        );
        assert_eq!(label_file(Path::new("a.jpg")), Path::new("a.txt"));
    }

    #[test]
    fn a_described_data_set_is_found_with_its_labels() {
        let root = std::env::temp_dir().join(format!("onelook-yolo-{}", std::process::id()));
        std::fs::create_dir_all(root.join("images/val")).unwrap();
        std::fs::create_dir_all(root.join("labels/val")).unwrap();
        std::fs::write(root.join("images/val/a.jpg"), b"x").unwrap();
        std::fs::write(root.join("images/val/b.png"), b"x").unwrap();
        std::fs::write(root.join("labels/val/a.txt"), "1 0.5 0.5 0.5 0.5\n").unwrap();
        let data = root.join("set.yaml");
        std::fs::write(
            &data,
            "# a set\nval: images/val\nnames:\n  0: cat\n  1: dog\n",
        )
        .unwrap();
        let dataset = read(&data, None).unwrap();
        assert_eq!(dataset.images.len(), 2);
        assert_eq!(dataset.images[0].labels.len(), 1);
        assert_eq!(dataset.name(1), "dog");
        let truth = dataset.images[0].truths(100, 40).next().unwrap();
        assert_eq!(truth.bbox, [25.0, 10.0, 50.0, 20.0]);
        std::fs::write(&data, "val: [images/val]\nnames: [cat, dog]\n").unwrap();
        assert_eq!(read(&data, None).unwrap().categories.len(), 2);
        std::fs::write(&data, "names: [cat\n").unwrap();
        assert!(read(&data, None).is_err());
        std::fs::remove_dir_all(&root).unwrap();
    }
}
